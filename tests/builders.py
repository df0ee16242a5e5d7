"""Small records for tests, and hypothesis strategies of records and of texts that players may write.

Every builder gives a whole, consistent record; keyword arguments change single fields of it. The medical content
is invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from medical_team.config import RunConfig
from medical_team.data.synthetic import synthetic_cases
from medical_team.parsing import parse_reply, parse_verdict
from medical_team.planning.plan import MemoryPlan
from medical_team.planning.planner import plan_of
from medical_team.records import (
    DataType,
    ErrorType,
    Game,
    GameSpec,
    GameState,
    JudgeFailure,
    Labels,
    NotePair,
    Reward,
    Role,
    Source,
    TrainingRecord,
    Turn,
    Verdict,
)
from medical_team.samples import Sample

ValueT = TypeVar("ValueT")


BEGINNING = "A 40-year-old man has a cough and a fever of 39.2 C. A chest film shows a dense lobe."
ERROR_SENTENCE = "He is given 5000 mg of amoxicillin three times a day."
CORRECTED_SENTENCE = "He is given 500 mg of amoxicillin three times a day."
REVISED_BEGINNING = (
    "This gentleman, aged 40, came with coughing and a temperature of 39.2 C; one lobe is dense on film."
)


def changed(config: RunConfig, **sections: Mapping[str, Any]) -> RunConfig:
    """``config`` with some values of some sections changed."""
    return replace(config, **{name: replace(getattr(config, name), **values) for name, values in sections.items()})


def a_pair(**changes: Any) -> NotePair:
    """An error case: a tenfold dose."""
    pair = NotePair(
        case_id="case-0",
        near_duplicate_group="case-0",
        source=Source.MEDEC,
        error_type=ErrorType.PHARMACOTHERAPY,
        error_note=f"{BEGINNING} {ERROR_SENTENCE}",
        corrected_note=f"{BEGINNING} {CORRECTED_SENTENCE}",
        error_sentence=ERROR_SENTENCE,
        corrected_sentence=CORRECTED_SENTENCE,
    )
    return replace(pair, **changes)


def a_record(data_type: DataType = DataType.ADVERSARIAL_HARMFUL, **changes: Any) -> TrainingRecord:
    """A line of train.jsonl with the note that ``data_type`` starts from."""
    pair = a_pair()
    record = TrainingRecord(
        id=f"{pair.case_id}-{data_type.value}",
        case_id=pair.case_id,
        near_duplicate_group=pair.near_duplicate_group,
        source=pair.source,
        data_type=data_type,
        note=seed_note_of(pair, data_type),
        error_type=pair.error_type,
        error_note=pair.error_note,
        corrected_note=pair.corrected_note,
        error_sentence=pair.error_sentence,
        corrected_sentence=pair.corrected_sentence,
    )
    return replace(record, **changes)


def synthetic_records(cases: int = 12, seed: int = 3) -> list[TrainingRecord]:
    """Vanilla records of synthetic cases, each case with and without its error."""
    return [
        TrainingRecord.of(case.pair(), data_type)
        for case in synthetic_cases(cases, seed)
        for data_type in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)
    ]


def a_spec(data_type: DataType = DataType.ADVERSARIAL_HARMFUL, **changes: Any) -> GameSpec:
    """A game of ``data_type`` that is to be played."""
    pair = changes.pop("pair", None) or a_pair()
    spec = GameSpec(
        id=f"game-{data_type.value}",
        step=0,
        record_id=f"{pair.case_id}-{data_type.value}",
        data_type=data_type,
        seed_note=seed_note_of(pair, data_type),
        pair=pair,
    )
    return replace(spec, **changes)


def seed_note_of(pair: NotePair, data_type: DataType) -> str:
    """The note that a game of ``data_type`` starts from."""
    return pair.error_note if data_type.is_harmful else pair.corrected_note


def a_revision_of(seed_note: str) -> str:
    """``seed_note`` in other words, its last sentence untouched."""
    return seed_note.replace(BEGINNING, REVISED_BEGINNING)


def a_turn(role: Role = Role.ASSESSOR, answer: str = "Harmful", *, thinking: str | None = None, **changes: Any) -> Turn:
    """A finished turn with ``answer``: in no-thinking mode, or with the format kept when there is ``thinking``."""
    is_thinking = thinking is not None
    reply = f"{thinking} </think> <answer> {answer} </answer>" if is_thinking else answer
    parsed = parse_reply(reply, is_thinking=is_thinking, is_finished=True)
    turn = Turn(
        role=role,
        prompt=f"the {role.value}'s request",
        reply=reply,
        thinking=parsed.thinking,
        answer=parsed.answer,
        prompt_token_ids=(1, 2, 3),
        token_ids=(4, 5, 0),
        log_probs=(-0.5, -0.25, -0.125),
        is_finished=True,
        is_format_kept=parsed.is_format_kept,
        is_trained=True,
    )
    return replace(turn, **changes)


def labels_for(game_id: str, *, error_present: bool, verdict: Verdict | None) -> Labels:
    """A judge's labels of a game with ``verdict``."""
    return Labels(
        game_id=game_id,
        error_present=error_present,
        error_detected=verdict is Verdict.HARMFUL,
        source="a test",
        reason="the test says so",
    )


def a_game(
    data_type: DataType = DataType.ADVERSARIAL_HARMFUL,
    *,
    verdict: Verdict | None = Verdict.HARMFUL,
    error_present: bool | None = None,
    state: GameState | None = None,
    revision: str | None = None,
    thinking: str | None = None,
    **changes: Any,
) -> Game:
    """A game that was played and ruled on.

    Args:
        data_type: its category.
        verdict: what the assessor said; None for a reply that is no verdict.
        error_present: what the judge says of the note; as the category asks for, when not given.
        state: its state; when not given, decided, or no verdict where there is none.
        revision: the attacker's note in an adversarial game; a faithful one, when not given.
        thinking: what each player thought; None for no-thinking mode.
        changes: single fields of the game to set in the end.
    """
    spec = changes.pop("spec", None) or a_spec(data_type)
    note = spec.seed_note
    turns: list[Turn] = []
    if data_type.is_adversarial:
        note = a_revision_of(note) if revision is None else revision
        turns.append(a_turn(Role.ATTACKER, note, thinking=thinking))
    state = state or (GameState.DECIDED if verdict else GameState.NO_VERDICT)
    if state is not GameState.NO_REVISION:
        turns.append(a_turn(Role.ASSESSOR, verdict.value if verdict else "Perhaps.", thinking=thinking))
    is_assessed = state is not GameState.NO_REVISION
    game = Game(
        spec=spec,
        turns=tuple(turns),
        note=note if is_assessed else None,
        verdict=parse_verdict(turns[-1].answer) if is_assessed else None,
        state=state,
        reason="" if state is GameState.AWAITING_RULING else "the test says so",
    )
    if state is GameState.DECIDED and verdict is not None:
        is_present = data_type.is_harmful if error_present is None else error_present
        game = replace(game, ruling=labels_for(spec.id, error_present=is_present, verdict=verdict))
    if state in (GameState.VOID, GameState.UNDECIDABLE):
        game = replace(game, ruling=JudgeFailure(spec.id, is_abstention=True, source="a test", reason="can't tell"))
    return replace(game, **changes)


def a_sample(role: Role = Role.ASSESSOR, *, total: float = 1.0, game_id: str = "game-0", **changes: Any) -> Sample:
    """A trained turn of three tokens, or with the ``changes``, whose reward is all core."""
    reward = Reward(role=role, core=total, revision=None, format=None, total=total)
    return Sample(game_id, a_turn(role, **changes), reward)


data_types = st.sampled_from(list(DataType))
adversarial_data_types = st.sampled_from([kind for kind in DataType if kind.is_adversarial])
verdicts = st.sampled_from(list(Verdict))

tag_fragments = st.sampled_from(
    [
        *("<think>", "</think>", "<answer>", "</answer>", "<note>", "</note>", "<", ">", "/", " ", "\n", "\u200b"),
        *(
            "</Note>",
            "< / NOTE >",
            "<note id=1>",
            "</note",
            "＜/note＞",
            "﹤/answer﹥",
            "<／ｎｏｔｅ>",
            "<<",
            ">>",
            "(",
            ")",
        ),
        *("note", "think", "answer", "Safe", "Harmful", "fever", "<5 mg>", "<notes>", "{answer}", "\\1"),
    ]
)

tag_like_texts = st.lists(st.one_of(tag_fragments, st.text(max_size=4)), max_size=25).map("".join)
"""Texts that try to look like our own tags."""

words = st.text(alphabet="abcdefghij", min_size=1, max_size=8)

notes = st.lists(words, min_size=1, max_size=40).map(" ".join)
"""Plain texts of some words."""


@st.composite
def games(draw: st.DrawFn) -> Game:
    """Any game that was played: each category, state, verdict, format and truth."""
    data_type = draw(data_types)
    state = draw(st.sampled_from(list(GameState)))
    if state in (GameState.NO_REVISION, GameState.UNDECIDABLE):
        data_type = draw(adversarial_data_types)
    game = a_game(
        data_type,
        verdict=None if state is GameState.NO_VERDICT else draw(verdicts),
        error_present=draw(st.booleans()),
        state=state,
        revision=draw(st.one_of(st.none(), st.just(a_spec(data_type).seed_note), notes)),
        thinking=draw(st.one_of(st.none(), words)),
    )
    turns = tuple(
        replace(
            turn,
            is_format_kept=None if turn.is_format_kept is None else draw(st.booleans()),
            is_trained=draw(st.booleans()),
        )
        for turn in game.turns
    )
    return replace(game, turns=turns)


def present(value: ValueT | None) -> ValueT:
    """``value``, which the test says is there."""
    assert value is not None
    return value


def memory_of(config: RunConfig) -> MemoryPlan:
    """The planned memory of a run whose model's shape is known."""
    memory = plan_of(config).memory
    assert isinstance(memory, MemoryPlan)
    return memory
