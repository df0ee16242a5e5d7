from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import CORRECTED_SENTENCE, a_game, a_revision_of, a_spec, present
from medical_team.config import GameConfig, RolloutConfig
from medical_team.game.play import play, samples_of, score
from medical_team.game.rollout import REFERENCE, PromptTooLong, Reply, RolloutRequest, Speaker
from medical_team.records import LIVING, DataType, Game, GameState, JudgeFailure, Role, Verdict
from medical_team.sentences import NumberedNote, corrected_note

THINKING = GameConfig(thinking=True)
PLAIN = GameConfig(thinking=False)


class ScriptedRollout:
    """Says what a script tells it; keeps what it was asked."""

    def __init__(self, script: Callable[[RolloutRequest], str | Reply | PromptTooLong]) -> None:
        self.script = script
        self.batches: list[list[RolloutRequest]] = []

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Callable[..., Any] | None = None
    ) -> list[Reply | PromptTooLong]:
        if requests:
            self.batches.append(list(requests))
        answers = [self.script(request) for request in requests]
        return [a_reply(answer) if isinstance(answer, str) else answer for answer in answers]


def a_reply(text: str, *, is_finished: bool = True) -> Reply:
    return Reply(text=text, prompt_token_ids=(1, 2), token_ids=(3, 0), log_probs=(-0.1, -0.2), is_finished=is_finished)


def play_one(
    data_type: DataType, config: GameConfig, script: Callable[[RolloutRequest], str | Reply | PromptTooLong]
) -> tuple[Game, ScriptedRollout]:
    rollout = ScriptedRollout(script)
    (game,) = play([a_spec(data_type)], rollout, config, RolloutConfig(), seed=0)
    return game, rollout


def thought(answer: str, thinking: str = "hm") -> str:
    return f" {thinking} </think> <answer> {answer} </answer>"


def test_a_vanilla_note_passes_unchanged_without_an_attacker() -> None:
    game, rollout = play_one(DataType.VANILLA_HARMFUL, PLAIN, lambda request: "Harmful")

    assert game.note == game.spec.seed_note
    assert [turn.role for turn in game.turns] == [Role.ASSESSOR]
    assert game.verdict is Verdict.HARMFUL
    assert game.state is GameState.AWAITING_RULING
    assert game.spec.seed_note in rollout.batches[0][0].prompt


def test_the_assessor_reads_the_revision_and_never_the_thinking() -> None:
    revision = a_revision_of(a_spec(DataType.ADVERSARIAL_HARMFUL).seed_note)

    def script(request: RolloutRequest) -> str:
        return thought(revision, "MY SECRET PLAN") if request.speaker.role is Role.ATTACKER else thought("Safe")

    game, rollout = play_one(DataType.ADVERSARIAL_HARMFUL, THINKING, script)

    attacker_batch, assessor_batch = rollout.batches
    assert game.note == revision
    assert revision in assessor_batch[0].prompt
    assert "SECRET" not in assessor_batch[0].prompt
    assert game.turns[0].thinking == "MY SECRET PLAN"
    assert attacker_batch[0].reply_prefix == assessor_batch[0].reply_prefix == "<think>"
    assert all(turn.is_format_kept for turn in game.turns)


def test_all_attackers_are_one_batch_and_all_assessors_another() -> None:
    specs = [a_spec(data_type, id=f"{data_type.value}-{number}") for data_type in DataType for number in range(3)]
    rollout = ScriptedRollout(
        lambda request: a_revision_of(specs[0].seed_note) if request.speaker.role is Role.ATTACKER else "Safe"
    )

    games = play(specs, rollout, PLAIN, RolloutConfig(), seed=0)

    assert [len(batch) for batch in rollout.batches] == [6, 12]
    assert [game.spec for game in games] == specs


def test_an_attacker_without_a_note_ends_the_game_before_the_assessor() -> None:
    game, rollout = play_one(DataType.ADVERSARIAL_BENIGN, PLAIN, lambda request: "I refuse.")

    assert game.state is GameState.NO_REVISION
    assert "less than half" in game.reason
    assert game.note is None
    assert len(rollout.batches) == 1


def test_thinking_without_an_answer_reaches_nobody() -> None:
    game, rollout = play_one(DataType.ADVERSARIAL_BENIGN, THINKING, lambda request: "secret " * 30)

    assert game.state is GameState.NO_REVISION
    assert len(rollout.batches) == 1
    assert game.turns[0].is_format_kept is False


def test_a_violated_reply_whose_answer_can_be_read_plays_on() -> None:
    game, _ = play_one(DataType.VANILLA_BENIGN, THINKING, lambda request: "<answer>Safe</answer> and goodbye")

    assert game.verdict is Verdict.SAFE
    assert game.state is GameState.AWAITING_RULING
    assert game.turns[0].is_format_kept is False


def test_a_reply_cut_at_the_limit_violates_the_format() -> None:
    game, _ = play_one(DataType.VANILLA_BENIGN, THINKING, lambda request: a_reply(thought("Safe"), is_finished=False))

    assert game.turns[0].is_format_kept is False


def test_no_verdict_is_its_own_state() -> None:
    game, _ = play_one(DataType.VANILLA_BENIGN, PLAIN, lambda request: "Harmful? No, Safe.")

    assert game.state is GameState.NO_VERDICT
    assert game.verdict is None


def test_against_the_reference_assessor_only_the_attacker_is_trained() -> None:
    config = GameConfig(no_defender_turn=True)

    def script(request: RolloutRequest) -> str:
        return a_revision_of(a_spec().seed_note) if request.speaker.role is Role.ATTACKER else "Safe"

    game, rollout = play_one(DataType.ADVERSARIAL_HARMFUL, config, script)

    assert [batch[0].speaker for batch in rollout.batches] == [
        Speaker(Role.ATTACKER),
        Speaker(Role.ASSESSOR, REFERENCE),
    ]
    assert [turn.is_trained for turn in game.turns] == [True, False]
    assert [turn.version for turn in game.turns] == [LIVING, REFERENCE]


def test_a_prompt_too_long_for_the_assessor_is_a_game_without_revision() -> None:
    def script(request: RolloutRequest) -> str | PromptTooLong:
        if request.speaker.role is Role.ATTACKER:
            return a_revision_of(a_spec().seed_note)
        return PromptTooLong("2000 tokens, rollout.max_prompt_tokens is 1024")

    game, _ = play_one(DataType.ADVERSARIAL_HARMFUL, PLAIN, script)

    assert game.state is GameState.NO_REVISION
    assert "rollout.max_prompt_tokens" in game.reason


def test_a_seed_note_too_long_is_a_void_game_and_nobodys_fault() -> None:
    game, _ = play_one(DataType.VANILLA_HARMFUL, PLAIN, lambda request: PromptTooLong("2000 tokens"))

    assert game.state is GameState.VOID
    assert isinstance(game.ruling, JudgeFailure)


def test_each_reply_has_a_seed_of_its_own() -> None:
    specs = [a_spec(data_type, id=f"{data_type.value}-{number}") for data_type in DataType for number in range(3)]
    rollout = ScriptedRollout(
        lambda request: a_revision_of(specs[0].seed_note) if request.speaker.role is Role.ATTACKER else "Safe"
    )
    play(specs, rollout, PLAIN, RolloutConfig(), seed=0)

    seeds = [request.seed for batch in rollout.batches for request in batch]
    assert len(set(seeds)) == len(seeds)


@given(texts=st.lists(st.text(), min_size=8, max_size=8), is_thinking=st.booleans())
def test_whatever_players_say_no_game_is_lost_and_each_has_one_state(texts: list[str], is_thinking: bool) -> None:
    specs = [a_spec(data_type, id=f"{data_type.value}-{number}") for data_type in DataType for number in range(2)]
    said = iter(texts * 2)
    config = GameConfig(thinking=is_thinking)

    games = play(specs, ScriptedRollout(lambda request: next(said)), config, RolloutConfig(), seed=0)

    assert [game.spec.id for game in games] == [spec.id for spec in specs]
    assert all(game.state in (GameState.AWAITING_RULING, GameState.NO_REVISION, GameState.NO_VERDICT) for game in games)
    assert all((game.verdict is not None) == (game.state is GameState.AWAITING_RULING) for game in games)


SENTENCES = GameConfig(revision="sentences", max_edits=1)


def test_an_attacker_may_edit_a_sentence_and_the_assessor_reads_the_whole_note() -> None:
    seed = NumberedNote(a_spec(DataType.ADVERSARIAL_HARMFUL).seed_note)
    edit = f"In fact, {seed.sentences[0]}"

    def script(request: RolloutRequest) -> str:
        return f"0: {edit}" if request.speaker.role is Role.ATTACKER else "Safe"

    game, rollout = play_one(DataType.ADVERSARIAL_HARMFUL, SENTENCES, script)

    attacker_batch, assessor_batch = rollout.batches
    assert seed.written() in attacker_batch[0].prompt
    assert game.note == seed.edited({0: edit}).text
    assert present(game.note) in assessor_batch[0].prompt
    assert game.turns[0].answer == f"0: {edit}"


@pytest.mark.parametrize("data_type", [DataType.ADVERSARIAL_HARMFUL, DataType.ADVERSARIAL_BENIGN])
def test_an_attacker_may_be_told_the_sentence_at_stake(data_type: DataType) -> None:
    spec = a_spec(data_type)
    seed = NumberedNote(spec.seed_note)
    number = seed.number_of(spec.pair.sentence_at_stake(is_harmful=data_type.is_harmful))

    def asked(config: GameConfig) -> str:
        _, rollout = play_one(data_type, config, lambda request: "0: Something else.")
        return rollout.batches[0][0].prompt

    assert number is not None
    told = asked(replace(SENTENCES, tells_sentence_at_stake=True))
    line = f"{number}: {seed.sentences[number]}\n"
    assert told.count(line) == 2
    assert asked(SENTENCES).count(line) == 1


def test_an_answer_that_is_no_edit_is_no_revision() -> None:
    game, rollout = play_one(DataType.ADVERSARIAL_BENIGN, SENTENCES, lambda request: "A whole note in other words.")

    assert game.state is GameState.NO_REVISION
    assert "not a number, a colon and a sentence" in game.reason
    assert len(rollout.batches) == 1


def test_sentences_have_the_numbers_that_the_record_says() -> None:
    spec = a_spec(DataType.ADVERSARIAL_BENIGN)
    spec = replace(spec, sentence_starts=(0, spec.seed_note.index(" ") + 1))
    rollout = ScriptedRollout(lambda request: "1: patient is well. He is fine. All is good. Nothing is wrong.")

    (game,) = play([spec], rollout, SENTENCES, RolloutConfig(), seed=0)

    first = spec.seed_note.split()[0]
    assert f"\n0: {first}\n1: " in rollout.batches[0][0].prompt
    assert game.note is None or game.note.startswith(first)


LOCATING = GameConfig(revision="sentences", max_edits=1, assessor="locate")


def test_an_assessor_that_is_asked_where_the_error_is_sees_numbered_sentences() -> None:
    game, rollout = play_one(DataType.VANILLA_HARMFUL, LOCATING, lambda request: "Harmful 1")

    assert NumberedNote(game.spec.seed_note).written() in rollout.batches[0][0].prompt
    assert (game.verdict, game.location) == (Verdict.HARMFUL, 1)


def test_it_sees_the_attacker_s_note_with_the_numbers_of_the_file() -> None:
    spec = a_spec(DataType.ADVERSARIAL_BENIGN)
    spec = replace(spec, sentence_starts=tuple(spec.seed_note.index(start) for start in ("A 40", "A chest", "He is")))

    def script(request: RolloutRequest) -> str:
        return (
            "0: A man of 40 has a cough and a fever of 39.2 C."
            if request.speaker.role is Role.ATTACKER
            else "Harmful 2"
        )

    rollout = ScriptedRollout(script)
    (game,) = play([spec], rollout, LOCATING, RolloutConfig(), seed=0)

    assert "\n2: He is given" in rollout.batches[1][0].prompt
    assert game.location == 2


def test_an_error_that_is_nowhere_is_no_verdict() -> None:
    for said, reason in (("Harmful", "names no sentence"), ("Harmful 9", "sentence 9, which the note doesn't have")):
        game, _ = play_one(DataType.VANILLA_HARMFUL, LOCATING, lambda request, said=said: said)

        assert game.state is GameState.NO_VERDICT
        assert reason in game.reason
        assert (game.verdict, game.location) == (None, None)


def test_an_assessor_may_be_asked_for_the_corrected_sentence_too() -> None:
    config = replace(LOCATING, assessor="correct")
    said = f"Harmful 1: {CORRECTED_SENTENCE}"

    game, _ = play_one(DataType.VANILLA_HARMFUL, config, lambda request: said)

    assert (game.verdict, game.location, game.correction) == (Verdict.HARMFUL, 1, CORRECTED_SENTENCE)
    assert corrected_note(game) == game.spec.pair.corrected_note
    uncorrected, _ = play_one(DataType.VANILLA_HARMFUL, config, lambda request: "Harmful 1")
    assert uncorrected.state is GameState.NO_VERDICT


def test_one_sample_for_each_trained_turn_with_its_own_tokens_and_reward() -> None:
    game = a_game(DataType.ADVERSARIAL_HARMFUL, verdict=Verdict.SAFE)

    attacker, assessor = samples_of(score([game], GameConfig()))

    assert (attacker.role, assessor.role) == (Role.ATTACKER, Role.ASSESSOR)
    assert attacker.reward.core == 1.0 == -assessor.reward.core
    assert attacker.token_ids == game.turns[0].token_ids
    assert attacker.turn is game.turns[0]


def test_a_void_game_gives_no_sample_but_stays() -> None:
    game = a_game(DataType.VANILLA_HARMFUL, state=GameState.VOID)

    scored = score([game], GameConfig())

    assert scored == [game]
    assert samples_of(scored) == []
