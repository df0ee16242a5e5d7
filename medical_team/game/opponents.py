"""Whom the policy plays besides itself: who is in the pool, and who of them plays which side of which game.

Everything is a pure function of the configuration, the seed, the step, and for ``pfsp`` of the games so far.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..config import GameConfig
from ..game_config import OpponentConfig
from ..records import LIVING, Game, GameSpec, GameState, Labels, Role
from ..rewards import decided_core
from ..runs.checkpoints import name_of
from ..seeds import derived_random
from .rollout import FIXED, REFERENCE

RECENT_STEPS = 50
"""Steps whose games count for who beats the policy."""

_HARDNESS = 2.0
"""How much more often ``pfsp`` draws who wins more: weights are win rates to this power."""


def pool_after(completed_steps: int, add_every: int, size: int) -> tuple[int, ...]:
    """The selves in the pool after ``completed_steps``, by the steps that they had completed; 0 is the start.

    A self joins every ``add_every`` steps. When there are more than ``size``, the one goes whose neighbours are closest
    together for its age: recent selves stand close, old ones far apart. The first and the newest stay.
    """
    if add_every <= 0:
        return ()
    pool = [0]
    for joined in range(add_every, completed_steps + 1, add_every):
        pool.append(joined)
        if len(pool) > size:
            inner = range(1, len(pool) - 1)
            del pool[min(inner, key=lambda place: (pool[place + 1] - pool[place - 1]) / (joined - pool[place - 1]))]
    return tuple(pool)


def version_after(completed_steps: int) -> str:
    """What the self after ``completed_steps`` is called, as the checkpoint of that moment is."""
    return name_of(completed_steps) if completed_steps else REFERENCE


@dataclass(frozen=True)
class Opponent:
    """Somebody who plays one side and doesn't learn."""

    role: Role
    version: str


class Standings:
    """How often each opponent has beaten the policy in the recent steps."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, Counter[Opponent], Counter[Opponent]]] = deque()

    def add(self, games: Sequence[Game]) -> None:
        """Take in the games of the next step."""
        if not games:
            return
        played, won = Counter[Opponent](), Counter[Opponent]()
        for game in games:
            opponent, has_won = opponent_of(game), opponent_has_won(game)
            if opponent is not None and has_won is not None:
                played[opponent] += 1
                won[opponent] += has_won
        step = games[0].spec.step
        self._steps.append((step, played, won))
        while self._steps[0][0] <= step - RECENT_STEPS:
            self._steps.popleft()

    def win_rate(self, opponent: Opponent) -> float:
        """The share of its recent games that ``opponent`` won, from one half towards what was seen."""
        played = sum(counts[opponent] for _, counts, _ in self._steps)
        won = sum(counts[opponent] for _, _, counts in self._steps)
        return (won + 1) / (played + 2)


class OpponentDraw:
    """Says who plays which side.

    Args:
        config: the opponents.
        game: the rules; an ablation can leave one side to a frozen player.
        seed: the run's seed.
    """

    def __init__(self, config: OpponentConfig, game: GameConfig, *, seed: int) -> None:
        self._config = config
        self._is_assessor_frozen = game.no_defender_turn
        self._seed = seed

    def assigned(self, specs: Sequence[GameSpec], step: int, standings: Standings) -> list[GameSpec]:
        """``specs`` of ``step`` with the opponents who play in them. Vanilla games have none.

        Args:
            specs: the games.
            step: how many steps are complete when they are played.
            standings: decides for ``pfsp``.
        """
        versions = self._versions(step)
        if not versions:
            return list(specs)
        weights = {role: self._weights(role, versions, standings) for role in Role}
        return [self._assigned(spec, versions, weights) if spec.data_type.is_adversarial else spec for spec in specs]

    def _versions(self, completed_steps: int) -> list[str]:
        pool = pool_after(completed_steps, self._config.add_every, self._config.size)
        fixed = [FIXED] if self._config.fixed is not None else []
        return [*map(version_after, pool), *fixed]

    def _weights(self, role: Role, versions: Sequence[str], standings: Standings) -> list[float]:
        if self._config.draw == "uniform":
            return [1.0] * len(versions)
        return [standings.win_rate(Opponent(role, version)) ** _HARDNESS for version in versions]

    def _assigned(self, spec: GameSpec, versions: Sequence[str], weights: dict[Role, list[float]]) -> GameSpec:
        if self._is_assessor_frozen:
            return replace(spec, assessor_version=FIXED) if FIXED in versions else spec
        random = derived_random(self._seed, "opponents", spec.id)
        # Drawn whether they are needed or not, so that one option changes no other draw.
        is_played, is_attacker = random.random() < self._config.share, random.random() < 0.5
        if not is_played:
            return spec
        if self._config.sides != "both":
            is_attacker = self._config.sides == Role.ATTACKER.value
        role = Role.ATTACKER if is_attacker else Role.ASSESSOR
        (version,) = random.choices(versions, weights[role])
        return replace(spec, **{f"{role.value}_version": version})


def opponent_of(game: Game) -> Opponent | None:
    """Who played a side of ``game`` without learning, against the policy that learns; None in a game of its own."""
    frozen = [Opponent(role, version) for role in Role if (version := _version_in(game, role)) != LIVING]
    return frozen[0] if len(frozen) == 1 and game.spec.data_type.is_adversarial else None


def opponent_has_won(game: Game) -> bool | None:
    """Whether the opponent won; None in a game without one, or that nobody won."""
    opponent = opponent_of(game)
    if opponent is None:
        return None
    if game.state in (GameState.NO_REVISION, GameState.UNDECIDABLE):
        return opponent.role is Role.ASSESSOR
    if game.state is GameState.DECIDED and isinstance(game.ruling, Labels):
        return decided_core(opponent.role, game.ruling) > 0
    return None


def _version_in(game: Game, role: Role) -> str:
    """Who played ``role``, also where the rules chose it; a game that ended before has the one that was drawn."""
    turn = game.turn_of(role)
    return game.spec.version_of(role) if turn is None else turn.version
