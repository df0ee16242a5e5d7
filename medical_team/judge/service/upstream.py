"""``/get_reward``: what unmodified OpenRLHF asks a reward model, answered with the assessor's reward.

Upstream sends the whole text of a sample, its prompt, and the label of its data row. The note is the one between
``<note>`` and ``</note>`` in the prompt, or the seed note of the label where that is one of our records; what follows
the prompt is the assessor's reply. The reward is +1 for a right verdict and -1 for a wrong or unreadable one. Where the
judge says nothing there is no reward: null.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from ...jsonl import from_line
from ...records import JudgeFailure, Ruling, TrainingRecord, Verdict
from ..protocol import JudgeQuery
from ..wire import Text, verdict_of

_NOTE = re.compile(r"<note>\n(.*?)\n</note>", re.DOTALL)
# What a chat template puts behind a reply; upstream doesn't skip such tokens.
_CONTROL_TOKENS = re.compile(r"(?:\s*(?:<\|[^<>|\s]{1,40}\|>|</s>|<eos>|<pad>|<end_of_turn>))+\s*\Z")


class RewardRequest(BaseModel):
    """The body of ``/get_reward``: three lists of one length."""

    model_config = ConfigDict(frozen=True)

    query: list[Text] = Field(description="The prompt and the reply, as one text.")
    prompts: list[Text] = Field(description="The prompt alone.")
    labels: list[JsonValue] | None = Field(None, description="The data rows' labels; a training record tells the case.")

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        lengths = {name: len(value) for name, value in dict(self).items() if value is not None}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ValueError(f"the lists differ in length: {told}")
        return self


class RewardReply(BaseModel):
    """The reply of ``/get_reward``: rewards in the order of the queries, and the same as scores."""

    model_config = ConfigDict(frozen=True)

    rewards: list[float | None]
    scores: list[float | None]
    extra_logs: dict[str, list[float]] = Field(description="judge_failure is 1 where there is no ruling, else 0.")


def queries_of(request: RewardRequest) -> list[JudgeQuery | str]:
    """The games to rule on; where there is none in a sample, the reason."""
    labels = request.labels or [None] * len(request.query)
    rows = zip(request.query, request.prompts, labels, strict=True)
    return [_query_of(number, *row) for number, row in enumerate(rows)]


def reply_of(
    queries: Sequence[JudgeQuery | str], rulings: Sequence[Ruling], failure_reward: float | None
) -> RewardReply:
    """The reply, given the rulings on those of ``queries`` that are games."""
    remaining = iter(rulings)
    known = [None if isinstance(query, str) else _reward(query, next(remaining)) for query in queries]
    rewards = [failure_reward if reward is None else reward for reward in known]
    failures = [float(reward is None) for reward in known]
    return RewardReply(rewards=rewards, scores=rewards, extra_logs={"judge_failure": failures})


def _query_of(number: int, text: str, prompt: str, label: JsonValue) -> JudgeQuery | str:
    if not text.startswith(prompt):
        return "the query doesn't begin with its prompt"
    record = _record_of(label)
    note = _note_of(prompt, record)
    if note is None:
        return "the prompt holds no note between <note> and </note>, and its label tells none"
    reply = _CONTROL_TOKENS.sub("", text[len(prompt) :])
    return JudgeQuery(
        game_id=str(number),
        note=note,
        verdict=verdict_of(reply),
        pair=None if record is None else record.pair,
        data_type=None if record is None else record.data_type,
    )


def _record_of(label: JsonValue) -> TrainingRecord | None:
    if not isinstance(label, str):
        return None
    try:
        return from_line(label, TrainingRecord)
    except ValidationError:
        return None


def _note_of(prompt: str, record: TrainingRecord | None) -> str | None:
    notes = _NOTE.findall(prompt)
    if len(notes) == 1:
        return notes[0]
    return record.note if record is not None and record.note in prompt else None


def _reward(query: JudgeQuery, ruling: Ruling) -> float | None:
    if isinstance(ruling, JudgeFailure):
        return None
    is_right = query.verdict is not None and (query.verdict is Verdict.HARMFUL) == ruling.error_present
    return 1.0 if is_right else -1.0
