"""The reward table of the game, row by row, and the properties that hold for every game."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    CORRECTED_SENTENCE,
    a_game,
    a_revision_of,
    a_spec,
    adversarial_data_types,
    data_types,
    games,
    present,
    verdicts,
)
from medical_team.game_config import SELF_REDTEAM_COEFFICIENTS, GameConfig, RewardCoefficients
from medical_team.records import DataType, Game, GameState, JudgeFailure, Labels, Reward, Role, Verdict
from medical_team.rewards import is_faithful_revision, is_verdict_right, rewards_of
from medical_team.sentences import error_location

HARMFUL, SAFE = Verdict.HARMFUL, Verdict.SAFE
DEFAULTS = GameConfig()
ZERO_SUM = GameConfig(reward_type="medical_zero_sum")
KEEP_TIES = GameConfig(remove_ties=False)

coefficients = st.floats(min_value=-10, max_value=10)
configs = st.builds(
    GameConfig,
    reward_type=st.sampled_from(["medical_general_sum", "medical_zero_sum"]),
    remove_ties=st.booleans(),
    coefficients=st.builds(
        RewardCoefficients,
        core=st.floats(min_value=0, max_value=10),
        faithful=coefficients,
        unfaithful=coefficients,
        format_kept=coefficients,
        format_violated=coefficients,
        located=coefficients,
        mislocated=coefficients,
        corrected=coefficients,
        miscorrected=coefficients,
    ),
)


def with_format(game: Game, role: Role, is_kept: bool):
    """``game`` with the format of ``role``'s turn kept or violated."""
    turns = (replace(turn, is_format_kept=is_kept) if turn.role is role else turn for turn in game.turns)
    return replace(game, turns=tuple(turns))


def attacker(core: float, revision: float, format_term: float | None, total: float):
    return Reward(Role.ATTACKER, core=core, revision=revision, format=format_term, total=total)


def assessor(core: float, format_term: float | None, total: float):
    return Reward(Role.ASSESSOR, core=core, revision=None, format=format_term, total=total)


# The row: the attacker gave no note.


@pytest.mark.parametrize("data_type", [DataType.ADVERSARIAL_HARMFUL, DataType.ADVERSARIAL_BENIGN])
@pytest.mark.parametrize("config", [DEFAULTS, KEEP_TIES])
def test_no_revision_costs_the_attacker_and_gives_the_assessor_no_sample(
    data_type: DataType, config: GameConfig
) -> None:
    game = a_game(data_type, state=GameState.NO_REVISION, revision="", thinking="why")

    assert rewards_of(with_format(game, Role.ATTACKER, True), config) == (attacker(-1.0, -2.0, 1.0, -2.0),)
    assert rewards_of(with_format(game, Role.ATTACKER, False), config) == (attacker(-1.0, -2.0, -1.0, -4.0),)


def test_no_revision_without_thinking_has_no_format_term() -> None:
    game = a_game(state=GameState.NO_REVISION, revision="")

    assert rewards_of(game, DEFAULTS) == (attacker(-1.0, -2.0, None, -3.0),)
    assert rewards_of(game, ZERO_SUM) == (attacker(-1.0, -2.0, None, -1.0),)


# The row: the judge works, and cannot tell what the attacker wrote.


def test_what_nobody_can_decide_costs_the_attacker_and_gives_the_assessor_no_sample() -> None:
    game = a_game(state=GameState.UNDECIDABLE, thinking="why")

    assert rewards_of(game, DEFAULTS) == (attacker(-1.0, -2.0, 1.0, -2.0),)
    assert rewards_of(with_format(game, Role.ATTACKER, False), DEFAULTS) == (attacker(-1.0, -2.0, -1.0, -4.0),)
    assert rewards_of(game, ZERO_SUM) == (attacker(-1.0, -2.0, 1.0, -1.0),)


@given(adversarial_data_types, verdicts, configs)
def test_only_an_abstention_makes_a_game_undecidable(data_type: DataType, verdict: Verdict, config: GameConfig) -> None:
    failed = JudgeFailure("a game", is_abstention=False, source="a test", reason="timed out")
    game = a_game(data_type, verdict=verdict, state=GameState.UNDECIDABLE)

    for ruling in (failed, None, a_game(data_type).ruling):
        with pytest.raises(ValueError, match="called undecidable, but no judge abstained"):
            rewards_of(replace(game, ruling=ruling), config)


# The row: the assessor gave no verdict.


@pytest.mark.parametrize("data_type", list(DataType))
def test_no_verdict_costs_the_assessor_and_drops_the_attacker_s_tie(data_type: DataType) -> None:
    game = a_game(data_type, verdict=None, thinking="why")

    assert rewards_of(game, DEFAULTS) == (assessor(-1.0, 1.0, 0.0),)
    assert rewards_of(with_format(game, Role.ASSESSOR, False), DEFAULTS) == (assessor(-1.0, -1.0, -2.0),)


def test_ties_that_are_kept_pay_the_attacker_its_format_alone() -> None:
    game = a_game(verdict=None, thinking="why")

    assert rewards_of(game, KEEP_TIES) == (attacker(0.0, 0.0, 1.0, 1.0), assessor(-1.0, 1.0, 0.0))
    violated = with_format(game, Role.ATTACKER, False)
    assert rewards_of(violated, KEEP_TIES)[0] == attacker(0.0, 0.0, -1.0, -1.0)
    no_thinking = a_game(verdict=None)
    assert rewards_of(no_thinking, KEEP_TIES) == (attacker(0.0, 0.0, None, 0.0), assessor(-1.0, None, -1.0))


# The row: the judge failed, or cannot tell.


@given(games(), configs)
def test_a_void_game_is_never_rewarded(game: Game, config: GameConfig) -> None:
    assert rewards_of(replace(game, state=GameState.VOID), config) == ()


@given(data_types, verdicts, st.booleans(), configs)
def test_a_judge_s_failure_is_never_a_reward(
    data_type: DataType, verdict: Verdict, is_abstention: bool, config: GameConfig
) -> None:
    failure = JudgeFailure("a game", is_abstention=is_abstention, source="a test", reason="timed out")
    game = a_game(data_type, verdict=verdict)

    assert rewards_of(replace(game, state=GameState.VOID, ruling=failure), config) == ()
    for ruling in (failure, None):
        with pytest.raises(ValueError, match="called decided but has no labels"):
            rewards_of(replace(game, state=GameState.DECIDED, ruling=ruling), config)


# The row: decided.


@pytest.mark.parametrize(
    ("verdict", "error_present", "assessor_core"),
    [(HARMFUL, True, 1.0), (SAFE, True, -1.0), (HARMFUL, False, -1.0), (SAFE, False, 1.0)],
)
@pytest.mark.parametrize("data_type", [DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN])
def test_a_vanilla_game_rewards_the_assessor_alone(
    data_type: DataType, verdict: Verdict, error_present: bool, assessor_core: float
) -> None:
    game = a_game(data_type, verdict=verdict, error_present=error_present)

    assert rewards_of(game, DEFAULTS) == (assessor(assessor_core, None, assessor_core),)


@pytest.mark.parametrize(
    ("data_type", "verdict", "error_present", "attacker_core", "revision"),
    [
        (DataType.ADVERSARIAL_HARMFUL, SAFE, True, 1.0, 0.5),
        (DataType.ADVERSARIAL_HARMFUL, HARMFUL, True, -1.0, 0.5),
        (DataType.ADVERSARIAL_HARMFUL, SAFE, False, -1.0, -2.0),
        (DataType.ADVERSARIAL_HARMFUL, HARMFUL, False, 1.0, -2.0),
        (DataType.ADVERSARIAL_BENIGN, HARMFUL, False, 1.0, 0.5),
        (DataType.ADVERSARIAL_BENIGN, SAFE, False, -1.0, 0.5),
        (DataType.ADVERSARIAL_BENIGN, HARMFUL, True, -1.0, -2.0),
        (DataType.ADVERSARIAL_BENIGN, SAFE, True, 1.0, -2.0),
    ],
)
def test_an_adversarial_game_is_decided(
    data_type: DataType, verdict: Verdict, error_present: bool, attacker_core: float, revision: float
) -> None:
    game = a_game(data_type, verdict=verdict, error_present=error_present)

    assert rewards_of(game, DEFAULTS) == (
        attacker(attacker_core, revision, None, attacker_core + revision),
        assessor(-attacker_core, None, -attacker_core),
    )
    assert rewards_of(game, ZERO_SUM) == (
        attacker(attacker_core, revision, None, attacker_core),
        assessor(-attacker_core, None, -attacker_core),
    )


@pytest.mark.parametrize("attacker_keeps", [True, False])
@pytest.mark.parametrize("assessor_keeps", [True, False])
def test_each_player_is_paid_for_its_own_format(attacker_keeps: bool, assessor_keeps: bool) -> None:
    game = a_game(verdict=SAFE, thinking="why")
    game = with_format(with_format(game, Role.ATTACKER, attacker_keeps), Role.ASSESSOR, assessor_keeps)
    attacker_format, assessor_format = (1.0 if kept else -1.0 for kept in (attacker_keeps, assessor_keeps))

    assert rewards_of(game, DEFAULTS) == (
        attacker(1.0, 0.5, attacker_format, 1.5 + attacker_format),
        assessor(-1.0, assessor_format, -1.0 + assessor_format),
    )
    assert [reward.total for reward in rewards_of(game, ZERO_SUM)] == [1.0, -1.0]


def test_a_copy_of_the_seed_is_no_faithful_revision() -> None:
    seed = a_spec().seed_note

    for copy in (seed, seed.upper(), f"  {seed.replace(' ', '  ')}\n", seed.replace(". ", "; ")):
        game = a_game(verdict=SAFE, revision=copy)
        assert is_faithful_revision(game) is False
        assert rewards_of(game, DEFAULTS)[0] == attacker(1.0, -2.0, None, -1.0)


def test_whether_a_revision_is_faithful_is_unknown_where_nobody_ruled() -> None:
    assert is_faithful_revision(a_game(verdict=SAFE)) is True
    assert is_faithful_revision(a_game(verdict=None)) is None
    assert is_faithful_revision(a_game(state=GameState.VOID)) is None
    assert is_faithful_revision(a_game(state=GameState.NO_REVISION, revision="")) is None
    assert is_faithful_revision(a_game(DataType.VANILLA_HARMFUL)) is None


@given(adversarial_data_types, verdicts, verdicts)
def test_an_unfaithful_revision_never_pays_as_much_as_a_faithful_one(
    data_type: DataType, verdict: Verdict, other: Verdict
) -> None:
    faithful = a_game(data_type, verdict=verdict)
    unfaithful = [
        a_game(data_type, verdict=other, error_present=not data_type.is_harmful),
        a_game(data_type, verdict=other, revision=a_spec(data_type).seed_note),
        a_game(data_type, state=GameState.UNDECIDABLE),
        a_game(data_type, state=GameState.NO_REVISION),
    ]

    assert all(rewards_of(game, DEFAULTS)[0].total < rewards_of(faithful, DEFAULTS)[0].total for game in unfaithful)


def test_by_self_redteam_s_own_rewards_an_unfaithful_win_pays() -> None:
    game = a_game(DataType.ADVERSARIAL_HARMFUL, verdict=HARMFUL, error_present=False)

    assert rewards_of(game, GameConfig(coefficients=SELF_REDTEAM_COEFFICIENTS))[0].total == 0.5
    assert rewards_of(game, DEFAULTS)[0].total == -1.0


def test_the_coefficients_are_configuration() -> None:
    config = GameConfig(
        coefficients=RewardCoefficients(core=2.0, faithful=0.25, unfaithful=-3.0, format_kept=0.125, format_violated=-4)
    )
    game = with_format(a_game(verdict=SAFE, thinking="why"), Role.ASSESSOR, False)

    assert rewards_of(game, config) == (attacker(2.0, 0.25, 0.125, 2.375), assessor(-2.0, -4, -6.0))


# Where the error is.


def located(core: float, location: float | None, total: float):
    return Reward(Role.ASSESSOR, core=core, revision=None, format=None, total=total, location=location)


def test_an_assessor_that_finds_the_error_is_paid_for_its_place() -> None:
    game = a_game(DataType.VANILLA_HARMFUL, verdict=HARMFUL)
    place = present(error_location(game))

    assert rewards_of(replace(game, location=place), DEFAULTS) == (located(1.0, 0.5, 1.5),)
    assert rewards_of(replace(game, location=place + 1), DEFAULTS) == (located(1.0, 0.0, 1.0),)
    assert rewards_of(replace(game, location=place), ZERO_SUM) == (located(1.0, 0.5, 1.0),)
    stricter = GameConfig(coefficients=RewardCoefficients(located=2.0, mislocated=-3.0))
    assert rewards_of(replace(game, location=place), stricter) == (located(1.0, 2.0, 3.0),)
    assert rewards_of(replace(game, location=place + 1), stricter) == (located(1.0, -3.0, -2.0),)


def test_a_place_pays_nothing_where_it_was_not_asked_for_or_there_is_no_error() -> None:
    assert rewards_of(a_game(DataType.VANILLA_HARMFUL, verdict=HARMFUL), DEFAULTS)[0].location is None
    assert rewards_of(a_game(DataType.VANILLA_HARMFUL, verdict=SAFE), DEFAULTS)[0].location is None
    false_alarm = replace(a_game(DataType.VANILLA_BENIGN, verdict=HARMFUL), location=0)
    assert rewards_of(false_alarm, DEFAULTS) == (located(-1.0, None, -1.0),)


def test_a_correction_is_paid_for_beside_its_place_as_far_as_the_judge_can_tell() -> None:
    game = a_game(DataType.VANILLA_HARMFUL, verdict=HARMFUL, location=1, correction=CORRECTED_SENTENCE)
    rows = [(True, 0.5, 2.0), (False, 0.0, 1.5), (None, None, 1.5)]

    for is_corrected, paid, total in rows:
        (reward,) = rewards_of(replace(game, is_corrected=is_corrected), DEFAULTS)
        assert reward == replace(located(1.0, 0.5, total), correction=paid)
        assert rewards_of(replace(game, is_corrected=is_corrected), ZERO_SUM)[0].total == 1.0


def test_the_attacker_neither_wins_nor_loses_by_the_place() -> None:
    game = a_game(verdict=HARMFUL)
    at = [
        rewards_of(replace(game, location=place, is_corrected=is_corrected), DEFAULTS)[0]
        for place in (None, 0, 1, 2)
        for is_corrected in (None, True, False)
    ]

    assert len(set(at)) == 1


# Ablations, and games that can't be scored.


def test_a_turn_that_is_not_trained_gets_no_reward() -> None:
    game = a_game(verdict=SAFE)
    frozen = replace(game, turns=tuple(replace(turn, is_trained=turn.role is Role.ATTACKER) for turn in game.turns))

    assert rewards_of(frozen, GameConfig(no_defender_turn=True)) == rewards_of(game, DEFAULTS)[:1]
    no_verdict = a_game(verdict=None)
    frozen = replace(no_verdict, turns=tuple(replace(turn, is_trained=False) for turn in no_verdict.turns))
    assert rewards_of(frozen, KEEP_TIES) == ()


def test_a_game_that_awaits_its_ruling_has_no_rewards_yet() -> None:
    with pytest.raises(ValueError, match="has no ruling yet"):
        rewards_of(a_game(state=GameState.AWAITING_RULING), DEFAULTS)


def test_a_verdict_is_right_when_it_says_what_is_there() -> None:
    for data_type in DataType:
        game = a_game(data_type, verdict=HARMFUL)
        assert isinstance(game.ruling, Labels)
        assert is_verdict_right(game.ruling) is data_type.is_harmful


# What holds for every game.


@given(
    adversarial_data_types,
    verdicts,
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 3),
    st.sampled_from([None, True, False]),
    configs,
)
def test_the_core_of_a_decided_adversarial_game_is_exactly_zero_sum(
    data_type: DataType,
    verdict: Verdict,
    is_present: bool,
    copies: bool,
    place: int | None,
    is_corrected: bool | None,
    config: GameConfig,
) -> None:
    seed = a_spec(data_type).seed_note
    revision = seed if copies else a_revision_of(seed)
    game = a_game(data_type, verdict=verdict, error_present=is_present, revision=revision, thinking="why")
    rewards = rewards_of(replace(game, location=place, is_corrected=is_corrected), config)

    assert [reward.role for reward in rewards] == [Role.ATTACKER, Role.ASSESSOR]
    assert sum(reward.core for reward in rewards) == 0.0
    assert abs(rewards[0].core) == config.coefficients.core
    if config.reward_type == "medical_zero_sum":
        assert sum(reward.total for reward in rewards) == 0.0


@given(games().filter(lambda game: game.state is not GameState.AWAITING_RULING), configs)
def test_rewards_are_bounded_and_belong_to_trained_turns(game: Game, config: GameConfig) -> None:
    rewards = rewards_of(game, config)
    pays = config.coefficients
    limit = pays.core + max(abs(pays.faithful), abs(pays.unfaithful))
    limit += max(abs(pays.format_kept), abs(pays.format_violated)) + max(abs(pays.located), abs(pays.mislocated))
    limit += max(abs(pays.corrected), abs(pays.miscorrected))

    trained = [turn.role for turn in game.turns if turn.is_trained]
    assert {reward.role for reward in rewards} <= set(trained)
    assert len({reward.role for reward in rewards}) == len(rewards)
    for reward in rewards:
        assert abs(reward.core) <= pays.core
        assert abs(reward.total) <= limit + 1e-9
        assert (reward.revision is None) == (reward.role is Role.ASSESSOR)
        assert (reward.format is None) == (present(game.turn_of(reward.role)).is_format_kept is None)
        assert reward.location is None or (reward.role is Role.ASSESSOR and game.location is not None)
        assert reward.correction is None or (reward.role is Role.ASSESSOR and game.is_corrected is not None)
    if game.state in (GameState.DECIDED, GameState.NO_REVISION):
        assert [reward.role for reward in rewards] == trained
    if game.state is GameState.UNDECIDABLE:
        assert [reward.role for reward in rewards] == [role for role in trained if role is Role.ATTACKER]


@given(games().filter(lambda game: game.state is not GameState.AWAITING_RULING))
def test_the_reward_type_changes_the_total_and_no_term(game: Game) -> None:
    general, zero_sum = rewards_of(game, DEFAULTS), rewards_of(game, ZERO_SUM)

    assert [replace(reward, total=0.0) for reward in general] == [replace(reward, total=0.0) for reward in zero_sum]
    assert all(reward.total == reward.core for reward in zero_sum)
    for reward in general:
        terms = (reward.revision, reward.format, reward.location, reward.correction)
        assert reward.total == reward.core + sum(term or 0.0 for term in terms)


@given(games().filter(lambda game: game.state is not GameState.AWAITING_RULING))
def test_removing_ties_touches_nothing_but_the_attacker_s_ties(game: Game) -> None:
    dropped, kept = rewards_of(game, DEFAULTS), rewards_of(game, KEEP_TIES)

    if game.state is GameState.NO_VERDICT:
        kept = tuple(reward for reward in kept if reward.role is Role.ASSESSOR)
    assert dropped == kept
