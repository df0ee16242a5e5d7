"""Revisions of notes that are not synthetic: neutral edits alone, and the words of the error to the letter."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from builders import CORRECTED_SENTENCE, ERROR_SENTENCE, a_record, synthetic_records
from medical_team.demonstrations.revisions import revised_note, revised_sentences
from medical_team.judge.lexicon import OPENING_WORDS
from medical_team.judge.wording import read
from medical_team.judging import reference_judge
from medical_team.parsing import is_rewritten
from medical_team.records import DataType
from medical_team.sentences import NumberedNote, read_edits

JUDGE = reference_judge()


@pytest.mark.parametrize(
    ("data_type", "kept"),
    [(DataType.ADVERSARIAL_HARMFUL, ERROR_SENTENCE), (DataType.ADVERSARIAL_BENIGN, CORRECTED_SENTENCE)],
)
def test_the_sentence_at_stake_keeps_its_words(data_type: DataType, kept: str) -> None:
    record = a_record(data_type)
    for seed in range(20):
        revision = revised_note(record, JUDGE, random.Random(seed))
        assert revision is not None
        assert is_rewritten(revision, record.note)
        assert kept in revision


def test_revisions_vary() -> None:
    record = a_record(DataType.ADVERSARIAL_BENIGN)
    assert len({revised_note(record, JUDGE, random.Random(seed)) for seed in range(20)}) > 5


@pytest.mark.parametrize("data_type", [DataType.ADVERSARIAL_HARMFUL, DataType.ADVERSARIAL_BENIGN])
@pytest.mark.parametrize("synthetic", [False, True])
def test_a_demonstrated_edit_is_one_that_the_judge_can_tell(data_type: DataType, synthetic: bool) -> None:
    records = synthetic_records() if synthetic else [a_record(data_type)]
    records = [
        replace(record, data_type=data_type)
        for record in records
        if record.data_type.is_harmful is data_type.is_harmful
    ]
    found = 0
    for seed, record in enumerate(records * (1 if synthetic else 20)):
        answer = revised_sentences(record, JUDGE, random.Random(seed))
        if answer is None:
            continue
        found += 1
        note = NumberedNote(record.note)
        edits = read_edits(answer, note, 1)
        assert isinstance(edits, dict), edits
        assert JUDGE.find(note.edited(edits).text, record.pair).error_present is data_type.is_harmful
    assert found > 2


def test_an_edit_of_a_synthetic_note_starts_as_the_sentence_behind_its_number_does() -> None:
    for seed, record in enumerate(synthetic_records()):
        answer = revised_sentences(record, JUDGE, random.Random(seed))
        assert answer is not None
        number, _, edited = answer.partition(": ")
        sentence = NumberedNote(record.note).sentences[int(number)]
        alike = [new for new, old in zip(edited.split(), sentence.split(), strict=False) if new == old]
        assert alike
        assert edited != sentence


def test_a_demonstrated_edit_ends_with_a_remark() -> None:
    record = a_record(DataType.ADVERSARIAL_BENIGN)
    sentences = NumberedNote(record.note).sentences
    kept = 0
    for seed in range(20):
        answer = revised_sentences(record, JUDGE, random.Random(seed))
        assert answer is not None
        number, _, edited = answer.partition(": ")
        sentence, _, remark = edited.rpartition("; ")
        assert remark.removesuffix(".") in OPENING_WORDS
        kept += sentence == sentences[int(number)].removesuffix(".")
    assert 0 < kept < 20


def test_demonstrated_edits_exchange_nothing_but_wordings_of_the_closed_list() -> None:
    record = a_record(DataType.ADVERSARIAL_BENIGN)
    sentences = NumberedNote(record.note).sentences
    for seed in range(40):
        answer = revised_sentences(record, JUDGE, random.Random(seed))
        assert answer is not None
        number, _, sentence = answer.partition(": ")
        assert read(sentence).plain == read(sentences[int(number)]).plain


def test_a_wording_is_exchanged_only_where_its_condition_holds() -> None:
    start = "He reports pain at night. His mental states vary. He has no fever and chills."
    error, corrected = f"{start} He has gout.", f"{start} He has scurvy."
    record = a_record(
        DataType.ADVERSARIAL_BENIGN,
        note=corrected,
        error_note=error,
        corrected_note=corrected,
        error_sentence="He has gout.",
        corrected_sentence="He has scurvy.",
    )
    answers = {revised_sentences(record, JUDGE, random.Random(seed)) for seed in range(60)}
    told = " ".join(answer for answer in answers if answer is not None)
    assert "He states pain" in told
    assert "mental reports" not in told
    assert "fever as well as chills" not in told
