"""Closed questions: what a model judge asks, the protocol of whatever answers them, and from scores to a decision:
the margin between two answers, and the vote of several questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol


@dataclass(frozen=True)
class ClosedQuestion:
    """A question with a handful of allowed answers, each a short word or a letter."""

    prompt: str
    """The user's message, before the chat template. Players' words in it are quoted and neutralised."""
    answers: tuple[str, ...]


@dataclass(frozen=True)
class AnswerScores:
    """How much a model likes each allowed answer."""

    log_probs: tuple[float, ...]
    """Of each answer as the reply's beginning, in the order of the question's answers."""
    is_calibrated: bool = True
    """False where a server told only which answer it took: 0 for that answer and -1 for the others then."""


@dataclass(frozen=True)
class NoAnswer:
    """Why a question has no answer: the model failed, or the question is beyond its limits. Never an abstention."""

    reason: str


class AnswerScorer(Protocol):
    """A language model that answers closed questions, in this process or behind a server."""

    @property
    def name(self) -> str:
        """The model, for labels."""
        ...

    @property
    def identity(self) -> str:
        """Changes whenever the same question might get another answer; part of the cache's key."""
        ...

    def score(self, questions: Sequence[ClosedQuestion]) -> Sequence[AnswerScores | NoAnswer]:
        """Scores for each question, in order. Never raises for a question: one that fails has no answer."""
        ...


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
