"""A model that answers closed questions as a test says, and remembers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from medical_team.judge.questions import AnswerScores, ClosedQuestion, NoAnswer


class ScriptedScorer:
    name = "scripted"
    identity = "scripted 1"

    def __init__(self, script: Callable[[ClosedQuestion], AnswerScores | NoAnswer]) -> None:
        self._script = script
        self.asked: list[list[ClosedQuestion]] = []

    def score(self, questions: Sequence[ClosedQuestion]) -> Sequence[AnswerScores | NoAnswer]:
        self.asked.append(list(questions))
        return [self._script(question) for question in questions]


def error_letter(question: ClosedQuestion) -> int:
    """Which answer says that there is an error."""
    return int("\nB: Yes, it contains" in question.prompt or "\nB: No, something" in question.prompt
               or "\nB: Yes, the note is in error" in question.prompt)  # fmt: skip


def saying(error_odds: float) -> Callable[[ClosedQuestion], AnswerScores]:
    """Answers every question with these log-odds of an error, whichever letter that is."""

    def script(question: ClosedQuestion) -> AnswerScores:
        scores = [0.0, 0.0]
        scores[error_letter(question)] = error_odds
        return AnswerScores((scores[0], scores[1]))

    return script
