"""The official metrics of MEDIQA-CORR 2024, equal to the organisers' script to the last digit, with BERTScore and
BLEURT where they are installed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rouge import Rouge

from ..data.medec import NOT_APPLICABLE
from ..records import Closed
from .submission import Answer

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


ROUGE_NAMES = {"R1F": "rouge-1", "R2F": "rouge-2", "RLF": "rouge-l"}
AGGREGATE = "aggregate"
AGGREGATE_PARTS = ("R1F", "BERTScore", "BLEURT")


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
    references: Sequence[Answer], answers: Mapping[str, Answer], *, with_learned: bool = True
) -> OfficialScores:
    """Score ``answers``, by text id, against ``references``, of which there is at least one.

    Args:
        with_learned: also BERTScore and BLEURT, where they are installed.
    """
    answered = [(reference, answers[reference.text_id]) for reference in references if reference.text_id in answers]
    both_na = [
        reference.text_id
        for reference, answer in answered
        if reference.correction == answer.correction == NOT_APPLICABLE
    ]
    pairs = [pair for pair in answered if all(side.correction != NOT_APPLICABLE for side in pair)]
    candidates = [answer.correction for _, answer in pairs]
    corrections = [reference.correction for reference, _ in pairs]
    by_name, unscorable = _rouge(candidates, corrections)
    absent: list[AbsentMetric] = []
    if with_learned:
        learned, absent = learned_scores(candidates, corrections)
        by_name |= learned
        if all(name in by_name for name in AGGREGATE_PARTS):
            by_name[AGGREGATE] = _aggregate(by_name)
    return OfficialScores(
        texts=len(references),
        answered=len(answered),
        flag_accuracy=sum(answer.flag == reference.flag for reference, answer in answered) / len(references),
        sentence_accuracy=sum(is_sentence_right(reference, answers) for reference in references) / len(references),
        metrics=tuple(_text_metric(name, scores, len(both_na), len(references)) for name, scores in by_name.items()),
        absent=tuple(absent),
        pair_ids=tuple(reference.text_id for reference, _ in pairs),
        both_na=tuple(both_na),
        unscorable=unscorable,
    )


def is_sentence_right(reference: Answer, answers: Mapping[str, Answer]) -> bool:
    """Whether the answer to the text of ``reference`` names its sentence; without an answer: no."""
    answer = answers.get(reference.text_id)
    return answer is not None and answer.sentence_id == reference.sentence_id


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
    return list(total / len(AGGREGATE_PARTS))  # type: ignore[operator, arg-type] - sum() is typed to begin with an int


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
