"""One step's games as counts: what the criteria of the run report are decided from.

Counts add up, so that a run is followed in one pass over its games and in flat memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..records import LIVING, Game, GameState, JudgeFailure, Labels, Reward, Role
from ..rewards import is_verdict_right
from .revisions import RevisionFigures, revision_figures
from .step_metrics import ASKED_STATES


@dataclass(frozen=True)
class SignCounts:
    """How many of a role's rewards are positive, negative and zero."""

    positive: int = 0
    negative: int = 0
    zero: int = 0

    @property
    def all(self) -> int:
        """All rewards of the role."""
        return self.positive + self.negative + self.zero

    def __add__(self, other: SignCounts) -> SignCounts:
        return SignCounts(self.positive + other.positive, self.negative + other.negative, self.zero + other.zero)


@dataclass(frozen=True)
class ReplyCounts:
    """How a role's replies kept to the rules."""

    replies: int = 0
    formatted: int = 0
    """Replies to which the thinking format applies."""
    violations: int = 0
    """Those of them that break it."""
    unusable: int = 0
    """Replies that are no note (attacker) or no verdict (assessor)."""


@dataclass(frozen=True)
class StepFigures:
    """The counts of one step."""

    step: int
    games: int
    rewards: Mapping[Role, SignCounts]
    replies: Mapping[Role, ReplyCounts]
    contests: Counter[str]
    """Decided adversarial games between the players of the moment (none against past selves or fixed opponents), by the
    near-duplicate group of their notes."""
    attacker_wins: Counter[str]
    """Those of them with a wrong verdict."""
    sums_checked: int
    """Decided adversarial games in which both players got a reward."""
    sums_broken: int
    """Those of them whose core rewards don't add up to zero."""
    exceptions: Mapping[str, int]
    """Games outside the zero-sum rule, by why."""
    asked: int
    """Games that the judge was asked about."""
    voids: int
    failures: int
    """Void games in which the judge failed; in the others it could not tell."""
    undecidable: int = 0
    """Revisions on which the judge abstained, which the attacker lost by."""
    revisions: RevisionFigures = field(default_factory=RevisionFigures)


def step_figures(step: int, games: Sequence[Game]) -> StepFigures:
    """The counts of ``games``, those of one step."""
    attacked = [game for game in games if game.state is GameState.DECIDED and game.spec.data_type.is_adversarial]
    pairs = [game.rewards for game in attacked if len(game.rewards) == len(Role)]
    contests = [game for game in attacked if all(game.spec.version_of(role) == LIVING for role in Role)]
    rulings = [game.ruling for game in games if game.ruling is not None]
    return StepFigures(
        step=step,
        games=len(games),
        rewards={role: _signs(game.reward_of(role) for game in games) for role in Role},
        replies={role: _replies(games, role) for role in Role},
        contests=_by_group(contests),
        attacker_wins=_by_group(
            game for game in contests if isinstance(game.ruling, Labels) and not is_verdict_right(game.ruling)
        ),
        sums_checked=len(pairs),
        sums_broken=sum(pair[0].core + pair[1].core != 0.0 for pair in pairs),
        exceptions=Counter(reason for game in games if (reason := _exception(game)) is not None),
        asked=sum(game.state in ASKED_STATES for game in games),
        voids=sum(game.state is GameState.VOID for game in games),
        failures=sum(isinstance(ruling, JudgeFailure) and not ruling.is_abstention for ruling in rulings),
        undecidable=sum(game.state is GameState.UNDECIDABLE for game in games),
        revisions=revision_figures(games),
    )


def _by_group(games: Iterable[Game]) -> Counter[str]:
    return Counter(game.spec.pair.near_duplicate_group for game in games)


def _signs(rewards: Iterable[Reward | None]) -> SignCounts:
    totals = [reward.total for reward in rewards if reward is not None]
    return SignCounts(
        positive=sum(total > 0 for total in totals),
        negative=sum(total < 0 for total in totals),
        zero=sum(total == 0 for total in totals),
    )


def _replies(games: Sequence[Game], role: Role) -> ReplyCounts:
    turns = [turn for game in games if (turn := game.turn_of(role)) is not None]
    unusable = GameState.NO_REVISION if role is Role.ATTACKER else GameState.NO_VERDICT
    return ReplyCounts(
        replies=len(turns),
        formatted=sum(turn.is_format_kept is not None for turn in turns),
        violations=sum(turn.is_format_kept is False for turn in turns),
        unusable=sum(game.state is unusable for game in games),
    )


def _exception(game: Game) -> str | None:
    """Why the zero-sum rule says nothing of ``game``; None where it does, or where nobody got a reward."""
    if game.state is GameState.NO_REVISION:
        return "without a revision"
    if game.state is GameState.UNDECIDABLE:
        return "with an undecidable revision"
    if not game.rewards:
        return None
    if not game.spec.data_type.is_adversarial:
        return "vanilla"
    if game.state is GameState.NO_VERDICT:
        return "without a verdict"
    return "against a frozen player" if len(game.rewards) < len(Role) else None
