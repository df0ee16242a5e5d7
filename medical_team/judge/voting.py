"""From a model's scores to a decision: the margin between two answers, and the vote of several wordings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .questions import AnswerScores


@dataclass(frozen=True)
class Vote:
    """What one wording of a question gave. ``odds`` are log-odds in nats: the log-prob margin, with its sign."""

    odds: float
    is_calibrated: bool


@dataclass(frozen=True)
class Decision:
    """What the votes say together."""

    probability: float
    """Of the answer that was voted on, from 0 to 1; 0.5 is a tie."""
    confidence: float | None
    """Of the likelier answer; None where a single answer came without a probability."""


def vote_of(scores: AnswerScores, index: int) -> Vote:
    """The vote for or against the answer ``index``, against the likeliest other one."""
    others = [log_prob for other, log_prob in enumerate(scores.log_probs) if other != index]
    return Vote(scores.log_probs[index] - max(others), scores.is_calibrated)


def decide(votes: Sequence[Vote]) -> Decision:
    """The decision of one or more votes.

    Log-odds are averaged, so that a sure vote counts for more than an unsure one; where half of the wordings have the
    answers in the other order, a liking for one letter cancels out. Votes without probabilities are counted.
    """
    if all(vote.is_calibrated for vote in votes):
        probability = logistic(fmean(vote.odds for vote in votes))
        return Decision(probability, max(probability, 1 - probability))
    share = fmean(vote.odds > 0 for vote in votes)
    return Decision(share, max(share, 1 - share) if len(votes) > 1 else None)


def logistic(odds: float) -> float:
    """The probability of an answer with these log-odds."""
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
