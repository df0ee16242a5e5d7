"""What is examined: a configuration on this machine, with what several checks look at found once."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from ..config import JudgeKind, RunConfig
from ..data.load import load_records
from ..engines.installed import EnginePython, engine_executable, inspect_engine
from ..network.secrets import Secrets
from ..planning.plan import Plan
from ..planning.planner import plan_of
from .hub_cache import hub_token
from .nvidia import NvidiaGpus, find_gpus
from .torch_found import TorchFound, find_torch

ValueT = TypeVar("ValueT")


class Once(Generic[ValueT]):
    """A value that several checks want: found when first asked for, and the same ever after, or the same error."""

    def __init__(self, find: Callable[[], ValueT]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._value: ValueT | None = None
        self._error: Exception | None = None
        self._is_found = False

    def __call__(self) -> ValueT:
        """The value.

        Raises:
            Exception: what ``find`` raised.
        """
        with self._lock:
            if not self._is_found:
                try:
                    self._value = self._find()
                except Exception as error:  # noqa: BLE001 - raised below, now and each time
                    self._error = error
                self._is_found = True
        if self._error is not None:
            raise self._error
        return self._value  # pyright: ignore[reportReturnType] - None only where find gave it


class Subject:
    """A run that is to be made.

    Args:
        config: its configuration.
        run_folder: where it will lie; None where nobody said.
        environment: the variables of the process; by default those of this one.
    """

    def __init__(
        self, config: RunConfig, run_folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.config = config
        self.run_folder = run_folder
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        token = hub_token(self.environment)
        judge_token = self.environment.get(config.judge.token_variable, "").strip()
        self.secrets = Secrets.of(self.environment, [judge_token, token.value if token else ""])
        """What must not be shown."""
        self.records = Once(lambda: load_records(config.data.train))
        """The training records, before any filter."""
        self.plan: Once[Plan] = Once(lambda: plan_of(config))
        self.engine_python: Once[EnginePython] = Once(lambda: inspect_engine(config.engine))
        self.gpus: Once[NvidiaGpus] = Once(lambda: find_gpus(self.environment))
        self.torch: Once[TorchFound] = Once(lambda: find_torch(self.python, self.environment))

    @property
    def python(self) -> str:
        """The Python that will train.

        Raises:
            EngineError: there is no such program.
        """
        return sys.executable if self.is_local else engine_executable(self.config.engine)

    @property
    def is_local(self) -> bool:
        """Whether this process's own trainer trains."""
        return self.config.engine.kind == "local"

    @property
    def is_cluster_elsewhere(self) -> bool:
        """Whether the GPUs are those of a cluster, which this machine can't look at."""
        engine = self.config.engine
        return not self.is_local and (engine.submission == "ray-job" or engine.nodes > 1)

    @property
    def judge_kinds(self) -> tuple[JudgeKind, ...]:
        """The judges that will be asked: both of a hybrid."""
        judge = self.config.judge
        return ("reference", judge.fallback) if judge.kind == "hybrid" else (judge.kind,)

    @property
    def wants_gpu(self) -> bool:
        """Whether the run can't do without a GPU on this machine."""
        config = self.config
        if self.is_local:
            return config.policy.device == "cuda" or ("model" in self.judge_kinds and config.judge.device == "cuda")
        return not self.is_cluster_elsewhere

    @property
    def avoids_gpu(self) -> bool:
        """Whether the run would leave a GPU alone."""
        return self.is_local and self.config.policy.device == "cpu"
