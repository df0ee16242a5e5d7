"""Closed questions: what a model judge asks, and the protocol of whatever answers them, which may need torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
