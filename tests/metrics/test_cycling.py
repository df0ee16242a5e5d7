from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from builders import a_game, a_pair, a_spec
from medical_team.metrics.alarms import alarm_spans, alarms
from medical_team.metrics.cycling import Attacks, AttackTally, attacks_of, cycling
from medical_team.metrics.step_metrics import SELF
from medical_team.records import LIVING, DataType, Game, GameState, Role, Verdict

RUNS = 30
SELVES = [f"step-{step:06d}" for step in range(5, 45, 5)]
FORGOTTEN = SELVES[1]


def a_run_of(seed: int, *, games: int, forgotten_by: float = 0.0) -> Mapping[int, Attacks]:
    """A run of 60 steps with eight past selves. Whoever attacks wins as often by the same note, and each note is played
    in pairs of near-duplicates; but one self wins more in the last 20 steps.

    Args:
        seed: of everything drawn.
        games: of each attacker in each step.
        forgotten_by: how much more often that self wins.
    """
    chance = random.Random(seed)
    weakness = [chance.betavariate(0.8, 1.2) for _ in range(60)]
    attacks: dict[int, Attacks] = {}
    for step in range(60):
        there = [SELF, *(version for version in SELVES if int(version[5:]) <= step)]
        attacks[step] = {version: AttackTally() for version in there}
        for version, tally in attacks[step].items():
            more = forgotten_by if version == FORGOTTEN and step >= 40 else 0.0
            for _ in range(games // 2 * (3 if version == SELF else 1)):
                group = chance.randrange(len(weakness))
                tally.games[str(group)] += 2
                tally.wins[str(group)] += sum(chance.random() < weakness[group] + more for _ in range(2))
    return attacks


def is_ever_told(attacks: Mapping[int, Attacks]) -> bool:
    return any(cycling({step: attacks[step] for step in range(last)}) is not None for last in range(20, 61, 4))


def test_where_all_win_alike_an_alarm_is_rare_though_many_are_looked_at_again_and_again() -> None:
    false_alarms = sum(is_ever_told(a_run_of(seed, games=2)) for seed in range(RUNS))

    assert false_alarms <= RUNS * 0.05


def test_an_attacker_that_wins_much_more_than_in_its_own_time_is_told_by_name() -> None:
    told = [cycling(a_run_of(seed, games=12, forgotten_by=0.5)) for seed in range(RUNS)]

    named = [sentence for sentence in told if sentence is not None and f"The attacker {FORGOTTEN} wins" in sentence]
    assert len(named) >= RUNS * 0.95


def with_past_attacker(wins_now: int, wins_then: int, groups: int = 80) -> dict[int, Attacks]:
    """20 steps of 10 games with the living attacker, then 20 steps of 4 games with the one of step 20.

    Args:
        wins_now: of the 80 games of the past one.
        wins_then: of the 100 games of the ten steps before it joined.
        groups: of near-duplicate notes.
    """
    own = [(f"then-{game * groups // 100}", game < wins_then) for game in range(100)]
    now = [(f"now-{game * groups // 80}", game < wins_now) for game in range(80)]
    attacks: dict[int, Attacks] = {step: {SELF: tally_of(own[:10])} for step in range(10)}
    attacks |= {10 + step: {SELF: tally_of(own[step::10])} for step in range(10)}
    return attacks | {20 + step: {"step-000020": tally_of(now[step::20])} for step in range(20)}


def tally_of(games: list[tuple[str, bool]]) -> AttackTally:
    tally = AttackTally()
    for group, has_won in games:
        tally.games[group] += 1
        tally.wins[group] += has_won
    return tally


def test_both_rates_are_told_and_what_may_help() -> None:
    sentence = cycling(with_past_attacker(48, 30)) or ""

    assert "step-000020 wins 60% of its games against today's assessor; in its own time attackers won 30%" in sentence
    assert "raise opponents.share" in sentence


@pytest.mark.parametrize(
    ("attacks", "why"),
    [
        ({}, "no games"),
        (with_past_attacker(28, 30), "it wins 35 %, and they won 30 %"),
        (with_past_attacker(48, 30, groups=4), "all games are of four groups of notes"),
        (dict(list(with_past_attacker(48, 30).items())[:27]), "28 games are few"),
        (dict(list(with_past_attacker(48, 30).items())[16:]), "four steps of its own time are few"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_where_nothing_is_sure_nothing_is_told(attacks: Mapping[int, Attacks], why: str) -> None:
    assert cycling(attacks) is None, why


def test_it_is_an_alarm_of_a_run() -> None:
    attacks = with_past_attacker(48, 30)
    steps: list[dict[str, float]] = [{"policy/kl": 0.0}] * 40

    assert list(alarms(steps, attacks)) == ["cycling"]
    assert alarms(steps) == {}
    [span] = alarm_spans(dict(enumerate(steps)), attacks)
    assert (span.name, span.last_step, span.is_up) == ("cycling", 39, True)
    assert 26 < span.first_step < 39


def attacked_by(
    version: str, verdict: Verdict = Verdict.HARMFUL, *, group: str = "one", state: GameState | None = None
) -> Game:
    """A game with an error in its note and ``version`` as its attacker."""
    kind = DataType.ADVERSARIAL_HARMFUL
    spec = a_spec(kind, pair=a_pair(near_duplicate_group=group), attacker_version=version)
    game = a_game(kind, verdict=verdict, spec=spec, state=state)
    turns = (replace(turn, version=version) if turn.role is Role.ATTACKER else turn for turn in game.turns)
    return replace(game, turns=tuple(turns))


def test_games_are_counted_by_attacker_and_by_group() -> None:
    by_a_past_assessor = a_spec(DataType.ADVERSARIAL_HARMFUL, assessor_version="step-000010")
    against_it = a_game(spec=by_a_past_assessor)
    assessed = (
        replace(turn, version="step-000010") if turn.role is Role.ASSESSOR else turn for turn in against_it.turns
    )
    games = [
        attacked_by(LIVING, Verdict.SAFE),
        attacked_by(LIVING, group="two"),
        attacked_by(LIVING, state=GameState.NO_REVISION),
        attacked_by(LIVING, state=GameState.VOID),
        attacked_by("step-000010", Verdict.SAFE),
        attacked_by("step-000010", Verdict.SAFE),
        attacked_by("step-000010", state=GameState.UNDECIDABLE),
        a_game(DataType.VANILLA_HARMFUL),
        replace(against_it, turns=tuple(assessed)),
    ]

    found = attacks_of(games)

    assert {version: (dict(tally.games), +tally.wins) for version, tally in found.items()} == {
        SELF: ({"one": 2, "two": 1}, {"one": 1}),
        "step-000010": ({"one": 3}, {"one": 2}),
    }
