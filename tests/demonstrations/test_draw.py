"""Demonstrations: what a player is asked, as the game asks it, and a reply that the game would read as it is meant."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from builders import a_record, present, synthetic_records
from medical_team.config import GameConfig
from medical_team.demonstrations.draw import Demonstration, DemonstrationDraw
from medical_team.errors import UsageError
from medical_team.game_config import PromptStyle
from medical_team.judging import reference_judge
from medical_team.parsing import is_rewritten, parse_reply, parse_verdict, revision_problem
from medical_team.records import DataType, Role, Verdict
from medical_team.sentences import Assessment, NumberedNote, read_assessment

STYLES: tuple[PromptStyle, ...] = ("full", "short", "terse")


def drawn(config: GameConfig | None = None, *, count: int = 24, step: int = 0, **changes: Any) -> list[Demonstration]:
    records = changes.pop("records", None) or synthetic_records()
    options: dict[str, Any] = {"seed": 5, "attacker_share": 0.5, **changes}
    return DemonstrationDraw(records, config or GameConfig(), **options).demonstrations(step, count)


@pytest.mark.parametrize(("style", "is_thinking"), itertools.product(STYLES, (True, False)))
def test_the_game_reads_each_demonstrated_reply_as_it_is_meant(style: PromptStyle, is_thinking: bool) -> None:
    records = {record.id: record for record in synthetic_records()}
    config = GameConfig(prompt_style=style, thinking=is_thinking)
    for demonstration in drawn(config):
        parsed = parse_reply(demonstration.reply, is_thinking=is_thinking, is_finished=True)
        record = records[demonstration.record_id]
        assert parsed.is_format_kept is (True if is_thinking else None)
        if demonstration.role is Role.ASSESSOR:
            right = Verdict.HARMFUL if record.data_type.is_harmful else Verdict.SAFE
            assert parse_verdict(parsed.answer) is right
        else:
            assert revision_problem(parsed.answer, record.note) is None
            assert is_rewritten(parsed.answer, record.note)


def test_a_demonstrated_verdict_names_the_sentence_where_one_is_asked_for() -> None:
    records = {record.id: record for record in synthetic_records()}
    config = GameConfig(assessor="locate")
    for demonstration in drawn(config, attacker_share=0.0):
        record = records[demonstration.record_id]
        note = NumberedNote(record.note, record.sentence_starts)
        answer = parse_reply(demonstration.reply, is_thinking=False, is_finished=True).answer
        read = read_assessment(answer, "locate", range(len(note.spans)))
        assert note.written() in demonstration.prompt
        if record.data_type.is_harmful:
            assert isinstance(read, Assessment)
            assert record.error_sentence in note.sentences[present(read.location)]
        else:
            assert read == Assessment(Verdict.SAFE)


def test_the_reference_judge_accepts_each_demonstrated_correction() -> None:
    judge = reference_judge()
    records = {record.id: record for record in synthetic_records()}
    for demonstration in drawn(GameConfig(assessor="correct"), attacker_share=0.0):
        record = records[demonstration.record_id]
        note = NumberedNote(record.note, record.sentence_starts)
        answer = parse_reply(demonstration.reply, is_thinking=False, is_finished=True).answer
        read = read_assessment(answer, "correct", range(len(note.spans)))
        if record.data_type.is_harmful:
            assert isinstance(read, Assessment)
            corrected = note.edited({present(read.location): present(read.correction)}).text
            assert judge.find(corrected, record.pair).error_present is False
        else:
            assert read == Assessment(Verdict.SAFE)


def test_the_reference_judge_finds_in_each_revision_what_its_brief_asks_for() -> None:
    judge = reference_judge()
    records = {record.id: record for record in synthetic_records()}
    revisions = [demonstration for demonstration in drawn(count=40) if demonstration.role is Role.ATTACKER]
    assert len(revisions) == 20
    for demonstration in revisions:
        record = records[demonstration.record_id]
        assert judge.find(demonstration.reply, record.pair).error_present is record.data_type.is_harmful


def test_some_errors_are_exchanged_for_others() -> None:
    records = {record.id: record for record in synthetic_records()}
    harmful = [
        (demonstration.reply, records[demonstration.record_id])
        for step in range(4)
        for demonstration in drawn(step=step)
        if demonstration.role is Role.ATTACKER and records[demonstration.record_id].data_type.is_harmful
    ]
    facts = [record.error_sentence.split()[-2] for _, record in harmful]
    kept = [fact in reply for (reply, _), fact in zip(harmful, facts, strict=True)]
    assert any(kept)
    assert not all(kept)


def test_half_of_the_notes_hold_an_error() -> None:
    records = {record.id: record for record in synthetic_records()}
    for role in Role:
        demonstrations = [demonstration for demonstration in drawn() if demonstration.role is role]
        assert len(demonstrations) == 12
        assert sum(records[item.record_id].data_type.is_harmful for item in demonstrations) == 6


def test_a_step_can_be_drawn_again_and_differs_from_the_next() -> None:
    assert drawn(step=3) == drawn(step=3)
    assert drawn(step=3) != drawn(step=4)


def test_verdicts_can_be_taught_for_some_of_the_records_alone() -> None:
    taught = synthetic_records()[:4]
    verdicts = [item for item in drawn(assessor_records=taught) if item.role is Role.ASSESSOR]
    assert {item.record_id for item in verdicts} <= {record.id for record in taught}


def test_verdicts_can_be_coin_flips_for_some_records() -> None:
    records = synthetic_records()
    guessed, taught = records[:6], records[6:]
    verdicts = [
        item
        for step in range(20)
        for item in drawn(step=step, attacker_share=0.0, assessor_records=taught, guessed_records=guessed)
    ]
    for part, share in ((guessed, 0.5), (taught, 1.0)):
        by_id = {record.id: record for record in part}
        right = [
            by_id[item.record_id].data_type.is_harmful is item.reply.startswith("Harmful")
            for item in verdicts
            if item.record_id in by_id
        ]
        assert len(right) == pytest.approx(240, abs=60)
        assert sum(right) / len(right) == pytest.approx(share, abs=0.1)


def test_paired_verdicts_are_of_both_notes_of_a_case_and_guesses_say_both() -> None:
    records = synthetic_records()
    guessed, taught = records[:6], records[6:]
    named = {record.id: record for record in records}
    options: dict[str, Any] = {
        "assessor_records": taught,
        "guessed_records": guessed,
        "guessed_share": 0.25,
        "is_paired": True,
    }
    verdicts = drawn(count=48, attacker_share=0.0, **options)
    pairs = list(zip(verdicts[::2], verdicts[1::2], strict=True))
    guesses = [pair for pair in pairs if named[pair[0].record_id] in guessed]
    assert 1 <= len(guesses) <= 12
    for pair in pairs:
        first, second = (named[verdict.record_id] for verdict in pair)
        assert {verdict.reply.removesuffix("</answer>") for verdict in pair} == {"Harmful", "Safe"}
        if pair in guesses:
            assert first == second
        else:
            assert (first.error_note, first.corrected_note) == (second.error_note, second.corrected_note)
            assert first.note != second.note


def test_without_an_attackers_turn_verdicts_alone_are_shown() -> None:
    assert {item.role for item in drawn(GameConfig(no_attacker_turn=True))} == {Role.ASSESSOR}


def test_a_note_that_allows_no_known_revision_is_an_error_that_names_the_way_out() -> None:
    bare = [
        a_record(data_type, note=note, error_note="zzz one", corrected_note="zzz two")
        for data_type, note in ((DataType.VANILLA_HARMFUL, "zzz one"), (DataType.VANILLA_BENIGN, "zzz two"))
    ]
    with pytest.raises(UsageError, match=r"warmstart\.attacker_share = 0\.0"):
        drawn(records=bare)


def test_notes_of_both_kinds_are_needed() -> None:
    with pytest.raises(UsageError, match="none of the 1 training records is a note without an error"):
        drawn(records=[a_record(DataType.VANILLA_HARMFUL)])


def test_the_few_notes_that_allow_a_revision_are_found_among_many() -> None:
    bare = [
        a_record(data_type, id=f"{data_type.value}-{n}", note=note, error_note="zzz one", corrected_note="zzz two")
        for data_type, note in ((DataType.VANILLA_HARMFUL, "zzz one"), (DataType.VANILLA_BENIGN, "zzz two"))
        for n in range(200)
    ]
    known = {record.id for record in synthetic_records()}

    shown = drawn(records=[*bare, *synthetic_records()], attacker_share=1.0, count=40)

    assert {item.record_id for item in shown} <= known


def test_a_correction_is_shown_only_of_an_error_within_one_sentence() -> None:
    note = "He has a fever. He takes 5 mg. He rests."
    beyond = a_record(
        DataType.VANILLA_HARMFUL,
        id="beyond",
        note=note,
        error_note=note,
        corrected_note="He coughs. He takes 7 mg. He rests.",
        error_sentence="He has a fever. He takes 5 mg.",
        corrected_sentence="He coughs. He takes 7 mg.",
        sentence_starts=(),
    )
    config = GameConfig(assessor="correct")

    shown = drawn(config, records=[beyond, *synthetic_records()], attacker_share=0.0, count=60)

    assert all(item.record_id != "beyond" for item in shown)
    with pytest.raises(UsageError, match="in none of the notes with an error does one sentence hold all of it"):
        drawn(config, records=[beyond, a_record(DataType.VANILLA_BENIGN)], attacker_share=0.0)
