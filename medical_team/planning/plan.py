"""What a run will cost, as plain values: the types that the planning room makes, and what a run plays and learns
from: steps, games, samples by role, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Union

from ..config import DEMO_MODEL, TINY_RANDOM_MODEL, RunConfig
from ..data.load import load_records
from ..errors import DataError, UsageError
from ..game.draw import playable_records
from ..game.play import assessment_request, revision_request
from ..metrics.alarms import GPU_MEMORY_SHARE
from ..records import DataType, Role, TrainingRecord
from ..sentences import NumberedNote

GIB = 2**30

MEMORY_THRESHOLD = GPU_MEMORY_SHARE
"""The share of a GPU's memory that a run should stay under."""


class Phase(str, Enum):
    """What a GPU does in a step, one after the other; models that sleep make room for the next phase."""

    ROLLOUT = "rollout"
    SCORING = "scoring"
    """Log-probs of the samples under the policy and the reference."""
    TRAINING = "training"
    """Forward and backward passes."""
    UPDATE = "update"
    """The optimizer's step."""
    SYNC = "sync"
    """New weights go to the sampler."""


@dataclass(frozen=True)
class MemoryPart:
    """One thing that takes memory on each GPU."""

    name: str
    bytes: int
    phases: tuple[Phase, ...]
    """When it is there."""
    explanation: str
    """The formula with its numbers."""


@dataclass(frozen=True)
class MemoryPlan:
    """The memory of the GPU that has most to hold: with a judge on one GPU, that one."""

    device: str
    """What it is, for a person: ``each of 8 GPUs``, ``the GPU``, ``this process, on a CPU``."""
    capacity_bytes: int | None
    """None where nobody said how much there is."""
    parts: tuple[MemoryPart, ...]
    host_bytes: int
    """What is kept in the machine's own memory instead: states that sleep or are offloaded, for all its GPUs."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases in which something is there."""
        return tuple(phase for phase in Phase if any(phase in part.phases for part in self.parts))

    def bytes_in(self, phase: Phase) -> int:
        """What is there in ``phase``."""
        return sum(part.bytes for part in self.parts if phase in part.phases)

    @property
    def peak_phase(self) -> Phase:
        """The phase that takes most."""
        return max(self.phases, key=self.bytes_in)

    @property
    def peak_bytes(self) -> int:
        """The most at any time: the maximum over the phases."""
        return self.bytes_in(self.peak_phase)

    @property
    def sum_bytes(self) -> int:
        """All parts together, as if nothing ever made room."""
        return sum(part.bytes for part in self.parts)

    @property
    def peak_share(self) -> float | None:
        """The peak as a share of the capacity."""
        return None if self.capacity_bytes is None else self.peak_bytes / self.capacity_bytes

    @property
    def fits(self) -> bool | None:
        """Whether the peak stays under :data:`MEMORY_THRESHOLD`; None where nobody said how much there is."""
        return None if self.peak_share is None else self.peak_share < MEMORY_THRESHOLD


@dataclass(frozen=True)
class Unknown:
    """Something that can't be planned, and why."""

    reason: str


@dataclass(frozen=True)
class RoleWork:
    """What one role does in the whole run."""

    role: str
    samples: int
    """Trained turns, if every game runs its course."""
    max_prompt_tokens: int
    """Longest prompt that the options allow."""
    max_reply_tokens: int
    expected_prompt_tokens: float
    """Mean prompt, estimated from the length of the notes."""
    expected_reply_tokens: float


@dataclass(frozen=True)
class Workload:
    """What will be played and learnt from."""

    steps: int
    games_per_step: int
    records: int | None
    """Records that can be played; None where the data can't be read, and a note says so."""
    epochs: float | None
    """How often each record is played."""
    updates: int
    """Optimizer updates."""
    roles: tuple[RoleWork, ...]
    notes: tuple[str, ...] = ()
    """What the estimate takes for granted."""

    @property
    def games(self) -> int:
        """Games of the whole run."""
        return self.steps * self.games_per_step

    @property
    def samples(self) -> int:
        """Trained turns of the whole run."""
        return sum(role.samples for role in self.roles)

    @property
    def max_tokens(self) -> int:
        """Prompt and reply tokens, at most."""
        return sum(role.samples * (role.max_prompt_tokens + role.max_reply_tokens) for role in self.roles)

    @property
    def expected_generated_tokens(self) -> float:
        """Reply tokens to expect."""
        return sum(role.samples * role.expected_reply_tokens for role in self.roles)

    @property
    def expected_tokens(self) -> float:
        """Prompt and reply tokens to expect."""
        return sum(role.samples * (role.expected_prompt_tokens + role.expected_reply_tokens) for role in self.roles)


@dataclass(frozen=True)
class DiskPart:
    """One thing that takes space on the disk."""

    name: str
    bytes: int
    explanation: str


@dataclass(frozen=True)
class DiskPlan:
    """What a run leaves on the disk, and needs there meanwhile."""

    parts: tuple[DiskPart, ...]

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Measurement:
    """What some games of the longest notes took, on this machine, from the first prompt to the new weights."""

    games: int
    games_per_step: int
    where: str
    """What the peak is of, for a person."""
    peak_bytes: int | None
    """None on a system that doesn't tell."""
    generated_tokens: int
    rollout_seconds: float
    learnt_tokens: int
    """Of prompts and replies, as often as a step learns from them."""
    training_seconds: float

    @property
    def seconds_per_step(self) -> float:
        """Of a whole step of such games."""
        return (self.rollout_seconds + self.training_seconds) * self.games_per_step / self.games


@dataclass(frozen=True)
class Plan:
    """What a run will cost."""

    config: RunConfig
    parameters: int | None
    """Of the policy; None where its shape is not known."""
    workload: Workload
    memory: Union[MemoryPlan, Unknown]
    disk: Union[DiskPlan, Unknown]
    measured: Union[Measurement, Unknown] = Unknown("nobody asked for it")
    """What a step took, or why that was not measured."""
    problems: Sequence[str] = ()
    """What would stop the run from starting, whatever the memory's sum says."""

    @property
    def rollout_seconds(self) -> float | None:
        """Of the whole run, at the speed that was measured; None where none was: no speed is made up."""
        if isinstance(self.measured, Unknown):
            return None
        measured = self.measured
        return self.workload.expected_generated_tokens * measured.rollout_seconds / measured.generated_tokens

    @property
    def training_seconds(self) -> float | None:
        """The same of learning."""
        if isinstance(self.measured, Unknown):
            return None
        learnt = self.workload.expected_tokens * self.config.training.epochs_per_step
        return learnt * self.measured.training_seconds / self.measured.learnt_tokens


_CHARACTERS_PER_TOKEN = {TINY_RANDOM_MODEL: 1.0, DEMO_MODEL: 5.4}
_CHARACTERS_PER_TOKEN_ELSEWHERE = 4.0
"""SmolLM2's tokenizer reads 4.07 characters of MEDEC's notes a token; larger vocabularies read about as many."""

_ASSUMED_NOTE_CHARACTERS = 777.0
"""MEDEC-MS's validation set on average."""
_TEMPLATE_TOKENS = 30
"""What a chat template writes around a message, with a system prompt of its own."""
_ANSWER_TAG_TOKENS = 8
_ASSUMED_THINKING_TOKENS = 200
_VERDICT_TOKENS = 2
_SENTENCE_CHARACTERS = 90.0
"""Of a sentence of MEDEC, with its number."""


@dataclass(frozen=True)
class _Notes:
    """The records as far as the estimate needs them."""

    shares: dict[DataType, float]
    characters: float
    count: int | None
    remark: str | None


def workload_of(config: RunConfig) -> Workload:
    """The work of a run of ``config``. Reads the training records, if they are there."""
    notes = _notes(config)
    training = config.training
    games = training.steps * training.games_per_step
    shares = _played_shares(notes.shares, config)
    adversarial = sum(share for data_type, share in shares.items() if data_type.is_adversarial)
    attackers, assessors = _samples(config, games, adversarial)
    remarks = [text for text in (notes.remark, _thinking_remark(config)) if text]
    remarks.append(
        f"tokens are estimated at {_characters_per_token(config):g} characters each, a revision as long as its note; "
        "every game is taken to run its course"
    )
    return Workload(
        steps=training.steps,
        games_per_step=training.games_per_step,
        records=notes.count,
        epochs=games / notes.count if notes.count else None,
        updates=training.steps * training.epochs_per_step * training.minibatches_per_step,
        roles=tuple(
            _role_work(config, role, round(samples), notes.characters)
            for role, samples in ((Role.ATTACKER, attackers), (Role.ASSESSOR, assessors))
        ),
        notes=tuple(remarks),
    )


def _samples(config: RunConfig, games: int, adversarial: float) -> tuple[float, float]:
    """Trained turns of the attacker and of the assessor."""
    if config.game.no_defender_turn:
        return games * adversarial, 0.0
    # OpenRLHF's two replies to a vanilla prompt are two independent verdicts.
    vanilla_replies = 2 if config.engine.kind == "openrlhf" else 1
    return games * adversarial, games * (adversarial + vanilla_replies * (1 - adversarial))


def _notes(config: RunConfig) -> _Notes:
    even = dict.fromkeys(DataType, 0.25)
    try:
        records = playable_records(
            load_records(config.data.train, config.game.error_types),
            config.game,
        )
    except (DataError, UsageError) as error:
        first = str(error).splitlines()[0].rstrip(":")
        remark = (
            f"the training records can't be used ({first}): taken for granted are four equal categories and notes of "
            f"{_ASSUMED_NOTE_CHARACTERS:.0f} characters, as MEDEC's"
        )
        return _Notes(even, _ASSUMED_NOTE_CHARACTERS, None, remark)
    return _of_records(records)


def _of_records(records: Sequence[TrainingRecord]) -> _Notes:
    counts = {data_type: sum(record.data_type is data_type for record in records) for data_type in DataType}
    characters = sum(len(record.note) for record in records) / len(records)
    shares = {data_type: count / len(records) for data_type, count in counts.items()}
    return _Notes(shares, characters, len(records), None)


def _played_shares(shares: dict[DataType, float], config: RunConfig) -> dict[DataType, float]:
    """The categories as they are played under the ablations."""
    if config.game.no_attacker_turn:
        return {data_type: 0.0 if data_type.is_adversarial else share for data_type, share in shares.items()}
    if config.game.no_defender_turn:
        adversarial = sum(share for data_type, share in shares.items() if data_type.is_adversarial)
        return {
            data_type: share / adversarial if data_type.is_adversarial and adversarial else 0.0
            for data_type, share in shares.items()
        }
    return shares


def _role_work(config: RunConfig, role: Role, samples: int, note_characters: float) -> RoleWork:
    rollout, game = config.rollout, config.game
    is_attacker, is_thinking = role is Role.ATTACKER, game.thinking
    longest_reply = rollout.max_revision_tokens if is_attacker else rollout.max_verdict_tokens
    rate = _characters_per_token(config)
    if is_attacker:
        around = revision_request(NumberedNote(""), DataType.ADVERSARIAL_HARMFUL, game)
    else:
        around = assessment_request(NumberedNote(""), game)
    prompt = (note_characters + len(around)) / rate + _TEMPLATE_TOKENS
    revised = note_characters
    if game.revision == "sentences":
        revised = min(note_characters, game.max_edits * _SENTENCE_CHARACTERS)
    reply = revised / rate if is_attacker else _VERDICT_TOKENS
    if not is_attacker and game.assessor == "correct":
        # Half of the notes have an error.
        reply += _SENTENCE_CHARACTERS / rate / 2
    reply += _ANSWER_TAG_TOKENS + (_ASSUMED_THINKING_TOKENS if is_thinking else 0)
    return RoleWork(
        role=role.value,
        samples=samples,
        max_prompt_tokens=rollout.max_prompt_tokens,
        max_reply_tokens=longest_reply,
        expected_prompt_tokens=min(prompt, rollout.max_prompt_tokens),
        expected_reply_tokens=min(reply, longest_reply),
    )


def _characters_per_token(config: RunConfig) -> float:
    return _CHARACTERS_PER_TOKEN.get(config.policy.model, _CHARACTERS_PER_TOKEN_ELSEWHERE)


def _thinking_remark(config: RunConfig) -> str | None:
    if not config.game.thinking:
        return None
    return f"{_ASSUMED_THINKING_TOKENS} tokens of thinking in each reply are an assumption"
