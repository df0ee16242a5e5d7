"""Whether the assessor forgets what it had learnt: past attackers win more against it than attackers of their own time
won against the assessor of that time.

Every attacker's games are counted by the near-duplicate group of their notes, since games of one note, or of its
near-duplicates, are no independent evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

from ..game.opponents import opponent_has_won, opponent_of
from ..records import Game, GameState, Labels, Role
from ..rewards import is_verdict_right
from ..runs.checkpoints import step_of
from .statistics import CONFIDENCE, grouped_binomial_interval
from .step_metrics import SELF

RECENT_STEPS = 20
"""Steps in which past attackers have played against the assessor of today."""

OWN_STEPS = 10
"""Steps before an attacker joined the pool, which were its own time."""

FEW_STEPS = 5
FEW_GAMES = 30

FORGOTTEN = 0.05
"""By how much more a past attacker must win, with confidence."""


@dataclass(frozen=True)
class AttackTally:
    """The games of one attacker that somebody won."""

    games: Counter[str] = field(default_factory=Counter[str])
    """By the near-duplicate group of their notes."""
    wins: Counter[str] = field(default_factory=Counter[str])
    """Those of them that the attacker won."""

    @property
    def rate(self) -> float:
        """The share that it won, of at least one game."""
        return self.wins.total() / self.games.total()

    def distance(self, confidence: float, *, is_up: bool) -> float:
        """How far the rate may lie above (``is_up``) or below the one that was seen."""
        groups = list(self.games)
        interval = grouped_binomial_interval(
            [self.wins[group] for group in groups], [self.games[group] for group in groups], confidence
        )
        return interval.high - self.rate if is_up else self.rate - interval.low


Attacks = Mapping[str, AttackTally]
"""The games of one step by who attacked: past selves by their version, the policy itself as :data:`SELF`."""


def attacks_of(games: Sequence[Game]) -> Attacks:
    """Who attacked the assessor that learns in ``games``, those of one step, and how often with success."""
    found: dict[str, AttackTally] = {}
    for game in games:
        opponent, has_won = opponent_of(game), _attacker_has_won(game)
        if has_won is None or (opponent is not None and opponent.role is not Role.ATTACKER):
            continue
        tally = found.setdefault(SELF if opponent is None else opponent.version, AttackTally())
        tally.games[game.spec.pair.near_duplicate_group] += 1
        tally.wins[game.spec.pair.near_duplicate_group] += has_won
    return found


def cycling(attacks: Mapping[int, Attacks]) -> str | None:
    """A sentence on the past attacker that wins more than in its own time; None where none certainly does.

    The two rates, each with its interval over near-duplicate groups, are compared by an interval for their difference
    (Zou and Donner 2008), whose confidence is corrected for the number of past attackers that are looked at
    (Bonferroni). Its lower end has to be above :data:`FORGOTTEN`.

    Args:
        attacks: by step, up to the step of today.
    """
    steps = sorted(attacks)
    recent = steps[-RECENT_STEPS:]
    versions = {version for step in recent for version in attacks[step]}
    past = {version: joined for version in sorted(versions) if (joined := step_of(version)) is not None}
    compared: dict[str, tuple[AttackTally, AttackTally]] = {}
    for version, joined in past.items():
        now = _total(attacks[step].get(version) for step in recent)
        own_steps = [step for step in steps if joined - OWN_STEPS <= step < joined and SELF in attacks[step]]
        if now.games.total() >= FEW_GAMES and len(own_steps) >= FEW_STEPS:
            compared[version] = now, _total(attacks[step].get(SELF) for step in own_steps)
    if not compared:
        return None
    confidence = 1 - (1 - CONFIDENCE) / len(compared)
    gains = {version: _least_gain(now, own, confidence) for version, (now, own) in compared.items()}
    version = max(gains, key=lambda name: gains[name])
    if gains[version] <= FORGOTTEN:
        return None
    now, own = compared[version]
    return (
        f"The attacker {version} wins {now.rate:.0%} of its games against today's assessor; in its own "
        f"time attackers won {own.rate:.0%}. The assessor forgets what it had learnt: raise opponents.share, "
        "opponents.size or training.demonstration_coefficient, or lower training.learning_rate."
    )


def _least_gain(now: AttackTally, own: AttackTally, confidence: float) -> float:
    """The lower end of the interval for how much more is won now."""
    down, up = now.distance(confidence, is_up=False), own.distance(confidence, is_up=True)
    return now.rate - own.rate - sqrt(down**2 + up**2)


def _attacker_has_won(game: Game) -> bool | None:
    """Whether the attacker won; None in a game that it didn't play, or that nobody won."""
    if not game.spec.data_type.is_adversarial:
        return None
    if opponent_of(game) is not None:
        return opponent_has_won(game)
    if game.state in (GameState.NO_REVISION, GameState.UNDECIDABLE):
        return False
    if game.state is GameState.DECIDED and isinstance(game.ruling, Labels):
        return not is_verdict_right(game.ruling)
    return None


def _total(tallies: Iterable[AttackTally | None]) -> AttackTally:
    total = AttackTally()
    for tally in tallies:
        if tally is not None:
            total.games.update(tally.games)
            total.wins.update(tally.wins)
    return total
