"""The official metrics of MEDIQA-CORR 2024, equal to the organisers' script to the last digit, with BERTScore and
BLEURT where they are installed, and the submission format: one line a text, ``text-id flag sentence-id
corrected sentence``."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rouge import Rouge  # type: ignore[import-untyped]

from ..errors import DataError
from ..files import atomic_text
from ..records import Closed

BERTSCORE_MODEL = "microsoft/deberta-xlarge-mnli"
BLEURT_CHECKPOINT = "BLEURT-20"
BLEURT_VARIABLE = "MEDICAL_TEAM_BLEURT"
"""Environment variable with the folder of the BLEURT checkpoint; without it ``BLEURT-20`` in the working folder."""


@dataclass(frozen=True)
class AbsentMetric(Closed):
    """A metric that was not computed, and why."""

    name: str
    reason: str


def learned_scores(
    candidates: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, list[float]], list[AbsentMetric]]:
    """The scores of each pair, clipped to 0 to 1, by metric; and the metrics that are absent."""
    scores: dict[str, list[float]] = {}
    absent: list[AbsentMetric] = []
    for name, module, compute in (
        ("BERTScore", "bert_score", _bert_scores),
        ("BLEURT", "bleurt.score", _bleurt_scores),
    ):
        result = _computed(module, compute, candidates, references)
        if isinstance(result, str):
            absent.append(AbsentMetric(name, result))
        else:
            scores[name] = result
    return scores, absent


def _computed(
    module_name: str,
    compute: Callable[[Any, Sequence[str], Sequence[str]], list[float]],
    candidates: Sequence[str],
    references: Sequence[str],
) -> list[float] | str:
    """The scores, or why there are none."""
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        package = module_name.partition(".")[0]
        missing = error.name is not None and error.name.partition(".")[0] == package
        return f"the package {package} is not installed" if missing else f"{package} can't be imported: {error}"
    if not candidates:
        return []
    try:
        return [min(1.0, max(0.0, score)) for score in compute(module, candidates, references)]
    except Exception as error:  # noqa: BLE001 - whatever these libraries raise, the other metrics stand
        lines = str(error).strip().splitlines()
        return f"it failed with {type(error).__name__}: {lines[0] if lines else ''}"


def _bert_scores(module: Any, candidates: Sequence[str], references: Sequence[str]) -> list[float]:
    _, _, f_scores = module.score(
        list(candidates),
        list(references),
        model_type=BERTSCORE_MODEL,
        lang="en",
        device="cpu",
        rescale_with_baseline=True,
    )
    return [float(score) for score in f_scores]


def _bleurt_scores(module: Any, candidates: Sequence[str], references: Sequence[str]) -> list[float]:
    checkpoint = os.environ.get(BLEURT_VARIABLE) or BLEURT_CHECKPOINT
    if not Path(checkpoint).is_dir():
        raise FileNotFoundError(f"no folder {checkpoint}; name the checkpoint's in {BLEURT_VARIABLE}")
    scorer = module.BleurtScorer(checkpoint=checkpoint)
    return [float(score) for score in scorer.score(references=references, candidates=candidates, batch_size=1)]


NOT_APPLICABLE = "NA"
NO_SENTENCE = "-1"

MAX_CORRECTION_WORDS = 5000
"""ROUGE-L takes time and memory by the product of the lengths."""

MAX_LINES_NAMED = 5

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
    return _unquoted(" ".join(correction.split())) or NOT_APPLICABLE


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
    invalid: list[int] = []
    again: list[int] = []
    mended: dict[str, list[int]] = {"byte-order mark": [], "backslash": [], "id": []}
    if content.startswith("\ufeff"):
        mended["byte-order mark"].append(1)
    # Not splitlines(): the script ends lines at line feeds and carriage returns alone.
    for number, raw in enumerate(re.split(r"\r\n?|\n", content.removeprefix("\ufeff")), start=1):
        line = raw.strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            invalid.append(number)
            continue
        answer = _answer(match, number)
        if answer.text_id in answers:
            again.append(number)
        if "\\" in line:
            mended["backslash"].append(number)
        if not _SCRIPTS_ID.fullmatch(answer.text_id):
            mended["id"].append(number)
        answers[answer.text_id] = answer
    return Submission(answers, tuple(_remarks(invalid, again, mended)))


def write_submission(path: Path, answers: Iterable[Answer]) -> None:
    """Write ``answers`` as a submission file.

    Raises:
        OutputError: the file can't be written.
    """
    with atomic_text(path) as file:
        for answer in answers:
            correction = " ".join(answer.correction.split()) or NOT_APPLICABLE
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


def _remarks(invalid: list[int], again: list[int], mended: dict[str, list[int]]) -> Iterable[str]:
    if invalid:
        yield f"passed over, no answer by the organisers' rule: {_lines(invalid)}"
    if again:
        yield f"an id came again, and the later line counts: {_lines(again)}"
    if mended["byte-order mark"]:
        yield "mended: a byte-order mark, for which the organisers' script loses the first line"
    if mended["backslash"]:
        lines = _lines(mended["backslash"])
        yield f"mended: a backslash, which the organisers' script reads as an escape or fails on: {lines}"
    if mended["id"]:
        lines = _lines(mended["id"])
        yield f"mended: an id with more than a-z, 0-9 and -, which the organisers' script passes over: {lines}"


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:MAX_LINES_NAMED]))
    more = f" and {len(numbers) - MAX_LINES_NAMED} more" if len(numbers) > MAX_LINES_NAMED else ""
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"


ROUGE_NAMES = {"R1F": "rouge-1", "R2F": "rouge-2", "RLF": "rouge-l"}
AGGREGATE = "aggregate"
AGGREGATE_PARTS = ("R1F", "BERTScore", "BLEURT")


@dataclass(frozen=True)
class Reference:
    """The truth of one text, as the CSV has it."""

    text_id: str
    flag: str
    sentence_id: str
    correction: str


@dataclass(frozen=True)
class TextMetric:
    """How near the corrections are to the references."""

    name: str
    mean: float | None
    """Over the scored pairs; None where there is none."""
    composite: float
    """Over all texts."""
    pair_scores: tuple[float, ...]
    """Of each scored pair, in the order of ``OfficialScores.pair_ids``."""


@dataclass(frozen=True)
class OfficialScores:
    """The figures of one submission."""

    texts: int
    answered: int
    flag_accuracy: float
    sentence_accuracy: float
    metrics: tuple[TextMetric, ...]
    absent: tuple[AbsentMetric, ...]
    pair_ids: tuple[str, ...]
    """Texts for which reference and candidate both give a correction."""
    both_na: tuple[str, ...]
    """Texts for which both say NA."""
    unscorable: int
    """Pairs without a word, on which the organisers' script fails; ROUGE is 0 there."""

    def values(self) -> dict[str, float | None]:
        """The figures by name, in the order in which they are told."""
        return {
            "flag_accuracy": self.flag_accuracy,
            "sentence_accuracy": self.sentence_accuracy,
            **{metric.name: metric.mean for metric in self.metrics},
            **{f"{metric.name}_composite": metric.composite for metric in self.metrics},
        }


def official_scores(
    references: Sequence[Reference], answers: Mapping[str, Answer], *, with_learned: bool = True
) -> OfficialScores:
    """Score ``answers``, by text id, against ``references``, of which there is at least one.

    Args:
        with_learned: also BERTScore and BLEURT, where they are installed.
    """
    pairs = _pairs(references, answers)
    both_na = [
        reference.text_id
        for reference in references
        if reference.correction == NOT_APPLICABLE
        and reference.text_id in answers
        and answers[reference.text_id].correction == NOT_APPLICABLE
    ]
    candidates = [answers[reference.text_id].correction for reference in pairs]
    corrections = [reference.correction for reference in pairs]
    by_name, unscorable = _rouge(candidates, corrections)
    absent: list[AbsentMetric] = []
    if with_learned:
        learned, absent = learned_scores(candidates, corrections)
        by_name |= learned
        if all(name in by_name for name in AGGREGATE_PARTS):
            by_name[AGGREGATE] = _aggregate(by_name)
    return OfficialScores(
        texts=len(references),
        answered=sum(reference.text_id in answers for reference in references),
        flag_accuracy=sum(is_flag_right(reference, answers) for reference in references) / len(references),
        sentence_accuracy=sum(is_sentence_right(reference, answers) for reference in references) / len(references),
        metrics=tuple(_text_metric(name, scores, len(both_na), len(references)) for name, scores in by_name.items()),
        absent=tuple(absent),
        pair_ids=tuple(reference.text_id for reference in pairs),
        both_na=tuple(both_na),
        unscorable=unscorable,
    )


def is_flag_right(reference: Reference, answers: Mapping[str, Answer]) -> bool:
    """Whether the answer to the text of ``reference`` has its flag; without an answer: no."""
    answer = answers.get(reference.text_id)
    return answer is not None and answer.flag == reference.flag


def is_sentence_right(reference: Reference, answers: Mapping[str, Answer]) -> bool:
    """Whether the answer to the text of ``reference`` names its sentence; without an answer: no."""
    answer = answers.get(reference.text_id)
    return answer is not None and answer.sentence_id == reference.sentence_id


def _pairs(references: Sequence[Reference], answers: Mapping[str, Answer]) -> list[Reference]:
    """The references to whose correction there is a candidate."""
    return [
        reference
        for reference in references
        if reference.correction != NOT_APPLICABLE
        and reference.text_id in answers
        and answers[reference.text_id].correction != NOT_APPLICABLE
    ]


def _text_metric(name: str, scores: Sequence[float], both_na: int, texts: int) -> TextMetric:
    # numpy adds pairwise, and so does the script: another order of adding changes the last digit.
    values = np.array(scores, dtype=np.float64)
    return TextMetric(
        name=name,
        mean=float(values.mean()) if len(values) else None,
        composite=float((values.sum() + both_na) / texts),
        pair_scores=tuple(scores),
    )


def _rouge(candidates: Sequence[str], references: Sequence[str]) -> tuple[dict[str, list[float]], int]:
    scorer: Any = Rouge()
    by_name: dict[str, list[float]] = {name: [] for name in ROUGE_NAMES}
    unscorable = 0
    for candidate, reference in zip(candidates, references, strict=True):
        if not candidate.replace(".", "") or not reference.replace(".", ""):
            unscorable += 1
            for scores in by_name.values():
                scores.append(0.0)
            continue
        with _deep_enough(candidate, reference):
            score = scorer.get_scores([candidate], [reference])[0]
        for name, rouge_name in ROUGE_NAMES.items():
            by_name[name].append(score[rouge_name]["f"])
    return by_name, unscorable


def _aggregate(by_name: Mapping[str, Sequence[float]]) -> list[float]:
    total = sum(np.array(by_name[name], dtype=np.float64) for name in AGGREGATE_PARTS)
    return list(total / len(AGGREGATE_PARTS))  # type: ignore[operator, arg-type]


@contextmanager
def _deep_enough(candidate: str, reference: str) -> Generator[None]:
    """Let the package, which goes one call deeper for each word of both, take long texts too."""
    before = sys.getrecursionlimit()
    needed = len(candidate.split()) + len(reference.split()) + 500
    sys.setrecursionlimit(max(before, needed + before))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
