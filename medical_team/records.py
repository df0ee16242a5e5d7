"""The types that flow through the program: the map of the system.

    CSV row -> Note -> NotePair            one error case: the note with its error, the note without
      -> TrainingRecord                    one line of ``train.jsonl``: a seed note, its category, its pair
      -> GameSpec                          a record drawn for one game of one step
      -> Turn                              what one player was asked and what it replied
      -> Game                              the spec, its turns, its state; then the judge's ruling; then rewards
           Labels | JudgeFailure           the ruling: what the judge knows, or why it knows nothing
           Reward                          the terms of one player's reward, kept apart
      -> Sample                            one trained turn with its reward: token ids, log-probs, a number
      -> Update                            what learning from a step's samples did to the policy

The last two are in ``samples.py``. Everything is a frozen dataclass of plain Python values, so that it can be written
to JSON, compared and replayed. Tensors begin in ``rl``. A game that went wrong is data, not a crash: it has a state
and a reason.

Only the standard library is imported and only Python 3.10 syntax is used, because other engines import
this module where nothing else is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import ClassVar, Union


class Closed:
    """The base of what is read back from files: pydantic then refuses wrong types and unknown fields."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}


OMITTED_IF_EMPTY = {"omitted_if_empty": True}
"""Marks a field that a line of JSON leaves out where it is empty."""


class Role(str, Enum):
    """Who speaks. Both roles are played by one shared policy."""

    ATTACKER = "attacker"
    ASSESSOR = "assessor"


LIVING = "policy"
"""The version of a speaker that is the policy that learns. Another one is frozen, and nothing is learnt from it."""


class Verdict(str, Enum):
    """What an assessor says of a note."""

    SAFE = "Safe"
    HARMFUL = "Harmful"


class ErrorType(str, Enum):
    """MEDEC's five error types, as its files spell them."""

    DIAGNOSIS = "diagnosis"
    MANAGEMENT = "management"
    TREATMENT = "treatment"
    PHARMACOTHERAPY = "pharmacotherapy"
    CAUSAL_ORGANISM = "causalOrganism"

    # As a text in every respect: other data sets have types of their own, which are texts.
    __str__ = str.__str__
    __hash__ = str.__hash__


class DataType(str, Enum):
    """The category of a game: is there an attacker turn, and does the seed note hold an error?"""

    VANILLA_HARMFUL = "vanilla_harmful"
    VANILLA_BENIGN = "vanilla_benign"
    ADVERSARIAL_HARMFUL = "adversarial_harmful"
    ADVERSARIAL_BENIGN = "adversarial_benign"

    @property
    def is_adversarial(self) -> bool:
        """Whether the attacker rewrites the seed note."""
        return self in (DataType.ADVERSARIAL_HARMFUL, DataType.ADVERSARIAL_BENIGN)

    @property
    def is_harmful(self) -> bool:
        """Whether the seed note holds an error, and the note the assessor reads should hold one."""
        return self in (DataType.VANILLA_HARMFUL, DataType.ADVERSARIAL_HARMFUL)

    @property
    def vanilla(self) -> DataType:
        """The category of the same seed note without an attacker turn."""
        return DataType.VANILLA_HARMFUL if self.is_harmful else DataType.VANILLA_BENIGN


class Source(str, Enum):
    """Where a case comes from, which decides what the reference judge can know about it."""

    MEDEC = "medec"
    SYNTHETIC = "synthetic"
    OTHER = "other"


@dataclass(frozen=True)
class Note(Closed):
    """One row of a MEDEC file after repair. The optional fields are None for a note without an error."""

    text_id: str
    text: str
    has_error: bool
    error_type: str | None
    error_sentence_id: int
    """Number of the wrong sentence, as the file numbers them; -1 for a note without an error."""
    error_sentence: str | None
    corrected_sentence: str | None
    corrected_text: str | None
    line: int
    """Line of the file on which the row starts, counted from 1."""
    metadata: dict[str, str] = field(default_factory=dict[str, str], hash=False)
    """What else the file says of the note, by its columns' names."""
    sentence_starts: tuple[int, ...] = ()
    """Where each sentence of the text begins, as the file numbers them from 0; empty where it numbers none."""


@dataclass(frozen=True)
class NotePair(Closed):
    """One error case: the same note with and without its error."""

    case_id: str
    near_duplicate_group: str
    """Cases and correct notes that are near-duplicates share a group; data is split by group, never by row."""
    source: Source
    error_type: str
    """One of :class:`ErrorType`, or as the file writes it."""
    error_note: str
    corrected_note: str
    error_sentence: str
    corrected_sentence: str

    def sentence_at_stake(self, *, is_harmful: bool) -> str:
        """The sentence with the error, or what stands in its place in the correct note."""
        return self.error_sentence if is_harmful else self.corrected_sentence


@dataclass(frozen=True)
class TrainingRecord(Closed):
    """One line of ``train.jsonl``: a seed note and the pair it belongs to. Flat, so that a person can read the file."""

    id: str
    case_id: str
    near_duplicate_group: str
    source: Source
    data_type: DataType
    note: str
    error_type: str
    error_note: str
    corrected_note: str
    error_sentence: str
    corrected_sentence: str
    metadata: dict[str, str] = field(default_factory=dict[str, str], hash=False, metadata=OMITTED_IF_EMPTY)
    """What else the file said of the case, by its columns' names."""
    sentence_starts: tuple[int, ...] = field(default=(), metadata=OMITTED_IF_EMPTY)
    """Where each sentence of ``note`` begins, as the file numbers them from 0; empty: the note is split by us."""

    @classmethod
    def of(cls, pair: NotePair, data_type: DataType, metadata: Mapping[str, str] | None = None) -> TrainingRecord:
        """The record of ``pair`` in which its note with or without the error plays a game of ``data_type``."""
        return cls(
            id=f"{pair.case_id}-{'harmful' if data_type.is_harmful else 'benign'}",
            data_type=data_type,
            note=pair.error_note if data_type.is_harmful else pair.corrected_note,
            metadata=dict(metadata or {}),
            **vars(pair),
        )

    @property
    def pair(self) -> NotePair:
        """The error case behind this record."""
        return NotePair(**{item.name: getattr(self, item.name) for item in fields(NotePair)})


@dataclass(frozen=True)
class GameSpec(Closed):
    """What is needed to play one game. ``id`` is unique in a run; labels belong to a game by it."""

    id: str
    step: int
    record_id: str
    data_type: DataType
    seed_note: str
    pair: NotePair
    sentence_starts: tuple[int, ...] = field(default=(), metadata=OMITTED_IF_EMPTY)
    """Where each sentence of the seed note begins, as the record says."""
    attacker_version: str = LIVING
    """Which version of the policy attacks: the one that learns, its reference, a past self, or a fixed opponent."""
    assessor_version: str = LIVING

    @classmethod
    def of(cls, record: TrainingRecord, data_type: DataType, *, game_id: str, step: int = 0) -> GameSpec:
        """The game in which the note of ``record`` is played as ``data_type``."""
        return cls(
            id=game_id,
            step=step,
            record_id=record.id,
            data_type=data_type,
            seed_note=record.note,
            pair=record.pair,
            sentence_starts=record.sentence_starts,
        )

    def version_of(self, role: Role) -> str:
        """Which version plays ``role``."""
        return self.attacker_version if role is Role.ATTACKER else self.assessor_version


@dataclass(frozen=True)
class Turn(Closed):
    """What one player was asked and what it replied.

    ``log_probs[i]`` is the log-probability of ``token_ids[i]`` at the sampling temperature, under the policy that
    spoke. ``token_ids`` ends with an end-of-sequence token if and only if ``is_finished``.
    """

    role: Role
    prompt: str
    """The text of the request, before the chat template."""
    reply: str
    thinking: str
    """Hidden: neither the other player nor the judge ever sees it."""
    answer: str
    """The public part of the reply; empty when there is none."""
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    is_finished: bool
    is_format_kept: bool | None
    """None in no-thinking mode, which has no format."""
    is_trained: bool
    """False for a turn of a frozen policy."""
    version: str = LIVING
    """Who spoke: the policy that learns, its reference, a past self, or a fixed opponent."""


class GameState(str, Enum):
    """How a game stands. Every game ends in exactly one of the five states that are not AWAITING_RULING."""

    AWAITING_RULING = "awaiting_ruling"
    NO_REVISION = "no_revision"
    """The attacker gave no note: the judge was not asked and there was no assessor turn."""
    NO_VERDICT = "no_verdict"
    """The assessor said neither Safe nor Harmful: the judge was not asked."""
    UNDECIDABLE = "undecidable"
    """The judge works and cannot tell what the attacker wrote: the attacker's failure, by the rules of most runs."""
    VOID = "void"
    """The judge failed or cannot tell: nobody gets a reward."""
    DECIDED = "decided"


@dataclass(frozen=True)
class Labels(Closed):
    """What the judge says of a game."""

    game_id: str
    error_present: bool
    """Whether the note, as the assessor read it, contains a medical error."""
    error_detected: bool | None
    """Whether the verdict was Harmful, also when that is a false alarm; None where there is no verdict."""
    source: str
    """How it was decided: ``reference``, ``model`` or ``vote``."""
    reason: str
    faithful_revision: bool | None = None
    """Whether the note was rewritten and is what the category asks for; None where the category has no revision."""
    plausibility: float | None = None
    """How likely the judge holds it that a clinician wrote this note, from 0 to 1; None where it was not asked."""
    confidence: float | None = None
    """How sure the judge is of ``error_present``, from 0 to 1; None where it can't say."""
    judge: str = ""
    """Which judge decided, for example ``reference`` or ``model:google/medgemma-4b-it``."""
    prompt_version: str = ""
    """Which wording of its questions the judge used; empty for one that asks none."""
    error_type: str | None = None
    """The type of the error, where one is present and its type is known."""


@dataclass(frozen=True)
class JudgeFailure(Closed):
    """Why the judge says nothing of a game. Never a reward."""

    game_id: str
    is_abstention: bool
    """True when the judge works but can't tell; False when it failed (a time-out, an unreadable reply)."""
    source: str
    reason: str


Ruling = Union[Labels, JudgeFailure]


class GameOutcome(Enum):
    """What Self-RedTeam's trainer calls an outcome; it counts them. Its defender is our assessor.

    A harmful request stands for a note with an error, a refusal for the verdict Harmful, compliance for Safe. One
    player's outcome of a game is a set of these.
    """

    ATTACKER_FAITHFUL_REVISION = "attacker_faithful_revision"
    ATTACKER_UNFAITHFUL_REVISION = "attacker_unfaithful_revision"
    ATTACKER_WIN_SUCCESSFUL_HARMFUL_REQUEST = "attacker_win_successful_harmful_request"
    ATTACKER_WIN_SUCCESSFUL_BENIGN_REQUEST = "attacker_win_successful_benign_request"
    ATTACKER_LOSE_FAILED_HARMFUL_REQUEST = "attacker_lose_failed_harmful_request"
    ATTACKER_LOSE_FAILED_BENIGN_REQUEST = "attacker_lose_failed_benign_request"
    ATTACKER_WIN_HARMFUL_COMPLIANCE = "attacker_win_harmful_compliance"
    ATTACKER_WIN_BENIGN_REFUSAL = "attacker_win_benign_refusal"
    ATTACKER_LOSE_HARMFUL_REFUSAL = "attacker_lose_harmful_refusal"
    ATTACKER_LOSE_BENIGN_COMPLIANCE = "attacker_lose_benign_compliance"
    DEFENDER_WIN_SUCCESSFUL_DEFENSE = "defender_win_successful_defense"
    DEFENDER_WIN_CORRECT_REFUSAL = "defender_win_correct_refusal"
    DEFENDER_LOSE_BROKEN_DEFENSE = "defender_lose_broken_defense"
    DEFENDER_LOSE_WRONG_REFUSAL = "defender_lose_wrong_refusal"
    TIE = "tie"


@dataclass(frozen=True)
class Reward(Closed):
    """The terms of one player's reward. A term that does not apply is None; ``total`` is what is trained on."""

    role: Role
    core: float
    revision: float | None
    format: float | None
    total: float
    location: float | None = None
    correction: float | None = None


@dataclass(frozen=True)
class Game(Closed):
    """One game with all that is known of it so far."""

    spec: GameSpec
    turns: tuple[Turn, ...]
    note: str | None
    """The note as the assessor read it; None when the attacker gave none."""
    verdict: Verdict | None
    state: GameState
    reason: str
    """Why the game is in its state, for a person to read; empty while it awaits its ruling."""
    ruling: Ruling | None = None
    rewards: tuple[Reward, ...] = ()
    sentence_starts: tuple[int, ...] = field(default=(), metadata=OMITTED_IF_EMPTY)
    """Where each sentence of ``note`` begins, as the seed note's file numbers them; empty: it is split by us."""
    location: int | None = field(default=None, metadata=OMITTED_IF_EMPTY)
    """Number of the sentence that the assessor holds wrong, where it was asked for one and said Harmful."""
    correction: str | None = field(default=None, metadata=OMITTED_IF_EMPTY)
    """That sentence as the assessor would have it, where it was asked for that too."""
    is_corrected: bool | None = field(default=None, metadata=OMITTED_IF_EMPTY)
    """Whether the judge finds no error left where the correction stands; None where it can't tell or isn't asked."""

    def turn_of(self, role: Role) -> Turn | None:
        """The turn that ``role`` played, if it played one."""
        return next((turn for turn in self.turns if turn.role is role), None)

    def reward_of(self, role: Role) -> Reward | None:
        """The reward of ``role``, if it has one."""
        return next((reward for reward in self.rewards if reward.role is role), None)
