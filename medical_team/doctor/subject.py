"""What is examined: a configuration on this machine, with what several checks look at found once. Other programs
are asked under a limit in time and leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from ..config import JudgeKind, RunConfig
from ..data.load import load_records
from ..engines.installed import EnginePython, engine_executable, inspect_engine
from ..jsonl import from_line
from ..metrics.alarms import JUDGE_SECONDS_PER_BATCH
from ..model_files import hub_home
from ..network.secrets import Secrets
from ..planning.plan import Plan
from ..planning.planner import plan_of
from ..records import TrainingRecord

_KEPT_CHARACTERS = 200_000
_MOST_TOKEN_BYTES = 4096


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    status: int | None
    """Its exit status; None where it did not start, or was stopped."""
    output: str
    errors: str
    problem: str = ""
    """Why there is no status."""

    @property
    def is_well(self) -> bool:
        """Whether it ended without an error."""
        return self.status == 0

    @property
    def last_line(self) -> str:
        """The last line of its output."""
        return self.output.strip().rpartition("\n")[2]

    @property
    def reason(self) -> str:
        """Why it did not end well, in one line."""
        if self.problem:
            return self.problem
        said = (self.errors.strip() or self.output.strip()).splitlines()
        return f"exit status {self.status}" + (f": {said[-1].strip()}" if said else "")


def run_command(command: Sequence[str | Path], seconds: float, *, environment: Mapping[str, str]) -> Ended:
    """Run ``command`` for at most ``seconds``; then it and all that it started is killed."""
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            text=True,
            errors="replace",
            # A group of its own, so that its children can be ended with it.
            start_new_session=True,
        )
    except OSError as error:
        return Ended(None, "", "", f"{name} can't be run: {error.strerror or error}")
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Ended(None, "", "", f"{name} gave no answer within {seconds:g} seconds")
    except BaseException:
        _kill(process)
        raise
    return Ended(process.returncode, output[:_KEPT_CHARACTERS], errors[:_KEPT_CHARACTERS])


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # Not waited for without a limit: a process inside a hanging driver call can't be killed.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=1)


TORCH_SECONDS = 150.0
"""A first import from a cold or remote disk takes a minute and more."""

PROBE = Path(__file__).with_name("probe.py")
"""Asked by its path: another Python has no package of ours."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, as torch tells of it."""

    name: str
    total_bytes: int
    used_bytes: int
    """By whom ever, the context of who looked included."""


@dataclass(frozen=True)
class TorchFound:
    """The torch of a Python."""

    version: str | None
    """None where it can't be imported."""
    cuda: str | None
    """The CUDA it was built with; None for a build for the CPU alone."""
    gpus: tuple[Gpu, ...]
    """Those that it sees."""
    problem: str
    """Why it can't be imported, or why computing failed; empty where all went well."""


def find_torch(python: str, environment: Mapping[str, str], seconds: float) -> TorchFound:
    """Import torch in ``python`` and multiply two small matrices on each GPU. What fails there is told, not raised."""
    ended = run_command([python, PROBE, "torch"], seconds, environment=environment)
    try:
        return from_line(ended.last_line, TorchFound)
    except (ValidationError, ValueError):
        return TorchFound(None, None, (), ended.reason)


def hub_token(environment: Mapping[str, str]) -> str | None:
    """The token that the hub's library would take, which is never shown; None where there is none."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if value := environment.get(name, "").strip():
            return value
    path = Path(environment.get("HF_TOKEN_PATH") or hub_home(environment) / "token").expanduser()
    try:
        with path.open("rb") as file:
            return file.read(_MOST_TOKEN_BYTES).decode(errors="replace").strip() or None
    except OSError:
        return None


@dataclass(frozen=True)
class Limits:
    """For how many seconds others are waited for."""

    torch: float = TORCH_SECONDS
    ray: float = 30.0
    service: float = 10.0
    """For the first sign of a judge, or of a dashboard."""
    judge_batch: float = JUDGE_SECONDS_PER_BATCH
    """For the judge's rulings on a batch of games; one that takes longer slows training."""


class Subject:
    """A run that is to be made.

    Args:
        config: its configuration.
        run_folder: where it will lie; None where nobody said.
        environment: the variables of the process; by default those of this one.
        limits: how long other programs and services may take to answer.
    """

    def __init__(
        self,
        config: RunConfig,
        run_folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        limits: Limits = Limits(),
    ) -> None:
        self.config = config
        self.run_folder = run_folder
        self.limits = limits
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        judge_token = self.environment.get(config.judge.token_variable, "").strip()
        self.secrets = Secrets.of(self.environment, [judge_token, hub_token(self.environment) or ""])
        """What must not be shown."""

    @cached_property
    def records(self) -> tuple[TrainingRecord, ...]:
        """The training records, before any filter."""
        return load_records(self.config.data.train)

    @cached_property
    def plan(self) -> Plan:
        """What the run will take."""
        return plan_of(self.config)

    @cached_property
    def engine_python(self) -> EnginePython:
        """What the engine's Python has."""
        return inspect_engine(self.config.engine)

    @cached_property
    def torch(self) -> TorchFound:
        """The torch of the Python that will train."""
        return find_torch(self.python, self.environment, self.limits.torch)

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
