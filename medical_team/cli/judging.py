"""What the commands share that ask a judge: the short option ``--judge``, and the judge's model."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..callbacks import Notify, Progress
from ..config import JudgeConfig
from ..errors import MissingDependencyError
from ..judge.questions import AnswerScorer

_OPTION = "--judge"
_TORCH_LIBRARIES = ("torch", "transformers", "peft", "safetensors", "tokenizers")


def with_judge_spelled_out(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with ``--judge NAME`` as ``--judge.kind NAME``, and ``--judge http://...`` as a remote judge."""
    spelled: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name != _OPTION:
            spelled.append(argument)
            continue
        if not equals:
            value = next(rest, None)
            if value is None:
                spelled.append(argument)
                continue
        is_address = value.lower().startswith(("http://", "https://"))
        spelled += ["--judge.kind", "remote", "--judge.url", value] if is_address else ["--judge.kind", value]
    return spelled


def load_scorer(config: JudgeConfig, notify: Notify) -> AnswerScorer:
    """The model of the judge "model"; torch is imported only now.

    Raises:
        MissingDependencyError: the libraries that it needs are not installed.
        PolicyError: the model can't be loaded.
    """
    try:
        from ..policy.answer_scoring import load_answer_scorer
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in _TORCH_LIBRARIES:
            raise MissingDependencyError(library, "train") from error
        raise
    return load_answer_scorer(config, notify)


def remark(text: str) -> None:
    """Say ``text`` beside the output."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def progress_of(things: str) -> Progress:
    """What shows, on a terminal, how many of how many ``things`` are done."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r{done} of {total} {things}{end}")
            sys.stderr.flush()

    return show
