"""Who is in the pool, who plays which side of which game, and who has won."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_game, a_record
from medical_team.config import GameConfig
from medical_team.game.draw import GameDraw
from medical_team.game.opponents import (
    RECENT_STEPS,
    Opponent,
    OpponentDraw,
    Standings,
    opponent_has_won,
    opponent_of,
    pool_after,
    version_after,
)
from medical_team.game.rollout import FIXED, REFERENCE
from medical_team.game_config import OpponentConfig
from medical_team.records import LIVING, DataType, Game, GameState, Role, Verdict

ATTACKER, ASSESSOR = Role.ATTACKER, Role.ASSESSOR
RECORDS = [a_record(kind, id=f"{kind.value}-{number}") for kind in DataType for number in range(40)]
POOL = OpponentConfig(add_every=10, size=4)


def specs(step: int = 0, games: int = 160):
    return GameDraw(RECORDS, GameConfig(), games_per_step=games, seed=1).specs(step)


def assigned(config: OpponentConfig, step: int, standings: Standings | None = None, *, seed: int = 1, **rules: Any):
    draw = OpponentDraw(config, GameConfig(**rules), seed=seed)
    return draw.assigned(specs(step), step, standings or Standings())


def game_against(version: str, role: Role, *, is_won: bool, step: int = 0) -> Game:
    """An adversarial game in which ``version`` played ``role``, and won or lost."""
    is_verdict_right = is_won if role is ASSESSOR else not is_won
    game = a_game(verdict=Verdict.HARMFUL if is_verdict_right else Verdict.SAFE)
    turns = [replace(turn, version=version if turn.role is role else LIVING) for turn in game.turns]
    return replace(game, spec=replace(game.spec, step=step, **{f"{role.value}_version": version}), turns=tuple(turns))


def test_the_pool_begins_with_the_start_and_grows_every_few_steps() -> None:
    assert pool_after(0, 10, 4) == pool_after(9, 10, 4) == (0,)
    assert pool_after(10, 10, 4) == (0, 10)
    assert pool_after(35, 10, 4) == (0, 10, 20, 30)
    assert pool_after(35, 0, 4) == ()
    assert [version_after(member) for member in pool_after(10, 10, 4)] == [REFERENCE, "step-000010"]


def test_a_full_pool_is_thinned_where_it_is_old() -> None:
    gaps = [later - earlier for earlier, later in pairwise(pool_after(1000, 10, 8))]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 5 * gaps[-1]


@given(st.integers(0, 400), st.integers(1, 20), st.integers(2, 12))
def test_the_pool_keeps_its_size_its_first_and_its_newest(completed: int, add_every: int, size: int) -> None:
    pool = pool_after(completed, add_every, size)
    assert len(pool) == min(size, 1 + completed // add_every)
    assert (pool[0], pool[-1]) == (0, completed - completed % add_every)
    assert list(pool) == sorted(set(pool))
    # Who has gone never comes back: what is needed later was there before.
    assert set(pool) <= set(pool_after(max(0, completed - 1), add_every, size)) | {completed}


def test_without_opponents_nobody_but_the_policy_plays() -> None:
    assert assigned(OpponentConfig(), 50) == list(specs(50))


def test_a_share_of_the_adversarial_games_has_an_opponent_on_one_side() -> None:
    games = assigned(replace(POOL, share=0.5), 25)
    adversarial = [spec for spec in games if spec.data_type.is_adversarial]

    sides = Counter((spec.attacker_version != LIVING, spec.assessor_version != LIVING) for spec in adversarial)
    assert sides[True, True] == 0
    assert 0.35 < 1 - sides[False, False] / len(adversarial) < 0.65
    assert min(sides[True, False], sides[False, True]) > 10
    versions = {version for spec in adversarial for version in (spec.attacker_version, spec.assessor_version)}
    assert versions == {LIVING, REFERENCE, "step-000010", "step-000020"}
    assert all(LIVING == spec.attacker_version == spec.assessor_version for spec in games if spec not in adversarial)


@pytest.mark.parametrize(("sides", "role"), [("attacker", ATTACKER), ("assessor", ASSESSOR)])
def test_opponents_can_keep_to_one_side(sides: str, role: Role) -> None:
    games = [spec for spec in assigned(replace(POOL, share=1.0, sides=sides), 5) if spec.data_type.is_adversarial]
    assert {spec.version_of(role) for spec in games} == {REFERENCE}
    assert {spec.version_of(other) for spec in games for other in Role if other is not role} == {LIVING}


def test_a_fixed_opponent_plays_along_and_is_the_assessor_where_only_attackers_learn() -> None:
    static = OpponentConfig(fixed="folder", share=1.0, sides="attacker")
    assert {spec.attacker_version for spec in assigned(static, 3) if spec.data_type.is_adversarial} == {FIXED}

    frozen = assigned(OpponentConfig(fixed="folder", share=0.1), 3, no_defender_turn=True)
    versions = {(spec.attacker_version, spec.assessor_version) for spec in frozen if spec.data_type.is_adversarial}
    assert versions == {(LIVING, FIXED)}


def test_the_draw_is_a_pure_function_of_seed_and_step() -> None:
    assert assigned(POOL, 25) == assigned(POOL, 25)
    assert assigned(POOL, 25) != assigned(POOL, 25, seed=2)


def test_pfsp_draws_whoever_beats_the_policy_more_often() -> None:
    standings = Standings()
    standings.add(
        [game_against("step-000010", ATTACKER, is_won=True) for _ in range(20)]
        + [game_against(REFERENCE, ATTACKER, is_won=False) for _ in range(20)]
    )
    config = replace(POOL, share=1.0, sides="attacker", draw="pfsp")
    played = Counter(spec.attacker_version for spec in assigned(config, 15, standings))
    assert played["step-000010"] > 10 * played[REFERENCE]


def test_standings_begin_at_one_half_and_forget() -> None:
    standings = Standings()
    attacker = Opponent(ATTACKER, REFERENCE)
    assert standings.win_rate(attacker) == 0.5
    standings.add([game_against(REFERENCE, ATTACKER, is_won=True)] * 8)
    assert standings.win_rate(attacker) == 0.9
    assert standings.win_rate(Opponent(ASSESSOR, REFERENCE)) == 0.5
    standings.add([game_against(REFERENCE, ATTACKER, is_won=False, step=RECENT_STEPS)])
    assert standings.win_rate(attacker) == pytest.approx(1 / 3)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("is_won", [True, False])
def test_who_won_is_told_of_games_against_an_opponent(role: Role, is_won: bool) -> None:
    game = game_against(REFERENCE, role, is_won=is_won)
    assert opponent_of(game) == Opponent(role, REFERENCE)
    assert opponent_has_won(game) is is_won


def test_an_attacker_that_writes_what_nobody_can_decide_has_lost() -> None:
    game = replace(game_against(REFERENCE, ATTACKER, is_won=True), state=GameState.UNDECIDABLE)
    assert opponent_has_won(game) is False
    lost = replace(game_against(REFERENCE, ASSESSOR, is_won=False), state=GameState.UNDECIDABLE)
    assert opponent_has_won(lost) is True


def test_games_of_the_policy_with_itself_void_games_and_vanilla_games_have_no_winner() -> None:
    assert opponent_has_won(a_game()) is None
    assert opponent_has_won(replace(game_against(REFERENCE, ATTACKER, is_won=True), state=GameState.VOID)) is None
    vanilla = a_game(DataType.VANILLA_HARMFUL)
    frozen = replace(vanilla, turns=tuple(replace(turn, version=REFERENCE) for turn in vanilla.turns))
    assert opponent_of(frozen) is None


def test_further_games_of_a_step_are_its_own_and_balanced() -> None:
    draw = GameDraw(RECORDS, GameConfig(), games_per_step=8, seed=1)
    more = draw.more_specs(3, 8, 40)
    assert [spec.id for spec in more[:2]] == ["step-000003-game-0008", "step-000003-game-0009"]
    assert set(Counter(spec.data_type for spec in more).values()) == {10}
    assert more[:5] == draw.more_specs(3, 8, 5)
    assert [spec.record_id for spec in more] != [spec.record_id for spec in draw.more_specs(4, 8, 40)]
