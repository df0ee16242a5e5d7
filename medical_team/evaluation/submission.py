"""The submission format of MEDIQA-CORR 2024: one line a text, ``text-id flag sentence-id corrected sentence``, read as
the organisers' script reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..data.medec import NOT_APPLICABLE
from ..errors import DataError
from ..files import atomic_text
from ..words import fold_white_space

NO_SENTENCE = "-1"

MAX_CORRECTION_WORDS = 5000
"""ROUGE-L takes time and memory by the product of the lengths."""

MAX_LINES_NAMED = 5

_INVALID = "passed over, no answer by the organisers' rule: {lines}"
_AGAIN = "an id came again, and the later line counts: {lines}"
_MARK = "mended: a byte-order mark, for which the organisers' script loses the first line"
_BACKSLASH = "mended: a backslash, which the organisers' script reads as an escape or fails on: {lines}"
_ID = "mended: an id with more than a-z, 0-9 and -, which the organisers' script passes over: {lines}"

_LINE = re.compile(r"(\S+)\s([0-9]+)\s(-?[0-9]+)\s(.+)")
_SCRIPTS_ID = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class Answer:
    """What a submission says of one text. Flag and sentence are strings, as the script compares them."""

    text_id: str
    flag: str
    sentence_id: str
    correction: str


@dataclass(frozen=True)
class Submission:
    """The answers by text id, and sentences on what was passed over or mended."""

    answers: dict[str, Answer]
    remarks: tuple[str, ...]


def safe_answer(text_id: str) -> Answer:
    """What is said of a text held correct."""
    return Answer(text_id, "0", NO_SENTENCE, NOT_APPLICABLE)


def folded_correction(correction: str) -> str:
    """``correction`` as it is scored when it is read back from a submission; NA where nothing is left of it.

    White space matters to the score: ``rouge`` takes what follows the last point for another sentence.
    """
    return _unquoted(fold_white_space(correction)) or NOT_APPLICABLE


def read_submission(path: Path) -> Submission:
    """The submission file at ``path``.

    Raises:
        DataError: the file can't be read, is not UTF-8, or no line of it is an answer.
    """
    try:
        content = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8; save the file as UTF-8"
        raise DataError(f"{path} can't be read:", [problem]) from error
    submission = parse_submission(content)
    if not submission.answers:
        problem = "no line is `text-id flag sentence-id correction`, for example `ms-val-0 1 5 Give aspirin.`"
        raise DataError(f"{path} is no submission:", [problem, *submission.remarks])
    return submission


def parse_submission(content: str) -> Submission:
    """The answers in ``content``. Lines that are none are passed over, as the organisers' script does.

    Raises:
        DataError: a correction is too long to be scored.
    """
    answers: dict[str, Answer] = {}
    found: dict[str, list[int]] = {remark: [] for remark in (_INVALID, _AGAIN, _MARK, _BACKSLASH, _ID)}
    if content.startswith("\ufeff"):
        found[_MARK].append(1)
    # Not splitlines(): the script ends lines at line feeds and carriage returns alone.
    for number, raw in enumerate(re.split(r"\r\n?|\n", content.removeprefix("\ufeff")), start=1):
        line = raw.strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            found[_INVALID].append(number)
            continue
        answer = _answer(match, number)
        for remark, holds in (
            (_AGAIN, answer.text_id in answers),
            (_BACKSLASH, "\\" in line),
            (_ID, not _SCRIPTS_ID.fullmatch(answer.text_id)),
        ):
            if holds:
                found[remark].append(number)
        answers[answer.text_id] = answer
    remarks = [remark.format(lines=_lines(numbers)) for remark, numbers in found.items() if numbers]
    return Submission(answers, tuple(remarks))


def write_submission(path: Path, answers: Iterable[Answer]) -> None:
    """Write ``answers`` as a submission file.

    Raises:
        OutputError: the file can't be written.
    """
    with atomic_text(path) as file:
        for answer in answers:
            correction = fold_white_space(answer.correction) or NOT_APPLICABLE
            file.write(f"{answer.text_id} {answer.flag} {answer.sentence_id} {correction}\n")


def _answer(match: re.Match[str], number: int) -> Answer:
    text_id, flag, sentence_id, rest = match.groups()
    words = rest.split()
    if len(words) > MAX_CORRECTION_WORDS:
        problem = f"line {number}: a correction of {len(words)} words, at most {MAX_CORRECTION_WORDS} can be scored"
        raise DataError("the submission can't be scored:", [problem])
    return Answer(text_id, flag, sentence_id, NOT_APPLICABLE if flag == "0" else folded_correction(rest))


def _unquoted(correction: str) -> str:
    """``correction`` without the quotes at its ends; of quotes alone one is left, as the script leaves it."""
    while correction.startswith('"') and len(correction) > 1:
        correction = correction[1:]
    while correction.endswith('"') and len(correction) > 1:
        correction = correction[:-1]
    return correction


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:MAX_LINES_NAMED]))
    more = f" and {len(numbers) - MAX_LINES_NAMED} more" if len(numbers) > MAX_LINES_NAMED else ""
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"
