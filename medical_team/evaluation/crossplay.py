"""Every attacker against every assessor: what rewards near zero don't tell. The games between them become ratings,
by the Bradley-Terry model, and a picture: SVG, written here, readable without colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..callbacks import Notify
from ..judge.protocol import Judge
from ..metrics.statistics import GroupBootstrap, Interval, interval_of
from ..metrics.step_metrics import is_assessor_right
from ..records import Closed, Game, GameSpec, GameState
from .folders import PlayedSoFar
from .model_games import Player, assessed, attacked, renamed
from .tables import figure

MEAN_ATTACKER = 1000.0
_POINTS = 400 / np.log(10)
_PRIOR = 0.5
_MAX_ROUNDS = 2000
_PRECISION = 1e-6

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Rating(Closed):
    """How strong a player is in one role."""

    value: float
    interval: Interval | None


def ratings(wins: Numbers, losses: Numbers) -> tuple[Numbers, Numbers]:
    """The ratings of attackers and of assessors.

    Args:
        wins: of assessors, ``[..., attacker, assessor]``; leading axes are fitted each by itself.
        losses: of assessors, likewise.
    """
    wins, losses = wins + _PRIOR, losses + _PRIOR
    games = wins + losses
    attackers = np.ones((*games.shape[:-1], 1))
    assessors = np.ones((*games.shape[:-2], 1, games.shape[-1]))
    for _ in range(_MAX_ROUNDS):
        before = attackers
        attackers = losses.sum(-1, keepdims=True) / (games / (attackers + assessors)).sum(-1, keepdims=True)
        assessors = wins.sum(-2, keepdims=True) / (games / (attackers + assessors)).sum(-2, keepdims=True)
        scale = np.exp(np.log(attackers).mean(-2, keepdims=True))
        attackers, assessors = attackers / scale, assessors / scale
        if np.abs(np.log(attackers / before)).max() < _PRECISION:
            break
    return MEAN_ATTACKER + _POINTS * np.log(attackers[..., 0]), MEAN_ATTACKER + _POINTS * np.log(assessors[..., 0, :])


def rated(values: Numbers, draws: Numbers) -> list[Rating]:
    """The ratings of one role with intervals from ``draws``, ``[draw, player]``."""
    return [Rating(float(value), interval_of(draws[:, index])) for index, value in enumerate(values)]


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
    so_far: PlayedSoFar | None = None,
    on_progress: Notify = lambda _: None,
) -> dict[tuple[str, str], list[Game]]:
    """The games of each attacker and assessor, in the order of ``specs``.

    Args:
        entrants: names, each different.
        load: gives the player of a name. Called twice for each, so that one model is in memory at a time.
        specs: adversarial games, the same for every pair.
        guests: further names, who only attack.
        so_far: what was played before, and takes what is played now.
    """

    def attack(name: str) -> list[Game]:
        on_progress(f"{name} attacks")
        return attacked(specs, load(name), seed)

    def played(part: str, play: Callable[[], list[Game]]) -> list[Game]:
        return so_far.games(part, play) if so_far else play()

    openings = {
        name: played(f"attacker-{number}", partial(attack, name)) for number, name in enumerate((*entrants, *guests))
    }
    games: dict[tuple[str, str], list[Game]] = {}
    for column, assessor in enumerate(entrants):
        players: list[Player] = []

        def assess(opened: Sequence[Game], assessor: str = assessor, players: list[Player] = players) -> list[Game]:
            if not players:
                on_progress(f"{assessor} assesses")
                players.append(load(assessor))
            return assessed(opened, players[0], judge, seed)

        for row, attacker in enumerate(openings):
            part = f"attacker-{row}-assessor-{column}"
            games[attacker, assessor] = played(part, partial(assess, openings[attacker]))
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
    cells: list[Cell] = []
    totals: list[NDArray[np.float64]] = []
    draws: list[NDArray[np.float64]] = []
    for attacker in rows:
        for assessor in entrants:
            played = games[attacker, assessor]
            won = np.array([_has_assessor_won(game) for game in played], dtype=np.float64)
            counted = np.array([game.state is not GameState.VOID for game in played], dtype=np.float64)
            lost = counted - won
            totals.append(np.array([won.sum(), lost.sum()]))
            draws.append(np.array(bootstrap.sums(won, lost)))
            found = bootstrap.figure(won, counted)
            cells.append(Cell(attacker, assessor, found.value, found.interval, found.of, len(played) - found.of))
    # [wins or losses, attacker, assessor], and the same of each draw, with the draws in front of attackers.
    wins, losses = np.array(totals).T.reshape(2, len(rows), size)
    drawn_wins, drawn_losses = np.array(draws).transpose(1, 2, 0).reshape(2, -1, len(rows), size)
    attackers, assessors = ratings(wins, losses)
    attacker_draws, assessor_draws = ratings(drawn_wins, drawn_losses)
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
        renamed(game, f"{attacker} / {assessor} / {game.spec.id}")
        for (attacker, assessor), played in games.items()
        for game in played
    ]


def _has_assessor_won(game: Game) -> bool:
    return is_assessor_right(game) or game.state in (GameState.NO_REVISION, GameState.UNDECIDABLE)


_CELL = 64
_MARGIN = 12
_LETTER = 7.5
"""About the width of a letter of the labels."""
_LONGEST_LABEL = 32

# Orange for the attacker, blue for the assessor: apart for every kind of colour vision (Okabe and Ito 2008).
_ATTACKER, _EVEN, _ASSESSOR = (230, 159, 0), (255, 255, 255), (0, 114, 178)
_DARK, _LIGHT = "#1a1a1a", "#ffffff"


def heatmap(crossplay: Crossplay) -> str:
    """An SVG document: attackers in rows, assessors in columns, in each cell how often the assessor wins."""
    labels = [_shortened(name) for name in crossplay.rows]
    left = _MARGIN + int(max(map(len, labels)) * _LETTER) + _MARGIN
    top = left + 24
    width, height = left + len(crossplay.entrants) * _CELL + _MARGIN, top + len(labels) * _CELL + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="title">',
        '<title id="title">How often each assessor (columns) wins against each attacker (rows)</title>',
        f'<rect width="{width}" height="{height}" fill="{_LIGHT}"/>',
        f'<text x="{_MARGIN}" y="20" fill="{_DARK}">Assessor wins: rows attack, columns assess</text>',
    ]
    for index, label in enumerate(labels):
        middle = index * _CELL + _CELL // 2
        parts.append(
            f'<text x="{left - 8}" y="{top + middle + 5}" text-anchor="end" fill="{_DARK}">{escape(label)}</text>'
        )
        if index >= len(crossplay.entrants):
            continue
        x, y = left + middle + 5, top - 8
        parts.append(f'<text transform="translate({x} {y}) rotate(-90)" fill="{_DARK}">{escape(label)}</text>')
    for row, attacker in enumerate(crossplay.rows):
        for column, assessor in enumerate(crossplay.entrants):
            rate = crossplay.cell(attacker, assessor).assessor_win_rate
            parts += _drawn_cell(left + column * _CELL, top + row * _CELL, rate)
    return "\n".join([*parts, "</svg>", ""])


def _drawn_cell(x: int, y: int, rate: float | None) -> list[str]:
    red, green, blue = _colour(rate)
    # Perceived brightness (ITU-R BT.601) decides the colour of the number.
    ink = _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _LIGHT
    middle = _CELL // 2
    return [
        f'<rect x="{x}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" fill="rgb({red},{green},{blue})"/>',
        f'<text x="{x + middle}" y="{y + middle + 4}" text-anchor="middle" fill="{ink}">{figure(rate, 2)}</text>',
    ]


def _colour(rate: float | None) -> tuple[int, int, int]:
    if rate is None:
        return (238, 238, 238)
    end, share = (_ASSESSOR, 2 * rate - 1) if rate >= 0.5 else (_ATTACKER, 1 - 2 * rate)
    red, green, blue = (round(even + share * (full - even)) for even, full in zip(_EVEN, end, strict=True))
    return red, green, blue


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"...{label[3 - _LONGEST_LABEL :]}"
