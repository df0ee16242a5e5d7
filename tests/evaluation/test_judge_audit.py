"""The audit of a judge: right figures for judges whose faults are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from builders import a_pair
from medec_csv import a_correct_row, an_error_row, some_rows, write_csv
from medical_team.errors import DataError, UsageError
from medical_team.evaluation.judge_audit import AuditItem, JudgeAudit, audit, choose_pairs, items_of, load_cases
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import reference_judge
from medical_team.records import ErrorType, JudgeFailure, Labels, NotePair, Ruling


class KnownJudge:
    """Rules as ``opinion`` says: True for an error, None to abstain, an exception to fail."""

    name = "known"

    def __init__(self, opinion: Callable[[JudgeQuery], bool | None], confidence: float | None = None) -> None:
        self._opinion = opinion
        self._confidence = confidence

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        return {query.game_id: self._rule_one(query) for query in queries}

    def _rule_one(self, query: JudgeQuery) -> Ruling:
        try:
            says_error = self._opinion(query)
        except ArithmeticError:
            return JudgeFailure(query.game_id, False, self.name, "failed")
        if says_error is None:
            return JudgeFailure(query.game_id, True, self.name, "can't tell")
        return Labels(
            query.game_id, says_error, None, "model", "so it is", confidence=self._confidence, prompt_version="7"
        )


def a_case(number: int, error_type: ErrorType = ErrorType.DIAGNOSIS, group: str | None = None) -> NotePair:
    return a_pair(
        case_id=f"case-{number}",
        near_duplicate_group=group or f"case-{number}",
        error_type=error_type,
        error_note=f"Patient {number} comes to the physician. She is started on the wrong drug.",
        corrected_note=f"Patient {number} comes to the physician. She is started on the right drug.",
    )


PAIRS = [a_case(number) for number in range(10)]


def audited(
    opinion: Callable[[JudgeQuery], bool | None], pairs: Sequence[NotePair] = PAIRS, **options: Any
) -> JudgeAudit:
    confidence = options.pop("confidence", None)
    judge = KnownJudge(opinion, confidence if isinstance(confidence, float) else None)
    return audit(judge, items_of(pairs), file="notes.csv", **options)


def knows(query: JudgeQuery) -> bool:
    return "wrong" in query.note.lower()


def number_of(query: JudgeQuery) -> int:
    return int(query.note.split()[1])


def test_a_judge_that_knows_is_right_everywhere() -> None:
    result = audited(knows)
    for figures in (result.notes, result.with_rewrites):
        rates = [figures.accuracy, figures.right_of_all, figures.precision, figures.recall, figures.f1]
        assert [rate.value for rate in [*rates, figures.specificity, figures.pair_accuracy]] == [1.0] * 7
        assert (figures.abstained.value, figures.failed.value) == (0.0, 0.0)
    assert (result.notes.notes, result.with_rewrites.notes) == (20, 50)
    assert (result.judge, result.prompt_version, result.cases, result.near_duplicate_groups) == ("known", "7", 10, 10)
    assert result.sources == {"model": 50}


def test_a_judge_that_takes_any_change_for_an_error_is_found_out_by_harmless_rewrites() -> None:
    result = audited(lambda query: query.pair is not None and query.note != query.pair.corrected_note)

    assert result.notes.pair_accuracy.value == 1.0
    assert result.with_rewrites.pair_accuracy.value == 0.0
    assert result.with_rewrites.specificity.value == 0.25
    assert result.with_rewrites.precision.value == 0.25
    assert {name: figures.specificity.value for name, figures in result.by_rewrite.items()} == {
        "a sentence a line": 0.0,
        "capitals": 0.0,
        "other words": 0.0,
    }


def test_a_judge_that_always_sees_an_error_has_no_pair_right() -> None:
    figures = audited(lambda query: True).notes
    assert (figures.recall.value, figures.specificity.value, figures.pair_accuracy.value) == (1.0, 0.0, 0.0)
    assert figures.precision.value == 0.5
    assert figures.f1.value == pytest.approx(2 / 3)


def test_a_judge_that_never_sees_one_has_no_precision() -> None:
    figures = audited(lambda query: False).notes
    assert figures.precision.value is None
    assert figures.f1.value is None
    assert figures.recall.value == 0.0


def test_abstaining_is_neither_right_nor_wrong_and_breaks_the_pair() -> None:
    figures = audited(lambda query: None if number_of(query) < 4 and knows(query) else knows(query)).notes
    assert figures.accuracy.value == 1.0
    assert figures.accuracy.count == 16
    assert figures.right_of_all.value == 0.8
    assert figures.abstained.value == 0.2
    assert figures.failed.value == 0.0
    assert figures.pair_accuracy.value == 0.6


def test_failures_are_counted_apart_from_abstentions() -> None:
    def fails(query: JudgeQuery) -> bool:
        if number_of(query) == 0:
            raise ArithmeticError
        return knows(query)

    figures = audited(fails).notes
    assert (figures.abstained.value, figures.failed.value) == (0.0, 0.1)


def test_a_game_that_the_judge_leaves_out_is_a_failure() -> None:
    class Forgetful(KnownJudge):
        def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
            return dict(list(super().rule(queries).items())[1:])

    result = audit(Forgetful(knows), items_of(PAIRS), file="notes.csv")
    assert result.with_rewrites.failed.value == 1 / 50


def test_figures_by_error_type() -> None:
    pairs = [a_case(number, ErrorType.DIAGNOSIS if number < 6 else ErrorType.TREATMENT) for number in range(10)]
    result = audited(lambda query: knows(query) and number_of(query) != 9, pairs)

    assert list(result.by_error_type) == ["diagnosis", "treatment"]
    assert result.by_error_type["diagnosis"].pair_accuracy.value == 1.0
    assert result.by_error_type["treatment"].pair_accuracy.value == 0.75
    assert result.by_error_type["treatment"].recall.count == 4


def test_intervals_are_drawn_over_near_duplicate_groups() -> None:
    def right_for_even(query: JudgeQuery) -> bool:
        return knows(query) == (number_of(query) % 2 == 0)

    apart = audited(right_for_even, [a_case(number) for number in range(40)]).notes.accuracy
    together = audited(right_for_even, [a_case(number, group=str(number % 2)) for number in range(40)]).notes.accuracy

    assert apart.value == together.value == 0.5
    assert apart.interval is not None
    assert together.interval is not None
    assert (together.interval.low, together.interval.high) == (0.0, 1.0)
    assert 0.3 < apart.interval.low < 0.5 < apart.interval.high < 0.7


def test_confidence_that_fits_is_calibrated_and_boasting_is_not() -> None:
    assert audited(knows, confidence=1.0).notes.calibration_error.value == 0.0
    assert audited(lambda query: not knows(query), confidence=0.9).notes.calibration_error.value == pytest.approx(0.9)
    assert audited(knows).notes.calibration_error.value is None


def test_text_only_hides_the_case() -> None:
    seen: list[NotePair | None] = []

    def look(query: JudgeQuery) -> bool:
        seen.append(query.pair)
        return knows(query)

    assert audited(look, is_text_only=True).is_text_only
    assert set(seen) == {None}


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    audited(knows, [a_case(number) for number in range(20)], on_progress=tell)
    assert told == [(64, 100), (100, 100)]


def test_rewrites_hold_every_word_that_matters(medec_validation_csv: Path) -> None:
    items = items_of(load_cases(medec_validation_csv).pairs)
    assert [item.kind for item in items[:4]] == ["error note", "corrected note", "a sentence a line", "capitals"]
    for item in items:
        if item.kind in ("a sentence a line", "capitals"):
            assert item.note.upper().split() == item.pair.corrected_note.upper().split()
        if item.kind == "other words":
            digits = [mark for mark in item.note if mark.isdigit()]
            assert digits == [mark for mark in item.pair.corrected_note if mark.isdigit()]


def test_the_reference_judge_is_never_wrong_on_medec(medec_validation_csv: Path) -> None:
    pairs = load_cases(medec_validation_csv).pairs[:60]
    result = audit(reference_judge(), items_of(pairs), file="validation")

    assert result.notes.pair_accuracy.value == 1.0
    assert result.with_rewrites.accuracy.value == 1.0
    assert result.by_rewrite["capitals"].abstained.value == 0.0
    abstained = result.by_rewrite["other words"].abstained.value
    assert abstained is not None
    assert abstained > 0.5


class TestReadingCases:
    def test_cases_of_a_csv_with_their_near_duplicate_groups(self, tmp_path: Path) -> None:
        cases = load_cases(write_csv(tmp_path / "medec.csv", [*some_rows(6), an_error_row(9, Error_Flag="typo")]))
        assert cases.name == "medec.csv"
        assert [pair.case_id for pair in cases.pairs] == [f"ms-val-{2 * number}" for number in range(6)]
        assert len(cases.refusals) == 1
        assert "typo" in cases.refusals[0]

    def test_a_csv_without_an_error_case_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="has no error case"):
            load_cases(write_csv(tmp_path / "medec.csv", [a_correct_row(1)]))

    def test_a_slice_is_drawn_by_the_seed(self) -> None:
        drawn = choose_pairs(PAIRS, 4, seed=1)
        assert drawn == choose_pairs(PAIRS, 4, seed=1)
        assert drawn == sorted(drawn, key=lambda pair: pair.case_id)
        assert any(choose_pairs(PAIRS, 4, seed) != drawn for seed in range(5))
        assert choose_pairs(PAIRS, 99, 0) == choose_pairs(PAIRS, None, 0) == PAIRS
        with pytest.raises(UsageError, match="--cases is 0"):
            choose_pairs(PAIRS, 0, 0)

    def test_a_rewrite_that_changes_nothing_is_left_out(self) -> None:
        pair = a_pair(corrected_note="FINE", error_note="BAD")
        assert items_of([pair]) == [AuditItem(pair, "error note", "BAD"), AuditItem(pair, "corrected note", "FINE")]


def test_no_figure_is_a_number_that_is_none() -> None:
    figures = audited(lambda query: None).notes
    assert figures.accuracy.value is None
    assert figures.accuracy.interval is None
    assert figures.right_of_all.value == 0.0
    assert not math.isnan(figures.abstained.value or 0.0)
