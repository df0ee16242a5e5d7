"""Texts, votes and predictions of MEDEC's shape for tests. The medical content is invented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from medical_team.evaluation.medec_texts import MedecText
from medical_team.evaluation.predictions import Vote
from medical_team.evaluation.submission import Answer
from medical_team.game.rollout import PromptTooLong, Reply, RolloutRequest
from medical_team.records import ErrorType

SENTENCES = {0: "A man has a cough.", 1: "He is given 5000 mg of amoxicillin.", 2: "A visit is planned."}
CORRECTION = "He is given 500 mg of amoxicillin."


def an_error_text(text_id: str = "a", group: str | None = None, **changes: Any) -> MedecText:
    """A text with an error in sentence 1."""
    values: dict[str, Any] = {
        "text_id": text_id,
        "near_duplicate_group": group or text_id,
        "text": " ".join(SENTENCES.values()),
        "sentences": SENTENCES,
        "has_error": True,
        "error_type": ErrorType.PHARMACOTHERAPY,
        "error_sentence": SENTENCES[1],
        "reference": Answer(text_id, "1", "1", CORRECTION),
    }
    return MedecText(**(values | changes))


def a_correct_text(text_id: str = "b", group: str | None = None, **changes: Any) -> MedecText:
    """The same text, corrected."""
    sentences = SENTENCES | {1: CORRECTION}
    values: dict[str, Any] = {
        "text_id": text_id,
        "near_duplicate_group": group or text_id,
        "text": " ".join(sentences.values()),
        "sentences": sentences,
        "has_error": False,
        "error_type": None,
        "error_sentence": None,
        "reference": Answer(text_id, "0", "-1", "NA"),
    }
    return MedecText(**(values | changes))


HARMFUL = Vote("Harmful", True)
SAFE = Vote("Safe", False)
UNREADABLE = Vote("Hm.", None, problem="neither Safe nor Harmful")


class ScriptedRollout:
    """Replies by a rule on the prompt, and remembers what it was asked."""

    def __init__(self, rule: Callable[[RolloutRequest], str | Reply | PromptTooLong]) -> None:
        self._rule = rule
        self.requests: list[RolloutRequest] = []

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Callable[[int, int], None] | None = None
    ) -> list[Reply | PromptTooLong]:
        """One reply for each request."""
        self.requests += requests
        replies = map(self._rule, requests)
        return [Reply(reply, (), (), (), True) if isinstance(reply, str) else reply for reply in replies]
