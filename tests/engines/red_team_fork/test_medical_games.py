"""The manager of our own games: four steps, four categories, failures that stay failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from builders import a_pair, a_record, a_revision_of
from medical_team.config import GameConfig, RewardCoefficients, RolloutConfig
from medical_team.errors import UsageError
from medical_team.game.play import play, samples_of, score
from medical_team.game.rollout import Reply, RolloutRequest
from medical_team.judge.protocol import JudgeQuery, rule_games
from medical_team.judging import reference_judge
from medical_team.medical_game_manager import MedicalGameManager
from medical_team.records import DataType, GameState, JudgeFailure, Role, Ruling

RECORDS = [a_record(data_type) for data_type in DataType]
PAIR = a_pair()


class WordyPlayers:
    """An attacker that says the note in other words, and an assessor that suspects everything."""

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Callable[..., Any] | None = None
    ) -> list[Reply]:
        return [Reply(self._text(request), (1, 2), (3, 0), (-0.1, -0.2), is_finished=True) for request in requests]

    def _text(self, request: RolloutRequest) -> str:
        if request.speaker.role is Role.ASSESSOR:
            return "Harmful"
        notes = (PAIR.error_note, PAIR.corrected_note)
        return next(a_revision_of(note) for note in notes if note in request.prompt)


class BlindJudge:
    name = "blind"

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        return {query.game_id: JudgeFailure(query.game_id, False, self.name, "it sees nothing") for query in queries}


def test_the_four_steps_give_what_the_engine_itself_gives() -> None:
    manager = MedicalGameManager(WordyPlayers(), reference_judge(), GameConfig(), RolloutConfig(), seed=7)

    specs = manager.initialize_games(RECORDS, step=3)
    played = manager.play_games()
    rulings = manager.evaluate_game_outcomes()
    games, samples = manager.filter_and_compute_rewards()

    assert [spec.data_type for spec in specs] == list(DataType)
    assert [spec.id for spec in specs] == [f"step-000003-game-000{index}" for index in range(4)]
    assert played == play(specs, WordyPlayers(), GameConfig(), RolloutConfig(), seed=7)
    assert set(rulings) == {spec.id for spec in specs}
    assert games == score(rule_games(played, reference_judge(), GameConfig().undecidable), GameConfig())
    assert samples == samples_of(games)
    assert [sample.reward.core for sample in samples][:2] == [1.0, -1.0]


def test_a_judge_that_fails_leaves_nothing_to_learn_from() -> None:
    manager = MedicalGameManager(WordyPlayers(), BlindJudge())
    manager.initialize_games(RECORDS)
    manager.play_games()
    manager.evaluate_game_outcomes()

    games, samples = manager.filter_and_compute_rewards()

    assert {game.state for game in games} == {GameState.VOID}
    assert samples == []


def test_the_ablations_choose_the_games() -> None:
    defenders = MedicalGameManager(WordyPlayers(), BlindJudge(), GameConfig(no_attacker_turn=True))
    attackers = MedicalGameManager(WordyPlayers(), BlindJudge(), GameConfig(no_defender_turn=True))

    assert not any(spec.data_type.is_adversarial for spec in defenders.initialize_games(RECORDS))
    assert [spec.data_type.is_adversarial for spec in attackers.initialize_games(RECORDS)] == [True, True]
    with pytest.raises(UsageError, match="no record is left to play with"):
        attackers.initialize_games(RECORDS[:2])


def test_the_coefficients_are_those_of_the_configuration() -> None:
    rules = GameConfig(coefficients=RewardCoefficients(core=3.0))
    manager = MedicalGameManager(WordyPlayers(), reference_judge(), rules)
    manager.initialize_games(RECORDS[:1])
    manager.play_games()
    manager.evaluate_game_outcomes()

    assert manager.filter_and_compute_rewards()[1][0].reward.core == 3.0


def test_a_step_that_comes_too_early_says_which_comes_first() -> None:
    manager = MedicalGameManager(WordyPlayers(), BlindJudge())
    with pytest.raises(UsageError, match="call initialize_games first"):
        manager.play_games()
    manager.initialize_games(RECORDS)
    with pytest.raises(UsageError, match="call play_games first"):
        manager.evaluate_game_outcomes()
    manager.play_games()
    with pytest.raises(UsageError, match="call evaluate_game_outcomes first"):
        manager.filter_and_compute_rewards()
