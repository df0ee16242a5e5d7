"""The audit of single edited sentences: recipes that can be followed, and no ruling against what a person read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from judge_cases import CASE, CORRECTED_SENTENCE, ERROR_SENTENCE

from medical_team.judging import reference_judge


@pytest.fixture(scope="module")
def audit(load_script: Callable[..., ModuleType]) -> ModuleType:
    return load_script("sentence_edits", "benchmarks")


def test_a_recipe_exchanges_words_of_one_sentence(audit: ModuleType) -> None:
    edit = audit.SentenceEdit("new finding", "case-1", "error", 1, ("rash", "fever"), True)
    note, before, after = edit.changed(CASE)
    assert (before, after) == ("Her sister had a rash.", "Her sister had a fever.")
    assert note == CASE.error_note.replace(before, after)
    with pytest.raises(ValueError, match="lacks 'gout'"):
        replace(edit, edit=("gout", "rash")).changed(CASE)


def test_a_recipe_can_take_the_other_note_s_sentence_or_the_next_or_none(audit: ModuleType) -> None:
    at_stake = 7
    edit = audit.SentenceEdit("target restored", "case-1", "error", at_stake, "other", False)
    note, before, after = edit.changed(CASE)
    assert (note, before, after) == (CASE.corrected_note, ERROR_SENTENCE, CORRECTED_SENTENCE)
    swapped, before, after = replace(edit, sentence=1, edit="next").changed(CASE)
    assert f"{after} {before}" in swapped
    left_out, before, _ = replace(edit, sentence=1, edit="nothing").changed(CASE)
    assert before not in left_out


def test_an_edit_is_false_where_the_judge_rules_against_a_person_or_on_the_unknowable(audit: ModuleType) -> None:
    restored = audit.SentenceEdit("target restored", "case-1", "error", 7, "other", False)
    edits = [restored, replace(restored, error=True), replace(restored, error=None), replace(restored, edit="nothing")]
    assert [item.outcome for item in audit.judge_edits(edits, {"case-1": CASE}, reference_judge())] == [
        "right",
        "false",
        "false",
        "abstained",
    ]


def test_no_ruling_on_medec_is_false(audit: ModuleType, medec_validation_csv: Path) -> None:
    judged = audit.judge_edits(audit.read_edits(), audit.pairs_of(medec_validation_csv), reference_judge())
    outcomes = Counter(item.outcome for item in judged)
    assert [item.edit for item in judged if item.outcome == "false"] == []
    assert outcomes["right"] > 60
    assert len(judged) > 200
