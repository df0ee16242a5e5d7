"""BERTScore and BLEURT, as the organisers of MEDIQA-CORR 2024 compute them, where they are installed.

They are models of their own, large and slow, and not among this project's dependencies. Where one is missing or can't
be loaded, it is said to be absent, with the reason; no figure takes its place.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
