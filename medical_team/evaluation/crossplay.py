"""Every attacker against every assessor: what rewards near zero don't tell.

In self-play both roles get better together and rewards stay near zero. A checkpoint's attacker against all checkpoints'
assessors, and the other way round, shows who got better. All play on the same notes. The assessor wins a game with the
right verdict, and where the attacker gave no note or one that nobody can decide; it loses with a wrong verdict or none.
Void games don't count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..callbacks import Notify
from ..judge.protocol import Judge
from ..metrics.statistics import GroupBootstrap, Interval, interval_of
from ..records import Closed, Game, GameSpec, GameState
from .game_facts import is_assessor_right
from .players import Player, assessed, attacked
from .ratings import Rating, rated, ratings

LoadPlayer = Callable[[str], Player]


@dataclass(frozen=True)
class Cell(Closed):
    """One attacker against one assessor."""

    attacker: str
    assessor: str
    assessor_win_rate: float | None
    """None where every game is void."""
    interval: Interval | None
    games: int
    """Games that count."""
    void: int


@dataclass(frozen=True)
class Crossplay:
    """The matrix and the ratings."""

    entrants: tuple[str, ...]
    cells: tuple[Cell, ...]
    """By attacker, then by assessor, both in the order of the entrants, after whom guests attack."""
    attackers: dict[str, Rating]
    assessors: dict[str, Rating]
    guests: tuple[str, ...] = ()
    """Who only attacks: attackers that none of the assessors was trained with."""

    @property
    def rows(self) -> tuple[str, ...]:
        """All attackers."""
        return (*self.entrants, *self.guests)

    def cell(self, attacker: str, assessor: str) -> Cell:
        """The games of ``attacker`` against ``assessor``."""
        width = len(self.entrants)
        return self.cells[self.rows.index(attacker) * width + self.entrants.index(assessor)]


def play_all(
    entrants: Sequence[str],
    load: LoadPlayer,
    specs: Sequence[GameSpec],
    judge: Judge,
    *,
    seed: int,
    guests: Sequence[str] = (),
    on_progress: Notify = lambda _: None,
) -> dict[tuple[str, str], list[Game]]:
    """The games of each attacker and assessor, in the order of ``specs``.

    Args:
        entrants: names, each different.
        load: gives the player of a name. Called twice for each, so that one model is in memory at a time.
        specs: adversarial games, the same for every pair.
        guests: further names, who only attack.
    """
    openings: dict[str, list[Game]] = {}
    for name in (*entrants, *guests):
        on_progress(f"{name} attacks")
        openings[name] = attacked(specs, load(name), seed, lambda _: None)
    games: dict[tuple[str, str], list[Game]] = {}
    for assessor in entrants:
        on_progress(f"{assessor} assesses")
        player = load(assessor)
        for attacker in openings:
            games[attacker, assessor] = assessed(openings[attacker], player, judge, seed, lambda _: None)
    return games


def crossplay(
    entrants: Sequence[str],
    games: dict[tuple[str, str], list[Game]],
    *,
    seed: int = 0,
    guests: Sequence[str] = (),
) -> Crossplay:
    """The matrix of win rates and the ratings, with intervals over the near-duplicate groups of the notes.

    Args:
        games: of each attacker and assessor, all of the same specs in the same order.
        guests: who only attacked.
    """
    any_games = games[entrants[0], entrants[0]]
    bootstrap = GroupBootstrap([game.spec.pair.near_duplicate_group for game in any_games], seed=seed)
    rows, size = (*entrants, *guests), len(entrants)
    wins, losses = np.zeros((len(rows), size)), np.zeros((len(rows), size))
    drawn_wins: list[list[np.ndarray]] = []
    drawn_losses: list[list[np.ndarray]] = []
    cells: list[Cell] = []
    for row, attacker in enumerate(rows):
        drawn_wins.append([])
        drawn_losses.append([])
        for column, assessor in enumerate(entrants):
            played = games[attacker, assessor]
            won = np.array([_has_assessor_won(game) for game in played], dtype=np.float64)
            counted = np.array([game.state is not GameState.VOID for game in played], dtype=np.float64)
            wins[row, column], losses[row, column] = won.sum(), (counted - won).sum()
            won_draws, counted_draws = bootstrap.sums(won, counted)
            drawn_wins[-1].append(won_draws)
            drawn_losses[-1].append(counted_draws - won_draws)
            cells.append(_cell(attacker, assessor, won, counted, interval_of(bootstrap.rates(won, counted))))
    attackers, assessors = ratings(wins, losses)
    # [attacker, assessor, draw] with the draws in front.
    attacker_draws, assessor_draws = ratings(
        np.moveaxis(np.array(drawn_wins), -1, 0), np.moveaxis(np.array(drawn_losses), -1, 0)
    )
    return Crossplay(
        entrants=tuple(entrants),
        cells=tuple(cells),
        attackers=dict(zip(rows, rated(attackers, attacker_draws), strict=True)),
        assessors=dict(zip(entrants, rated(assessors, assessor_draws), strict=True)),
        guests=tuple(guests),
    )


def named_games(games: dict[tuple[str, str], list[Game]]) -> list[Game]:
    """All games, under ids that say who played."""
    return [
        replace(
            game,
            spec=replace(game.spec, id=f"{attacker} / {assessor} / {game.spec.id}"),
            ruling=None
            if game.ruling is None
            else replace(game.ruling, game_id=f"{attacker} / {assessor} / {game.spec.id}"),
        )
        for (attacker, assessor), played in games.items()
        for game in played
    ]


def _has_assessor_won(game: Game) -> bool:
    return is_assessor_right(game) or game.state in (GameState.NO_REVISION, GameState.UNDECIDABLE)


def _cell(attacker: str, assessor: str, won: np.ndarray, counted: np.ndarray, interval: Interval | None) -> Cell:
    count = int(counted.sum())
    rate = float(won.sum() / count) if count else None
    return Cell(attacker, assessor, rate, interval, count, len(counted) - count)
