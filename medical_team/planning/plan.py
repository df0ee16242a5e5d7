"""What a run will cost, as plain values: the types that the planning room makes, and the command line shows.

RunConfig -> Plan
  Workload       steps, games, samples by role, tokens: bounds from the options, and what to expect
  MemoryPlan     each GPU's memory by part, and in which phases of a step a part is there
  DiskPlan       what checkpoints and records take
  Duration       time at stated speeds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Union

from ..config import RunConfig
from ..metrics.thresholds import GPU_MEMORY_SHARE

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
class Speeds:
    """Tokens in a second that somebody measured, all machines together; None where nobody did."""

    rollout: float | None = None
    training: float | None = None


@dataclass(frozen=True)
class Duration:
    """How long the run takes at stated speeds; evaluations, loading and the judge come on top.

    None is what no speed was stated for: none is made up.
    """

    speeds: Speeds
    rollout_seconds: float | None
    training_seconds: float | None

    @property
    def seconds(self) -> float | None:
        """Both phases, one after the other."""
        if self.rollout_seconds is None or self.training_seconds is None:
            return None
        return self.rollout_seconds + self.training_seconds


@dataclass(frozen=True)
class Plan:
    """What a run will cost."""

    config: RunConfig
    parameters: int | None
    """Of the policy; None where its shape is not known."""
    workload: Workload
    memory: Union[MemoryPlan, Unknown]
    disk: Union[DiskPlan, Unknown]
    duration: Duration
    problems: Sequence[str] = ()
    """What would stop the run from starting, whatever the memory's sum says."""
    advice: Sequence[str] = ()
    """Where it doesn't fit: which options to change, the one with the greatest effect first."""
