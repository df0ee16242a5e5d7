"""What a judge's service is asked and answers over HTTP, and how that maps to queries and rulings.

The format is the one that Self-RedTeam's trainer speaks: ``{"queries": [{"game_idx", "prompt", "response"}, ...]}``,
answered by ``{"labels": [...]}``, a full list in the order of the queries. ``prompt`` is the note as the assessor read
it, ``response`` what the assessor replied, of which the verdict is read by rule. Our own client adds the case and the
category, which that trainer doesn't send.

``is_parsing_error`` is true for the judge's own failure or abstention, and for nothing else: an unreadable verdict
leaves ``error_detected`` null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from ..jsonl import validation_problems
from ..parsing import parse_reply, parse_verdict
from ..records import DataType, JudgeFailure, Labels, NotePair, Ruling, Source, Verdict
from ..text_repair import whole_text
from .protocol import JudgeQuery, failure_of

JUDGING_PATHS = ("/judge", "/classify")
"""Where a service is asked to rule: under its own name, and as the fork's judge service has it."""

LARGEST_INDEX = 2**53 - 1
"""Beyond it a JSON reader may round a number, and then a label would belong to nobody."""


def _whole_number(value: object) -> object:
    # In JSON 7.0 is an integer too.
    return int(value) if isinstance(value, float) and value.is_integer() else value


# The bounds stand by the type itself: behind the validator they would not be in the OpenAPI document.
_Number = Annotated[StrictInt, Field(ge=-LARGEST_INDEX, le=LARGEST_INDEX), BeforeValidator(_whole_number)]
GameIndex = _Number | Annotated[StrictStr, Field(max_length=256)]

# Halves of characters, which JSON can hold and UTF-8 can't, become marks: one note with some spoils no reply to all.
Text = Annotated[StrictStr, AfterValidator(whole_text)]

_PROBLEMS_SHOWN = 3


@dataclass(frozen=True)
class WirePair(NotePair):
    """The case a note was made from, as it travels: its source is a text, and further fields are ignored."""

    __pydantic_config__: ClassVar[dict[str, object]] = {}

    source: Source


class WireQuery(BaseModel):
    """One game to rule on."""

    model_config = ConfigDict(frozen=True)

    game_idx: GameIndex = Field(description="Says which game a label belongs to; it is sent back as it came.")
    prompt: Text = Field(description="The note as the assessor read it.")
    response: Text = Field(description="The assessor's reply; the verdict is read from it, thinking is dropped.")
    pair: WirePair | None = Field(None, description="The case the note was made from, where the caller knows it.")
    data_type: DataType | None = Field(None, description="The game's category, where the caller knows it.")

    @classmethod
    def of(cls, query: JudgeQuery, game_idx: int) -> WireQuery:
        """``query`` as it travels. The assessor's own words stay here: its verdict says all that a judge may know."""
        return cls(
            game_idx=game_idx,
            prompt=query.note,
            response="" if query.verdict is None else query.verdict.value,
            pair=None if query.pair is None else WirePair(**vars(query.pair)),
            data_type=query.data_type,
        )

    @property
    def query(self) -> JudgeQuery:
        """The query, under its index as its id."""
        return JudgeQuery(
            game_id=str(self.game_idx),
            note=self.prompt,
            verdict=verdict_of(self.response),
            pair=None if self.pair is None else NotePair(**vars(self.pair)),
            data_type=self.data_type,
        )


class JudgeRequest(BaseModel):
    """The body of ``/judge`` and ``/classify``."""

    model_config = ConfigDict(frozen=True)

    queries: list[WireQuery]


@dataclass(frozen=True)
class WireLabel:
    """What the judge says of one game. Truth values are never guessed from other types: "no" is not false."""

    game_idx: GameIndex
    error_present: Annotated[
        StrictBool | None,
        Field(description="Whether the note contains a medical error; null where the judge failed or can't tell."),
    ]
    is_parsing_error: Annotated[
        StrictBool, Field(description="Whether the judge failed or abstained: nobody gets a reward.")
    ]
    error_detected: Annotated[
        StrictBool | None,
        Field(description="Whether the verdict was Harmful; null where the response holds no verdict."),
    ] = None
    is_abstention: Annotated[StrictBool, Field(description="Whether the judge works but can't tell.")] = False
    error_type: StrictStr | None = None
    faithful_revision: Annotated[
        StrictBool | None, Field(description="Null where the category is unknown or has none.")
    ] = None
    plausibility: Annotated[float, Field(ge=0, le=1)] | None = None
    verdict: Annotated[Verdict | None, Field(description="The verdict that was read from the response.")] = None
    source: Annotated[StrictStr, Field(description="How it was decided, e.g. reference, model or vote.")] = ""
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    judge: Annotated[StrictStr, Field(description="Which judge decided.")] = ""
    prompt_version: Annotated[StrictStr, Field(description="Which wording of its questions the judge used.")] = ""
    reason: Annotated[StrictStr, Field(description="Why, for a person to read.")] = ""


class LabelsReply(BaseModel):
    """The reply of ``/judge`` and ``/classify``: a label for each query, in their order."""

    labels: list[WireLabel]


_LABEL = TypeAdapter(WireLabel)


def verdict_of(response: str) -> Verdict | None:
    """The verdict in an assessor's reply, with or without the thinking format; None where there is none."""
    is_thinking = any(tag in response for tag in ("<think>", "</think>", "<answer>"))
    return parse_verdict(parse_reply(response, is_thinking=is_thinking, is_finished=True).answer)


def label_of(query: WireQuery, verdict: Verdict | None, ruling: Ruling, judge: str) -> WireLabel:
    """``ruling`` as it travels. What was detected is told by the verdict that was read here, by no judge."""
    detected = None if verdict is None else verdict is Verdict.HARMFUL
    if isinstance(ruling, JudgeFailure):
        return WireLabel(
            game_idx=query.game_idx,
            error_present=None,
            error_detected=detected,
            is_parsing_error=True,
            is_abstention=ruling.is_abstention,
            verdict=verdict,
            source=ruling.source,
            judge=judge,
            reason=whole_text(ruling.reason),
        )
    return WireLabel(
        game_idx=query.game_idx,
        error_present=ruling.error_present,
        error_detected=detected,
        is_parsing_error=False,
        is_abstention=False,
        error_type=ruling.error_type,
        faithful_revision=ruling.faithful_revision,
        plausibility=ruling.plausibility,
        verdict=verdict,
        source=ruling.source,
        confidence=ruling.confidence,
        judge=ruling.judge or judge,
        prompt_version=ruling.prompt_version,
        reason=whole_text(ruling.reason),
    )


def ruling_of(label: JsonValue, query: JudgeQuery, judge: str) -> Ruling:
    """What ``label`` says of ``query``. A label that can't be read, or contradicts itself, is that game's failure."""
    try:
        read = _LABEL.validate_python(label)
    except ValidationError as error:
        problems = "; ".join(validation_problems(error)[:_PROBLEMS_SHOWN])
        return failure_of(query, judge, f"the label can't be read: {problems}")
    if read.is_parsing_error:
        reason = read.reason or "the judge gives no reason"
        return JudgeFailure(query.game_id, read.is_abstention, read.source or judge, reason)
    if read.error_present is None:
        return failure_of(query, judge, "the label says neither error_present nor that the judge failed")
    detected = None if query.verdict is None else query.verdict is Verdict.HARMFUL
    if read.error_detected is not None and read.error_detected != detected:
        told = "none" if query.verdict is None else query.verdict.value
        return failure_of(
            query, judge, f"the label says error_detected = {read.error_detected}, the verdict was {told}"
        )
    return Labels(
        game_id=query.game_id,
        error_present=read.error_present,
        error_detected=detected,
        source=read.source or judge,
        reason=read.reason,
        faithful_revision=read.faithful_revision,
        plausibility=read.plausibility,
        confidence=read.confidence,
        judge=read.judge or judge,
        prompt_version=read.prompt_version,
        error_type=read.error_type,
    )


def rulings_of(reply: JsonValue, queries: Mapping[int, JudgeQuery], judge: str) -> dict[str, Ruling]:
    """A ruling for each query, by its game id.

    Labels belong to games by ``game_idx``, whatever their order. A game with no label, or with more than one, fails
    alone; a label of no game is nobody's. A reply that is no list of labels fails them all.
    """
    labels = reply.get("labels") if isinstance(reply, dict) else None
    if not isinstance(labels, list):
        return {query.game_id: failure_of(query, judge, 'the reply has no list "labels"') for query in queries.values()}
    of_game: dict[int, list[JsonValue]] = {index: [] for index in queries}
    for label in labels:
        index = label.get("game_idx") if isinstance(label, dict) else None
        # True == 1, and a bool is no index.
        if type(index) is int and index in of_game:
            of_game[index].append(label)
    return {
        query.game_id: ruling_of(of_game[index][0], query, judge)
        if len(of_game[index]) == 1
        else failure_of(query, judge, f"the judge's reply has {len(of_game[index])} labels of this game")
        for index, query in queries.items()
    }
