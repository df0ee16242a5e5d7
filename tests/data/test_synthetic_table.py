"""The medical table of the synthetic notes is consistent."""

from itertools import product

import pytest

from medical_team.data.synthetic import medical_table
from medical_team.data.synthetic.language import BACKGROUNDS, WORDINGS
from medical_team.data.synthetic.reader import slot_phrases, words_of
from medical_team.data.synthetic.table import FINDING_KINDS, Condition
from medical_team.records import ErrorType

TABLE = medical_table()
CONDITIONS = pytest.mark.parametrize("condition", TABLE.conditions.values(), ids=lambda condition: condition.name)


def test_the_world_is_rich() -> None:
    assert len(TABLE.conditions) >= 60
    assert len(TABLE.cautions) >= 12 <= len(BACKGROUNDS)
    for kind in ErrorType:
        assert sum(kind in condition.kinds for condition in TABLE.conditions.values()) >= 20


@CONDITIONS
def test_every_answer_of_a_condition_is_a_known_entry(condition: Condition) -> None:
    for kind in condition.kinds:
        choice = condition.choice(kind)
        assert choice is not None
        assert {*choice.right, choice.mistaken} <= set(TABLE.answers[kind])
    every_answer = {name for names in TABLE.answers.values() for name in names}
    assert set(condition.debatable) <= every_answer
    assert set(condition.regimens) <= set(TABLE.drugs)


@CONDITIONS
def test_no_confusion_is_an_acceptable_answer(condition: Condition) -> None:
    for kind in condition.kinds:
        choice = condition.choice(kind)
        assert choice is not None
        assert TABLE.is_wrong(kind, choice.mistaken, condition)
        for name in TABLE.confusions(kind, condition):
            assert TABLE.is_wrong(kind, name, condition)
            assert name != choice.mistaken
        assert not set(choice.right) & set(condition.debatable)


@CONDITIONS
def test_the_tail_of_rare_errors_is_long(condition: Condition) -> None:
    tail = sum(len(TABLE.confusions(kind, condition)) for kind in condition.kinds)
    assert tail >= 15
    assert TABLE.confusions(ErrorType.DIAGNOSIS, condition)


@CONDITIONS
def test_all_findings_of_a_note_tell_one_condition(condition: Condition) -> None:
    for findings in product(*(condition.findings(kind) for kind in FINDING_KINDS)):
        assert TABLE.candidates(list(zip(FINDING_KINDS, findings, strict=True))) == {condition.name}


@CONDITIONS
def test_bounds_are_in_order(condition: Condition) -> None:
    assert 1 <= condition.ages[0] < condition.ages[1] <= 100
    assert 1 <= condition.onset[1] <= condition.onset[2]


def test_drugs_name_known_cautions_and_positive_doses() -> None:
    for drug in TABLE.drugs.values():
        named = [*drug.avoid, *drug.unclear, *drug.adjusted]
        assert set(named) <= set(TABLE.cautions)
        assert len(set(named)) == len(named)
        assert all(dose > 0 for dose in drug.doses)
    assert not set(BACKGROUNDS) & {caution.text for caution in TABLE.cautions.values()}


def test_a_dose_is_right_for_one_history_alone() -> None:
    for drug in TABLE.drugs.values():
        for doses in drug.adjusted.values():
            assert max(doses) < min(drug.doses) or min(doses) > max(drug.doses), drug.name


def test_every_history_changes_what_is_right_for_some_condition() -> None:
    for name in TABLE.cautions:
        drugs = {drug.name for drug in TABLE.drugs.values() if name in (*drug.avoid, *drug.adjusted)}
        changed = [item for item in TABLE.conditions.values() if item.drug and drugs & set(item.drug.right)]
        assert changed, name


def test_every_confusable_answer_is_used() -> None:
    used: set[str] = set()
    for condition in TABLE.conditions.values():
        used |= set(condition.debatable)
        for kind in condition.kinds:
            choice = condition.choice(kind)
            assert choice is not None
            used |= {*choice.right, choice.mistaken}
    assert {name for names in TABLE.answers.values() for name in names} - used == set()


def test_phrases_of_a_slot_differ_by_their_words() -> None:
    for slot, phrases in slot_phrases().items():
        assert len({tuple(words_of(phrase)) for phrase in phrases}) == len(phrases), slot
        for phrase in phrases:
            assert "  " not in phrase
            assert phrase == phrase.strip()


def test_wordings_of_a_kind_differ() -> None:
    for wordings in WORDINGS.values():
        assert len(set(wordings)) == len(wordings) >= 2
        assert any("{subject}" not in wording for wording in wordings)
