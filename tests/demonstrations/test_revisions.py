"""Revisions of notes that are not synthetic: neutral edits alone, and the words of the error to the letter."""

from __future__ import annotations

import random

import pytest

from builders import CORRECTED_SENTENCE, ERROR_SENTENCE, a_record
from medical_team.demonstrations.revisions import revised_note
from medical_team.judging import reference_judge
from medical_team.parsing import is_rewritten
from medical_team.records import DataType

JUDGE = reference_judge()


@pytest.mark.parametrize(
    ("data_type", "kept"),
    [(DataType.ADVERSARIAL_HARMFUL, ERROR_SENTENCE), (DataType.ADVERSARIAL_BENIGN, CORRECTED_SENTENCE)],
)
def test_the_sentence_at_stake_keeps_its_words(data_type, kept):
    record = a_record(data_type)
    for seed in range(20):
        revision = revised_note(record, JUDGE, random.Random(seed))
        assert revision is not None
        assert is_rewritten(revision, record.note)
        assert kept in revision


def test_revisions_vary():
    record = a_record(DataType.ADVERSARIAL_BENIGN)
    assert len({revised_note(record, JUDGE, random.Random(seed)) for seed in range(20)}) > 5
