from dataclasses import replace

import pytest

from builders import a_game
from medical_team.config import RunConfig
from medical_team.game.play import score
from medical_team.metrics.criteria import Status, criteria
from medical_team.metrics.run_reader import step_figures
from medical_team.records import DataType, Game, GameState, JudgeFailure, Role
from medical_team.runs.lock import RunState, Traces
from report_runs import a_step

FINISHED = Traces(RunState.FINISHED, completed_steps=20, total_steps=20, abandoned_lines=0)


def decided(steps: list[list[Game]], traces: Traces = FINISHED):
    """The criteria of a run with the games ``steps``: signs, sums, balance, format, text, crashes."""
    return criteria([step_figures(number, games) for number, games in enumerate(steps)], traces)


def with_format(game: Game, role: Role, *, is_kept: bool):
    turns = tuple(replace(turn, is_format_kept=is_kept) if turn.role is role else turn for turn in game.turns)
    return replace(game, turns=turns)


def formatted_steps(violations: list[int]) -> list[list[Game]]:
    """Steps of four games whose players both break the format in the given numbers of them."""
    steps: list[list[Game]] = []
    for step, broken in enumerate(violations):
        games = a_step(step, thinking="hm")
        for role in Role:
            games = [with_format(game, role, is_kept=number >= broken) for number, game in enumerate(games)]
        steps.append(games)
    return steps


def test_a_good_run_passes_all_six() -> None:
    found = decided([a_step(step, games=16) for step in range(20)])

    assert [criterion.status for criterion in found] == [Status.PASS] * 6
    assert "attacker: 50 % positive, 50 % negative of 160 rewards" in found[0].figure
    assert "160 games between two learning players, none off zero. Outside the rule: 160 vanilla" in found[1].figure
    assert (
        "won 50 % of 160 games over 160 groups of near-duplicate notes (95 % interval 42 % to 58 %)" in found[2].figure
    )


def test_no_games_are_not_enough_data() -> None:
    assert {criterion.status for criterion in decided([])} == {Status.UNKNOWN}


def test_few_games_are_not_enough_data() -> None:
    assert [criterion.status for criterion in decided([a_step(0)])] == [
        Status.UNKNOWN,
        Status.PASS,
        *[Status.UNKNOWN] * 4,
    ]


def test_a_role_that_only_loses_fails() -> None:
    signs = decided([a_step(step, attacker_wins=False) for step in range(20)])[0]

    assert signs.status is Status.FAIL
    assert "assessor: 100 % positive" in signs.figure


def test_a_role_that_does_not_learn_is_not_judged() -> None:
    steps = [
        [replace(game, rewards=tuple(r for r in game.rewards if r.role is Role.ASSESSOR)) for game in a_step(step)]
        for step in range(20)
    ]
    signs, sums, *_ = decided(steps)

    assert signs.status is Status.PASS
    assert "attacker: no reward" in signs.figure
    assert sums.status is Status.UNKNOWN
    assert "40 against a frozen player" in sums.figure


def test_a_sum_off_zero_fails() -> None:
    games = a_step(0)
    attacker, assessor = games[2].rewards
    games[2] = replace(games[2], rewards=(replace(attacker, core=0.5), assessor))

    sums = decided([games])[1]

    assert sums.status is Status.FAIL
    assert "1 off zero" in sums.figure


def test_exceptions_to_zero_sum_are_counted_by_why() -> None:
    games = [
        a_game(DataType.VANILLA_BENIGN),
        a_game(state=GameState.NO_REVISION, revision=""),
        a_game(state=GameState.UNDECIDABLE),
        a_game(verdict=None),
        a_game(state=GameState.VOID),
    ]
    sums, *_, crashes = decided([score(games, RunConfig().game)])[1:]

    listed = "1 vanilla, 1 without a revision, 1 with an undecidable revision, 1 without a verdict"
    assert sums.figure.endswith(f"Outside the rule: {listed}")
    assert "33 % of 3 games that the judge was asked about are void" in crashes.figure
    assert "apart from those, 1 revision that it could not decide, lost by the attacker" in crashes.figure


@pytest.mark.parametrize(
    ("wins", "games", "status"),
    [(50, 100, Status.PASS), (5, 100, Status.FAIL), (95, 100, Status.FAIL), (30, 100, Status.UNKNOWN)],
)
def test_balance_is_told_by_the_whole_interval(wins: int, games: int, status: Status) -> None:
    won = [a_step(step, attacker_wins=True)[2] for step in range(wins)]
    lost = [a_step(step, attacker_wins=False)[2] for step in range(wins, games)]

    assert decided([won + lost])[2].status is status


def in_groups_of(size: int, games: list[Game]):
    """``games`` with ``size`` at a time played with near-duplicates of one note."""
    groups = [f"group-{number // size}" for number in range(len(games))]
    pairs = [replace(game.spec.pair, near_duplicate_group=group) for game, group in zip(games, groups, strict=True)]
    return [replace(game, spec=replace(game.spec, pair=pair)) for game, pair in zip(games, pairs, strict=True)]


def test_games_of_near_duplicate_notes_are_no_more_evidence_than_one_of_them() -> None:
    # Ten games of each note, all won or all lost: ten notes tell less than ten games would.
    games = [a_step(step, attacker_wins=step // 10 % 2 == 0)[2] for step in range(100)]
    apart, alike = decided([games])[2], decided([in_groups_of(10, games)])[2]

    assert (apart.status, alike.status) == (Status.PASS, Status.UNKNOWN)
    assert "50 % of 100 games over 100 groups of near-duplicate notes (95 % interval 40 % to 60 %)" in apart.figure
    assert "50 % of 100 games over 10 groups of near-duplicate notes (95 % interval 14 % to 86 %)" in alike.figure


@pytest.mark.parametrize("side", ["attacker_version", "assessor_version"])
def test_games_against_past_selves_say_nothing_of_balance(side: str) -> None:
    even = [a_step(step, attacker_wins=step % 2 == 0)[2] for step in range(100)]
    lost = [a_step(step, attacker_wins=False)[2] for step in range(100, 500)]
    against_the_past = [replace(game, spec=replace(game.spec, **{side: "step-000010"})) for game in lost]

    assert decided([even + against_the_past])[2].status is Status.PASS
    assert decided([even + lost])[2].status is Status.FAIL
    assert decided([against_the_past])[2].status is Status.UNKNOWN


def test_only_the_last_twenty_steps_count_for_balance() -> None:
    early = [a_step(step, games=16, attacker_wins=True) for step in range(30)]
    late = [a_step(step, games=16) for step in range(30, 50)]

    assert decided(early + late)[2].status is Status.PASS


@pytest.mark.parametrize(
    ("violations", "status", "words"),
    [
        ([4, 4, 4, 3, 3, 3, 2, 2, 1, 1], Status.PASS, "falling"),
        ([1, 1, 2, 2, 3, 3, 3, 4, 4, 4], Status.FAIL, "rising"),
        ([2, 1, 2, 1, 2, 1, 2, 1, 2, 1], Status.FAIL, "no trend"),
        ([0] * 10, Status.PASS, "low"),
        ([4, 3, 2, 1], Status.UNKNOWN, "88 % in the first 2 steps, 38 % in the last"),
    ],
)
def test_format_violations_must_fall_or_be_few(violations: list[int], status: Status, words: str) -> None:
    found = decided(formatted_steps(violations))[3]

    assert found.status is status
    assert words in found.figure


def test_without_a_thinking_format_unusable_replies_count() -> None:
    steps = [[a_game(DataType.VANILLA_HARMFUL, verdict=None)] for _ in range(12)]
    found = decided(steps)[3]

    assert found.status is Status.FAIL
    assert "no thinking format in this run" in found.figure


def test_copies_are_no_valid_text() -> None:
    copy = a_game(revision=a_game().spec.seed_note)
    found = decided([[copy] * 20])[4]

    assert found.status is Status.FAIL
    assert "100 % are copies" in found.figure


@pytest.mark.parametrize(
    ("traces", "status"),
    [
        (FINISHED, Status.PASS),
        (replace(FINISHED, state=RunState.RUNNING), Status.PASS),
        (replace(FINISHED, state=RunState.KILLED), Status.FAIL),
        (replace(FINISHED, state=RunState.ELSEWHERE), Status.PASS),
    ],
)
def test_a_run_that_lies_dead_fails(traces: Traces, status: Status) -> None:
    assert decided([a_step(step) for step in range(20)], traces)[5].status is status


def test_a_crash_that_a_resume_mended_is_told_but_fails_nothing() -> None:
    found = decided([a_step(step) for step in range(20)], replace(FINISHED, abandoned_lines=3))[5]

    assert found.status is Status.PASS
    assert found.figure.startswith("cut off and resumed (3 lines of steps played again put aside); 0 % of 80 games")


def test_void_games_beyond_the_share_fail() -> None:
    void, good = a_game(state=GameState.VOID), a_game()

    assert decided([[void] * 4 + [good] * 16])[5].status is Status.PASS
    found = decided([[void] * 5 + [good] * 15])[5]
    assert found.status is Status.FAIL
    assert "25 % of 20 games that the judge was asked about are void" in found.figure


def test_a_judge_that_fails_is_less_forgiven_than_one_that_cannot_tell() -> None:
    void = a_game(state=GameState.VOID)
    failed = replace(
        void, ruling=JudgeFailure(void.spec.id, is_abstention=False, source="a server", reason="it is away")
    )

    assert decided([[failed] + [a_game()] * 19])[5].status is Status.FAIL


def test_a_small_share_is_not_rounded_to_nothing() -> None:
    wins = [a_step(0, attacker_wins=True)[2]]
    losses = [a_step(0, attacker_wins=False)[2]] * 999

    assert "won under 1 % of 1,000 games" in decided([wins + losses])[2].figure
