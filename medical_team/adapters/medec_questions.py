"""MEDEC as every harness asks it: the prompts, readings and figures of ``medical-team eval medec``, and no others.

A harness draws the replies. It keeps each text beside its question as a row of JSON values, truth included, so that
what is on its disk can be scored again without the CSV.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from ..config import PromptStyle
from ..errors import UsageError
from ..evaluation.medec import vote_of
from ..evaluation.medec_metrics import medec_metrics
from ..evaluation.medec_texts import MedecText, choose_texts, load_medec
from ..evaluation.predictions import Vote, prediction_of
from ..evaluation.tasks import MAX_TOKENS, AssessorTask, Task, TaskName, ThreePartTask
from ..game.rollout import PromptTooLong, Reply
from ..jsonl import from_line, to_line
from ..records import Verdict
from ..text_repair import whole_text

Choice = TypeVar("Choice", bound=str)

DEFAULT_SEED = 42

FLAG_FIGURES = (
    "flag_accuracy",
    "balanced_accuracy",
    "detection_rate",
    "false_alarm_rate",
    "no_prediction_rate",
    "unreadable_reply_rate",
)
SENTENCE_FIGURES = (
    "sentence_accuracy",
    *(f"{name}{end}" for name in ("R1F", "R2F", "RLF") for end in ("", "_composite")),
)
"""What a three-part reply is measured by beside ``FLAG_FIGURES``; BERTScore and BLEURT come on top where they are
installed."""
LOWER_IS_BETTER = ("false_alarm_rate", "no_prediction_rate", "unreadable_reply_rate")
INTERVAL_ENDS = ("low", "high")
"""What stands behind a figure's name for the ends of its interval."""


@dataclass(frozen=True)
class Outcome:
    """What was replied to one text: its votes, of which the majority counts."""

    text: MedecText
    votes: tuple[Vote, ...]


def medec_task(
    name: str, *, thinking: bool = False, max_tokens: int | None = None, prompt_style: str = "short"
) -> Task:
    """The task of that name, zero-shot.

    Args:
        name: ``assessor`` or ``three-part``.
        thinking: let the model think first.
        max_tokens: the longest reply; None: as ``eval medec`` has it.
        prompt_style: wording of the assessor's prompt.

    Raises:
        UsageError: an argument is none of what is allowed.
    """
    task: TaskName = _choice("task", name, get_args(TaskName))
    style: PromptStyle = _choice("prompt_style", prompt_style, get_args(PromptStyle))
    # Harnesses hand on what a command line or JSON says, and the text "false" is as good as true.
    if type(thinking) is not bool:
        raise UsageError(f"thinking is {thinking!r}, expected true or false, without quotes")
    _check_number("max_tokens", max_tokens)
    if max_tokens is not None and max_tokens < 1:
        raise UsageError(f"max_tokens is {max_tokens}, expected at least 1")
    if task == "three-part":
        return ThreePartTask(thinking, max_tokens or MAX_TOKENS["three-part", thinking])
    return AssessorTask(thinking, max_tokens or MAX_TOKENS["assessor", thinking], style=style)


def medec_texts(path: object, *, texts: int | None = None, seed: int = DEFAULT_SEED) -> list[MedecText]:
    """The texts of the MEDEC CSV at ``path``: all, or so many as ``eval medec --texts`` chooses.

    Raises:
        DataError: the file can't be evaluated on.
        UsageError: no file is named, or the number is not positive.
    """
    if not path or (isinstance(path, str) and not path.strip()):
        raise UsageError("medec is missing: name the MEDEC CSV (it is at github.com/abachaa/MEDEC)")
    if not isinstance(path, str | Path):
        raise UsageError(f"medec is {path!r}, expected the path of the MEDEC CSV, as a text")
    _check_number("texts", texts)
    _check_number("seed", seed)
    if seed < 0:
        raise UsageError(f"seed is {seed}, expected 0 or more")
    # No shell expands a home in JSON or in quotes, where harnesses want it.
    with suppress(RuntimeError):
        path = Path(path).expanduser()
    return choose_texts(load_medec(Path(path)).texts, texts, seed)


def solution(text: MedecText, *, has_sentences: bool) -> str:
    """The reply that is right, for a harness that shows it beside the model's."""
    if not has_sentences:
        return (Verdict.HARMFUL if text.has_error else Verdict.SAFE).value
    return f"{text.reference.sentence_id} {text.corrected_sentence}" if text.has_error else "CORRECT"


def vote_on(task: Task, text: MedecText, reply: str | None, *, is_finished: bool = True) -> Vote:
    """What ``reply`` says of ``text``.

    Args:
        reply: None where the prompt didn't fit into the model.
        is_finished: whether the reply ended by itself, and not at the limit.
    """
    drawn = PromptTooLong("") if reply is None else Reply(whole_text(reply), (), (), (), is_finished)
    return vote_of(task, text, drawn)


def figures(outcomes: Sequence[Outcome], *, has_sentences: bool, seed: int = DEFAULT_SEED) -> dict[str, float]:
    """The figures of ``eval medec`` by name, each followed by ``..._low`` and ``..._high``, the ends of its interval.

    What no text allows to say (the accuracy on correct texts, where there is none) is left out.

    Args:
        outcomes: of each text that was asked, in the order of the texts; at least one.
        has_sentences: whether sentences and corrections were asked for.
        seed: decides the draws of the bootstrap.
    """
    texts = [outcome.text for outcome in outcomes]
    predictions = [prediction_of(outcome.text, outcome.votes) for outcome in outcomes]
    values: dict[str, float] = {}
    for name, figure in medec_metrics(texts, predictions, has_sentences=has_sentences, seed=seed).figures.items():
        if figure.value is None or not math.isfinite(figure.value):
            continue
        values[name] = figure.value
        if figure.interval is not None:
            low, high = INTERVAL_ENDS
            values[f"{name}_{low}"], values[f"{name}_{high}"] = figure.interval.low, figure.interval.high
    return values


def to_row(record: MedecText | Vote) -> dict[str, Any]:
    """``record`` as JSON values."""
    return json.loads(to_line(record))


def text_of(row: Mapping[str, Any]) -> MedecText:
    """The text that became ``row``."""
    return from_line(json.dumps(row), MedecText)


def vote_of_row(row: Mapping[str, Any]) -> Vote:
    """The vote that became ``row``."""
    return from_line(json.dumps(row), Vote)


def _check_number(name: str, value: object) -> None:
    if value is not None and type(value) is not int:
        raise UsageError(f"{name} is {value!r}, expected a whole number, without quotes")


def _choice(name: str, value: str, allowed: Sequence[Choice]) -> Choice:
    for choice in allowed:
        if choice == value:
            return choice
    raise UsageError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
