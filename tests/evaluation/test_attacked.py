"""Held-out notes as an attacker revised them: the judge says what is in them, whatever the attacker was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from builders import synthetic_records
from medical_team.config import RunConfig
from medical_team.evaluation.attacked import attack_notes
from medical_team.game.rollout import Reply, RolloutRequest
from medical_team.judging import reference_judge
from medical_team.records import DataType, Role, TrainingRecord


class ScriptedRollout:
    """Gives the attacker's replies in turn, and the verdict Safe."""

    def __init__(self, revisions: Sequence[str]) -> None:
        self._revisions = iter(revisions)

    def generate(self, requests: Sequence[RolloutRequest], on_progress=None) -> list[Reply]:
        texts = [next(self._revisions) if request.speaker.role is Role.ATTACKER else "Safe" for request in requests]
        return [Reply(text, (1,), (2,), (-0.1,), is_finished=True) for text in texts]


def adversarial_records() -> list[TrainingRecord]:
    kinds = {True: DataType.ADVERSARIAL_HARMFUL, False: DataType.ADVERSARIAL_BENIGN}
    return [replace(record, data_type=kinds[record.data_type.is_harmful]) for record in synthetic_records(2)]


def attacked(revisions: Sequence[str]):
    records = adversarial_records()[: len(revisions)]
    return attack_notes(records, ScriptedRollout(revisions), reference_judge(), RunConfig(), name="held-out")


def test_a_revision_becomes_a_vanilla_record_of_its_truth():
    harmful, benign = adversarial_records()[:2]
    notes = attacked([harmful.note, benign.note])
    assert [record.data_type for record in notes.records] == [DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN]
    assert [record.note for record in notes.records] == [harmful.note, benign.note]


def test_an_attacker_that_took_the_error_out_made_a_note_without_one():
    harmful = adversarial_records()[0]
    (record,) = attacked([harmful.corrected_note]).records
    assert record.data_type is DataType.VANILLA_BENIGN
    assert record.note == harmful.corrected_note


def test_what_is_no_note_or_beyond_the_judge_is_left_out_and_counted():
    benign = adversarial_records()[1]
    notes = attacked(["", f"{benign.note} Zebras gallop."])
    assert notes.records == ()
    assert notes.asked == 2
