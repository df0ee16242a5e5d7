"""Ratings of attackers and assessors from the games between them: the Bradley-Terry model, on the scale of Elo.

An assessor with rating b beats an attacker with rating a with probability 1 / (1 + 10 ** ((a - b) / 400)). Fitted by
minorisation-maximisation (Hunter 2004). Half a win and half a loss are added to each pairing, so that a rating stays
finite where somebody never loses. The mean attacker has 1000: only differences mean something.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..metrics.statistics import Interval, interval_of
from ..records import Closed

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
