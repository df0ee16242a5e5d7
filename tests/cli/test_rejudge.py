"""A run's games under another judge: what differs, and what it would have done to the rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from builders import a_game, a_spec, labels_for
from medical_team.cli.rejudge import Rejudgement, Said, rejudge, said_of
from medical_team.config import GameConfig
from medical_team.game.play import score
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import reference_judge
from medical_team.records import DataType, Game, GameState, JudgeFailure, Role, Ruling, Verdict


class Contrary:
    """Sees an error exactly where there should be none."""

    name = "contrary"

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        return {
            query.game_id: labels_for(
                query.game_id,
                error_present=not (query.data_type and query.data_type.is_harmful),
                verdict=query.verdict or Verdict.SAFE,
            )
            for query in queries
        }


class Silent:
    """Can't tell anything, or fails at everything."""

    name = "silent"

    def __init__(self, *, is_abstention: bool = True) -> None:
        self._is_abstention = is_abstention

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        return {
            query.game_id: JudgeFailure(query.game_id, self._is_abstention, "silent", "no idea") for query in queries
        }


def played(*data_types: DataType, **changes: object) -> list[Game]:
    games = [
        a_game(kind, spec=a_spec(kind, id=f"game-{number}"), **changes)  # type: ignore[arg-type] - handed on as they came
        for number, kind in enumerate(data_types)
    ]
    return score(games, GameConfig())


def judged(games: Sequence[Game], judge: object) -> Rejudgement:
    return rejudge(games, judge, GameConfig())  # type: ignore[arg-type] - handed on as they came


def test_the_same_judge_changes_nothing() -> None:
    vanilla = played(DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)
    result = judged(vanilla, reference_judge())

    assert result.agreement == 1.0
    assert result.table == {(Said.ERROR, Said.ERROR): 1, (Said.NO_ERROR, Said.NO_ERROR): 1}
    assert not any(game.is_other_ruling for game in result.games)
    assert sum(change.changed for change in result.reward_changes) == 0


def test_a_judge_of_the_opposite_opinion_turns_every_reward() -> None:
    result = judged(played(DataType.VANILLA_HARMFUL, DataType.ADVERSARIAL_HARMFUL), Contrary())

    assert result.agreement == 0.0
    assert all(game.is_contradiction for game in result.games)
    changes = {(change.role, change.data_type): change for change in result.reward_changes}
    assessor = changes[Role.ASSESSOR, DataType.VANILLA_HARMFUL]
    assert (assessor.before_mean, assessor.after_mean, assessor.changed, assessor.turned) == (1.0, -1.0, 1, 1)
    attacker = changes[Role.ATTACKER, DataType.ADVERSARIAL_HARMFUL]
    # core and revision: it lost with a faithful revision, and would have won with an unfaithful one
    assert (attacker.before_mean, attacker.after_mean) == (-0.5, -1.0)


@pytest.mark.parametrize(("is_abstention", "said"), [(True, Said.ABSTAINED), (False, Said.FAILED)])
def test_a_judge_that_says_nothing_leaves_no_reward(is_abstention: bool, said: Said) -> None:
    result = judged(played(DataType.VANILLA_HARMFUL), Silent(is_abstention=is_abstention))

    (game,) = result.games
    assert game.after.state is GameState.VOID
    assert game.after.rewards == ()
    assert said_of(game.after) is said
    assert game.is_other_ruling
    assert not game.is_contradiction
    assert result.agreement is None
    (change,) = result.reward_changes
    assert (change.before_count, change.after_count, change.after_mean, change.changed) == (1, 0, None, 1)


def test_a_void_game_can_get_a_ruling() -> None:
    void = a_game(DataType.VANILLA_HARMFUL, state=GameState.VOID)
    (game,) = judged([void], reference_judge()).games
    assert (said_of(game.before), said_of(game.after)) == (Said.ABSTAINED, Said.ERROR)
    assert game.after.rewards[0].total == 1.0


def test_games_that_no_judge_was_asked_about_are_left_alone() -> None:
    games = [
        *played(DataType.ADVERSARIAL_BENIGN, state=GameState.NO_REVISION),
        *played(DataType.VANILLA_BENIGN, verdict=None),
        replace(a_game(DataType.VANILLA_HARMFUL, state=GameState.VOID), verdict=None, note=None),
    ]
    result = judged(games, Contrary())
    assert (result.games, result.not_asked) == ((), 3)


def test_games_are_not_changed_but_for_their_ruling() -> None:
    (before,) = played(DataType.ADVERSARIAL_BENIGN)
    (game,) = judged([before], Contrary()).games
    assert game.before == before
    assert replace(game.after, state=before.state, reason=before.reason, ruling=None, rewards=()) == replace(
        before, ruling=None, rewards=()
    )


def test_many_games_are_judged_in_parts() -> None:
    told: list[tuple[int, int]] = []
    games = played(*[DataType.VANILLA_HARMFUL] * 300)
    result = rejudge(games, reference_judge(), GameConfig(), lambda done, total: told.append((done, total)))
    assert told == [(256, 300), (300, 300)]
    assert [game.after.spec.id for game in result.games] == [game.spec.id for game in games]


def test_a_game_without_a_ruling_has_said_nothing() -> None:
    with pytest.raises(ValueError, match="has no ruling"):
        said_of(a_game(verdict=None))
