"""The figures of predictions on MEDEC, with bootstrap intervals over near-duplicate groups, and their floors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ..error_types import error_type_key, in_order
from ..metrics.statistics import Figure, GroupBootstrap, Numbers, mean_rate
from .medec_texts import MedecText
from .official import AbsentMetric, is_sentence_right, official_scores
from .predictions import BASELINES, FLAG_BASELINES, Prediction, answers_of, baseline_predictions

LENGTHS: Mapping[str, Callable[[int], bool]] = {
    "up to 100 words": lambda words: words <= 100,
    "101 to 150 words": lambda words: 100 < words <= 150,
    "more than 150 words": lambda words: words > 150,
}


@dataclass(frozen=True)
class MedecMetrics:
    """All figures of an evaluation, by name."""

    figures: dict[str, Figure]
    by_error_type: dict[str, dict[str, Figure]]
    by_length: dict[str, dict[str, Figure]]
    floors: dict[str, dict[str, float | None]]
    """The same figures of the baselines on the same texts."""
    absent: tuple[AbsentMetric, ...]
    unreadable: dict[str, int]
    """Replies that can't be read, by the reason."""


def medec_metrics(
    texts: Sequence[MedecText],
    predictions: Sequence[Prediction],
    *,
    has_sentences: bool,
    has_corrections: bool | None = None,
    seed: int,
) -> MedecMetrics:
    """The figures of ``predictions`` on ``texts``, of which there is at least one, in the same order.

    Args:
        has_sentences: whether sentences were asked for; without, they have no figures.
        has_corrections: whether corrections were; None: where sentences were.
    """
    has_corrections = has_sentences if has_corrections is None else has_corrections
    bootstrap = GroupBootstrap([text.near_duplicate_group for text in texts], seed=seed)
    measured = _Measured(texts, predictions, bootstrap, has_sentences=has_sentences, has_corrections=has_corrections)
    figures = measured.figures()
    unreadable = [vote.problem for prediction in predictions for vote in prediction.votes if vote.flag is None]
    return MedecMetrics(
        figures=figures,
        by_error_type=measured.by_error_type(),
        by_length=measured.by_length(),
        floors={name: _floor(name, texts, figures) for name in BASELINES},
        absent=measured.official.absent,
        unreadable={problem: unreadable.count(problem) for problem in sorted(set(unreadable))},
    )


def _floor(name: str, texts: Sequence[MedecText], wanted: Iterable[str]) -> dict[str, float | None]:
    has_sentences = name not in FLAG_BASELINES
    measured = _Measured(
        texts, baseline_predictions(name, texts), None, has_sentences=has_sentences, has_corrections=has_sentences
    )
    found = measured.figures()
    return {figure: found[figure].value if figure in found else None for figure in wanted}


class _Measured:
    """Outcomes of each text and the figures that they make; without a bootstrap quickly, for a floor."""

    def __init__(
        self,
        texts: Sequence[MedecText],
        predictions: Sequence[Prediction],
        bootstrap: GroupBootstrap | None,
        *,
        has_sentences: bool,
        has_corrections: bool,
    ) -> None:
        self._texts = texts
        self._predictions = predictions
        self._bootstrap = bootstrap
        self._has_sentences = has_sentences
        self._has_corrections = has_corrections
        answers = answers_of(predictions)
        references = [text.reference for text in texts]
        self.official = official_scores(references, answers, with_learned=has_corrections and bootstrap is not None)
        self._has_error = np.array([text.has_error for text in texts])
        self._is_flag_right = np.array([prediction.is_flag_right for prediction in predictions])
        self._is_alarm = np.array([prediction.flag is True for prediction in predictions])
        self._is_sentence_right = np.array([is_sentence_right(reference, answers) for reference in references])

    def figures(self) -> dict[str, Figure]:
        """The figures over all texts."""
        figures = {
            "flag_accuracy": self._figure(self._is_flag_right),
            "balanced_accuracy": self._figure(self._is_flag_right, self._has_error, ~self._has_error),
            "detection_rate": self._figure(self._is_flag_right, self._has_error),
            "false_alarm_rate": self._figure(self._is_alarm, ~self._has_error),
            "no_prediction_rate": self._figure([prediction.flag is None for prediction in self._predictions]),
        }
        if any(prediction.votes for prediction in self._predictions):
            figures["unreadable_reply_rate"] = self._figure(
                [fmean(vote.flag is None for vote in prediction.votes) for prediction in self._predictions]
            )
        if self._has_sentences:
            figures["sentence_accuracy"] = self._figure(self._is_sentence_right)
        if self._has_corrections:
            figures |= self._text_figures()
        return figures

    def by_error_type(self) -> dict[str, dict[str, Figure]]:
        """For each type that occurs: how many errors are detected; and what becomes of correct texts."""
        keys = np.array([text.error_type and error_type_key(text.error_type) for text in self._texts])
        types = in_order(text.error_type for text in self._texts if text.error_type is not None)
        rows = {name: self._row(keys == error_type_key(name)) for name in types}
        return rows if self._has_error.all() else {**rows, "(no error)": self._row(~self._has_error)}

    def by_length(self) -> dict[str, dict[str, Figure]]:
        """For texts of each length that occurs."""
        rows: dict[str, dict[str, Figure]] = {}
        for name, is_in in LENGTHS.items():
            members = np.array([is_in(text.words) for text in self._texts])
            if members.any():
                rows[name] = self._row(members) | {
                    "detection_rate": self._figure(self._is_flag_right, members & self._has_error),
                    "false_alarm_rate": self._figure(self._is_alarm, members & ~self._has_error),
                }
        return rows

    def _row(self, members: NDArray[np.bool_]) -> dict[str, Figure]:
        row = {"flag_accuracy": self._figure(self._is_flag_right, members)}
        if self._has_sentences:
            row["sentence_accuracy"] = self._figure(self._is_sentence_right, members)
        return row

    def _text_figures(self) -> dict[str, Figure]:
        official, figures = self.official, dict[str, Figure]()
        place = {text.text_id: index for index, text in enumerate(self._texts)}
        pairs = [place[text_id] for text_id in official.pair_ids]
        members = np.zeros(len(self._texts), dtype=bool)
        members[pairs] = True
        for metric in official.metrics:
            scores = np.zeros(len(self._texts))
            scores[pairs] = metric.pair_scores
            # The official value, whose last digit depends on the order of adding, with the interval of the same mean.
            figures[metric.name] = replace(self._figure(scores, members), value=metric.mean)
            scores[[place[text_id] for text_id in official.both_na]] = 1.0
            figures[f"{metric.name}_composite"] = replace(self._figure(scores), value=metric.composite)
        return figures

    def _figure(self, outcomes: Numbers, *members: NDArray[np.bool_]) -> Figure:
        if self._bootstrap is not None:
            return self._bootstrap.figure(outcomes, *members)
        return Figure(mean_rate(outcomes, *(members or (np.ones(len(self._texts)),))), None, 0)
