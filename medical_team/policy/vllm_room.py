"""The one vLLM engine of a process, in which policies of the same shape take turns.

vLLM keeps state outside of its objects, and a second engine takes its memory again. So whoever speaks next enters the
room: into the engine that is there, if it has the right shape and limits, else into one that replaces it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar


@dataclass(frozen=True)
class EngineShape:
    """What an engine can't change once it has started."""

    model: str
    """The model's configuration, without its name."""
    device: str
    dtype: str
    serves_adapters: bool
    temperature: float
    longest: int
    """Tokens of a prompt and its reply."""
    batch_size: int
    gpu_memory_share: float

    def can_serve(self, wanted: EngineShape) -> bool:
        """Whether an engine of this shape does for who wants that one: adapters need not be served."""
        return self == wanted or replace(self, serves_adapters=False) == wanted


class Closable(Protocol):
    """An engine, for the room that holds it."""

    def close(self) -> None:
        """End it."""
        ...


Engine = TypeVar("Engine", bound=Closable)


class EngineRoom(Generic[Engine]):
    """Holds at most one engine, and knows who spoke with it last."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._shape: EngineShape | None = None
        self._speaker: weakref.ref[object] | None = None

    def enter(self, speaker: object, shape: EngineShape, start: Callable[[], Engine]) -> tuple[Engine, bool]:
        """An engine of ``shape`` for ``speaker``, and whether it has to bring its weights.

        Raises:
            VllmUnavailableError: ``start`` raised it; the room is empty then.
        """
        if self._shape is None or not self._shape.can_serve(shape):
            self.empty()
        if self._engine is None:
            self._engine, self._shape = start(), shape
        is_another = self._speaker is None or self._speaker() is not speaker
        self._speaker = weakref.ref(speaker)
        return self._engine, is_another

    def leave(self, speaker: object) -> None:
        """End the engine if ``speaker`` spoke with it last; another one's stays."""
        if self._speaker is not None and self._speaker() is speaker:
            self.empty()

    def empty(self) -> None:
        """End the engine that is there, if any."""
        engine, self._engine, self._shape, self._speaker = self._engine, None, None, None
        if engine is not None:
            engine.close()
