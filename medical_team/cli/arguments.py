"""What the commands share: reading arguments, and loading the models that they name; writing prose for a
person, no wider than the window; and what a command needs of its process: streams that take any text, and a home for
caches."""

from __future__ import annotations

import difflib
import io
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, TypeVar

import tyro

from ..callbacks import Notify, Progress
from ..config import Device, JudgeConfig, Precision, RolloutConfig, RolloutEngine
from ..errors import MissingDependencyError, UsageError
from ..judge.questions import AnswerScorer
from ..terminal_text import folded

if TYPE_CHECKING:
    from ..evaluation.model_choice import ModelChoice
    from ..game.rollout import Rollout


def say(text: str, stream: IO[str] | None = None) -> None:
    """Write ``text``, which ends its own lines, to ``stream``; without one, to standard output."""
    told: IO[str] = sys.stdout if stream is None else stream
    told.write(folded(text, window_width()) if told.isatty() else text)


def window_width() -> int:
    """The columns of the terminal: ``COLUMNS``, or what the window has, or 80."""
    return shutil.get_terminal_size().columns


def open_closed_streams() -> None:
    """Let what is written to a closed standard stream go nowhere, and keep its number from the next file opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = os.O_RDONLY if number == 0 else os.O_WRONLY
            null = os.open(os.devnull, mode)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def escape_what_streams_lack() -> None:
    """Write characters that standard output or standard error have no bytes for as escapes such as ``\\xe4``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def give_a_home(environment: MutableMapping[str, str]) -> str | None:
    """Set ``HOME`` where no home folder is known, so that caches have a place. Returns the warning to show, if any."""
    # Given back as it was where neither HOME nor the user's account names a folder.
    if os.path.expanduser("~") != "~":  # noqa: PTH111 - Path.expanduser raises
        return None
    user = os.getuid()
    try:
        environment["HOME"] = _temporary_home(user)
    except OSError as error:
        raise UsageError(
            f"user {user} has no home folder, and none can be made ({error.strerror or error}): set HOME, or TMPDIR, "
            "to a folder that can be written to"
        ) from error
    return f"user {user} has no home folder: caches go to {environment['HOME']}. Set HOME to choose another place."


def _temporary_home(user: int) -> str:
    home = Path(tempfile.gettempdir()) / f"medical-team-home-{user}"
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        if home.is_dir() and not home.is_symlink() and home.stat().st_uid == user:
            return str(home)
    except OSError:
        # Somebody else's, whom the next line avoids.
        pass
    return tempfile.mkdtemp(prefix="medical-team-home-")


def check_file_names(arguments: Iterable[str]) -> None:
    """Check that a path in ``arguments``, or where we are, means the same to Python and to libraries in Rust.

    These take every name for UTF-8, so that a model would be written under another name, or not at all.

    Raises:
        UsageError: it doesn't: it holds bytes that are no UTF-8, or letters of another encoding. Or we are nowhere.
    """
    is_utf8 = sys.getfilesystemencoding().lower() in ("utf-8", "utf8")
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageError("the folder that this was started in has been removed: go into another one (cd ~)") from error
    for text in (*arguments, here):
        if text.isascii() or (is_utf8 and _is_text(text)):
            continue
        remedy = (
            "rename it in UTF-8 (convmv -f latin1 -t utf8 --notest PATH)"
            if is_utf8
            else f"set PYTHONUTF8=1, or a locale of UTF-8, since {sys.getfilesystemencoding()} is read here"
        )
        raise UsageError(f"{text!a} holds letters that are no UTF-8, which models can't be written under: {remedy}")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


ArgumentsT = TypeVar("ArgumentsT")


def parse(
    arguments_type: type[ArgumentsT],
    command: str,
    arguments: Sequence[str],
    *,
    default: ArgumentsT | None = None,
    use_underscores: bool = False,
) -> ArgumentsT:
    """Read ``arguments`` into a dataclass, on top of ``default``; tyro prints help or all problems and exits with 2.

    Hyphens and underscores are both understood; ``use_underscores`` shows options as a TOML file spells its keys.
    """
    base = tyro.MISSING_NONPROP if default is None else default
    return tyro.cli(
        arguments_type,
        prog=f"medical-team {command}",
        args=list(arguments),
        default=base,
        use_underscores=use_underscores,
    )


def check_bounds(option: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Check a number that an option gives, if it does.

    Raises:
        UsageError: it lies elsewhere, or is no number.
    """
    if value is not None and not low <= value <= high:
        expected = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
        raise UsageError(f"{option} is {value:g}, expected {expected}")


def unknown_command(name: str, known: Iterable[str]) -> UsageError:
    """The error for a command that doesn't exist, naming the nearest that does."""
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UsageError(f"there is no command {name!r}.{hint} The commands are: {', '.join(known)}.")


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


@dataclass(frozen=True)
class SpeakingOptions:
    """How models that only speak are loaded."""

    device: Device = "auto"
    """Where models that are loaded here compute."""
    precision: Precision = "auto"
    """What they compute in."""
    engine: RolloutEngine = "auto"
    """What draws their replies, chosen as rollout.engine of a run: vllm (docs/vllm.md) or transformers."""
    prompt_date: date | None = None
    """The day that a chat template is told which asks for one, e.g. 2026-03-05; without it that of each model's run,
    else today."""

    def day_of(self, choice: ModelChoice, saved: str | None) -> date:
        """The day that the chat template of ``choice`` is told; an evaluation that goes on keeps its own, ``saved``."""
        return self.prompt_date or (date.fromisoformat(saved) if saved else choice.day)

    def rollout(self, choice: ModelChoice, config: RolloutConfig, day: date) -> Rollout:
        """Load ``choice``.

        Raises:
            PolicyError: it can't be loaded or used.
            VllmUnavailableError: vLLM is asked for, and is not installed or doesn't start with this model.
        """
        # Imported here, so that a served model needs no torch.
        from ..policy.rollout_engines import local_rollout

        remark(f"Loading {choice.label} ...")
        return local_rollout(
            choice.location,
            config,
            device=self.device,
            precision=self.precision,
            engine=self.engine,
            day=day,
            notify=remark,
        )


Speaking = Annotated[SpeakingOptions, tyro.conf.OmitArgPrefixes]
"""The options, without a name of their own before theirs."""


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
