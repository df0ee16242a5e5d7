"""The figures of predictions on MEDEC, with bootstrap intervals over near-duplicate groups, and their floors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..error_types import error_type_key, in_order
from ..metrics.statistics import Figure, GroupBootstrap, Interval, Numbers, interval_of, rate
from .medec_texts import MedecText
from .official import AbsentMetric, OfficialScores, is_sentence_right, official_scores
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
    """The figures of ``predictions`` on ``texts``, of which there is at least one.

    Args:
        has_sentences: whether sentences were asked for; without, they have no figures.
        has_corrections: whether corrections were; None: where sentences were.
    """
    bootstrap = GroupBootstrap([text.near_duplicate_group for text in texts], seed=seed)
    measured = _Measured(
        texts,
        predictions,
        bootstrap,
        has_sentences=has_sentences,
        has_corrections=has_sentences if has_corrections is None else has_corrections,
    )
    floors = {
        name: {
            figure: value.value
            for figure, value in _Measured(
                texts,
                baseline_predictions(name, texts),
                bootstrap,
                has_sentences=name not in FLAG_BASELINES,
                has_corrections=name not in FLAG_BASELINES,
                with_intervals=False,
            )
            .figures()
            .items()
        }
        for name in BASELINES
    }
    figures = measured.figures()
    unreadable = [vote.problem for prediction in predictions for vote in prediction.votes if vote.flag is None]
    return MedecMetrics(
        figures=figures,
        by_error_type=measured.by_error_type(),
        by_length=measured.by_length(),
        floors={name: {figure: floors[name].get(figure) for figure in figures} for name in floors},
        absent=measured.official.absent,
        unreadable={problem: unreadable.count(problem) for problem in sorted(set(unreadable))},
    )


class _Measured:
    """Outcomes of each text, in the order of the texts, and the figures that they make."""

    def __init__(
        self,
        texts: Sequence[MedecText],
        predictions: Sequence[Prediction],
        bootstrap: GroupBootstrap,
        *,
        has_sentences: bool,
        has_corrections: bool,
        with_intervals: bool = True,
    ) -> None:
        by_id = {prediction.text_id: prediction for prediction in predictions}
        self._texts = texts
        self._predictions = [by_id[text.text_id] for text in texts]
        self._bootstrap = bootstrap
        self._has_sentences = has_sentences
        self._has_corrections = has_corrections
        self._with_intervals = with_intervals
        self._answers = answers_of(predictions)
        references = [text.reference for text in texts]
        self.official = official_scores(references, self._answers, with_learned=has_corrections and with_intervals)
        self._has_error = [text.has_error for text in texts]
        self._is_correct = [not text.has_error for text in texts]
        self._is_flag_right = [prediction.is_flag_right for prediction in self._predictions]
        self._is_alarm = [prediction.flag is True for prediction in self._predictions]
        self._is_sentence_right = [is_sentence_right(reference, self._answers) for reference in references]

    def figures(self) -> dict[str, Figure]:
        """The figures over all texts."""
        figures = {
            "flag_accuracy": self._figure(self._is_flag_right),
            "balanced_accuracy": self._balanced_accuracy(),
            "detection_rate": self._figure(self._is_flag_right, self._has_error),
            "false_alarm_rate": self._figure(self._is_alarm, self._is_correct),
            "no_prediction_rate": self._figure([prediction.flag is None for prediction in self._predictions]),
        }
        votes = [vote for prediction in self._predictions for vote in prediction.votes]
        if votes:
            figures["unreadable_reply_rate"] = self._unreadable_rate()
        if self._has_sentences:
            figures["sentence_accuracy"] = self._figure(self._is_sentence_right)
        if self._has_corrections:
            figures |= self._text_figures(self.official)
        return figures

    def by_error_type(self) -> dict[str, dict[str, Figure]]:
        """For each type that occurs: how many errors are detected; and what becomes of correct texts."""
        rows: dict[str, dict[str, Figure]] = {}
        types = [text.error_type for text in self._texts]
        for name in in_order(error_type for error_type in types if error_type is not None):
            key = error_type_key(name)
            members = [error_type is not None and error_type_key(error_type) == key for error_type in types]
            rows[name] = self._row(members, {"flag_accuracy": self._is_flag_right})
        if any(self._is_correct):
            rows["(no error)"] = self._row(self._is_correct, {"flag_accuracy": self._is_flag_right})
        return rows

    def by_length(self) -> dict[str, dict[str, Figure]]:
        """For texts of each length that occurs."""
        rows: dict[str, dict[str, Figure]] = {}
        for name, is_in in LENGTHS.items():
            members = [is_in(text.words) for text in self._texts]
            if any(members):
                rows[name] = self._row(members, {"flag_accuracy": self._is_flag_right})
                with_error = [a and b for a, b in zip(members, self._has_error, strict=True)]
                correct = [a and b for a, b in zip(members, self._is_correct, strict=True)]
                rows[name]["detection_rate"] = self._figure(self._is_flag_right, with_error)
                rows[name]["false_alarm_rate"] = self._figure(self._is_alarm, correct)
        return rows

    def _row(self, members: Sequence[bool], outcomes: Mapping[str, Sequence[bool]]) -> dict[str, Figure]:
        row = {name: self._figure(values, members) for name, values in outcomes.items()}
        if self._has_sentences:
            row["sentence_accuracy"] = self._figure(self._is_sentence_right, members)
        return row

    def _figure(self, outcomes: Numbers, members: Sequence[bool] | None = None) -> Figure:
        of = len(self._texts) if members is None else sum(members)
        return Figure(rate(outcomes, members), self._interval(lambda: self._bootstrap.rates(outcomes, members)), of)

    def _balanced_accuracy(self) -> Figure:
        right = self._is_flag_right
        sides = [rate(right, self._has_error), rate(right, self._is_correct)]
        value = None if sides[0] is None or sides[1] is None else (sides[0] + sides[1]) / 2
        interval = self._interval(
            lambda: (self._bootstrap.rates(right, self._has_error) + self._bootstrap.rates(right, self._is_correct)) / 2
        )
        return Figure(value, interval, len(self._texts))

    def _unreadable_rate(self) -> Figure:
        shares = [
            sum(vote.flag is None for vote in prediction.votes) / len(prediction.votes) if prediction.votes else 0.0
            for prediction in self._predictions
        ]
        return self._figure(shares)

    def _text_figures(self, official: OfficialScores) -> dict[str, Figure]:
        place = {text.text_id: index for index, text in enumerate(self._texts)}
        figures: dict[str, Figure] = {}
        pair_ids = set(official.pair_ids)
        members = [text.text_id in pair_ids for text in self._texts]
        for metric in official.metrics:
            scores = np.zeros(len(self._texts))
            scores[[place[text_id] for text_id in official.pair_ids]] = metric.pair_scores
            # The official value, whose last digit depends on the order of adding, with the interval of the same mean.
            figures[metric.name] = Figure(metric.mean, self._figure(scores, members).interval, len(official.pair_ids))
            scores[[place[text_id] for text_id in official.both_na]] = 1.0
            figures[f"{metric.name}_composite"] = Figure(
                metric.composite, self._figure(scores).interval, len(self._texts)
            )
        return figures

    def _interval(self, draws: Callable[[], NDArray[np.float64]]) -> Interval | None:
        return interval_of(draws()) if self._with_intervals else None
