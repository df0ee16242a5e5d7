"""What is examined: a configuration on this machine, with what several checks look at found once. Other programs
are asked under a limit in time and leave nothing behind: ``nvidia-smi`` tells of the GPUs, and the Python that
will train of its torch."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from ..config import JudgeKind, RunConfig
from ..data.load import load_records
from ..engines.installed import EnginePython, engine_executable, inspect_engine
from ..jsonl import from_line
from ..metrics.alarms import JUDGE_SECONDS_PER_BATCH
from ..network.secrets import Secrets
from ..planning.plan import Plan
from ..planning.planner import plan_of
from ..this_machine import NVIDIA_DRIVER_FILE, free_memory_bytes
from .hub import hub_token

_KEPT_CHARACTERS = 200_000


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


MIB = 2**20

_PROGRAM = "nvidia-smi"
_GPU_FIELDS = "index,name,memory.total,memory.used,driver_version"
_NONE_THERE = "No devices were found"
"""What a driver says, with status 0 or 6, where all GPUs were taken out or hidden."""
_USER_FIELDS = "pid,process_name,used_memory"


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    index: int
    name: str
    total_bytes: int | None
    """None where the driver doesn't tell."""
    used_bytes: int | None
    driver: str


@dataclass(frozen=True)
class NvidiaGpus:
    """The GPUs that programs started here see."""

    gpus: tuple[Gpu, ...]
    hidden: int
    """GPUs that CUDA_VISIBLE_DEVICES hides."""
    users: tuple[str, ...]
    """Programs that have memory there, for a person: ``python (process 12, 3.0 GiB)``."""
    problem: str
    """Why nothing is known although a driver is there; empty where all went well."""

    @property
    def smallest_bytes(self) -> int | None:
        """Memory of the GPU that has least."""
        return min((gpu.total_bytes for gpu in self.gpus if gpu.total_bytes), default=None)


def find_gpus(environment: Mapping[str, str], seconds: float) -> NvidiaGpus:
    """Ask ``nvidia-smi``, for ``seconds`` at the most.

    A machine without it has no NVIDIA GPU, unless its driver's file is there.
    """
    program = shutil.which(_PROGRAM, path=environment.get("PATH"))
    if program is None:
        problem = f"the NVIDIA driver is there and {_PROGRAM} is not" if NVIDIA_DRIVER_FILE.exists() else ""
        return NvidiaGpus((), 0, (), problem)
    asked = run_command(
        [program, f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"],
        seconds,
        environment=environment,
    )
    if _NONE_THERE in asked.output:
        return NvidiaGpus((), 0, (), "")
    if not asked.is_well:
        return NvidiaGpus((), 0, (), asked.problem or f"{_PROGRAM}: {asked.reason}")
    try:
        found = [_gpu(line) for line in asked.output.splitlines() if line.strip()]
    except ValueError:
        return NvidiaGpus((), 0, (), f"{_PROGRAM} answers something else than it was asked: {asked.output[:80]!r}")
    visible = [gpu for gpu in found if _is_visible(gpu, environment.get("CUDA_VISIBLE_DEVICES"))]
    return NvidiaGpus(tuple(visible), len(found) - len(visible), _users(program, environment, seconds), "")


def _gpu(line: str) -> Gpu:
    # A name may hold commas itself.
    index, others = line.split(",", 1)
    name, total, used, driver = (cell.strip() for cell in others.rsplit(",", 3))
    return Gpu(int(index), name, _mebibytes(total), _mebibytes(used), driver)


def _mebibytes(cell: str) -> int | None:
    return int(cell) * MIB if cell.isdecimal() else None


def _is_visible(gpu: Gpu, variable: str | None) -> bool:
    if variable is None:
        return True
    names = [name.strip() for name in variable.split(",") if name.strip()]
    # What is named by its UUID can't be told apart here, and counts as visible.
    return any(name == str(gpu.index) or not name.lstrip("-").isdigit() for name in names)


def _users(program: str, environment: Mapping[str, str], seconds: float) -> tuple[str, ...]:
    asked = run_command(
        [program, f"--query-compute-apps={_USER_FIELDS}", "--format=csv,noheader,nounits"],
        seconds,
        environment=environment,
    )
    users: list[str] = []
    for line in asked.output.splitlines() if asked.is_well else ():
        process, _, others = line.partition(",")
        program_path, _, used = others.rpartition(",")
        if program_path and process.strip().isdecimal():
            taken = _mebibytes(used.strip())
            size = "size unknown" if taken is None else f"{taken / 2**30:.1f} GiB"
            users.append(f"{Path(program_path.strip()).name} (process {process.strip()}, {size})")
    return tuple(users)


TORCH_SECONDS = 150.0
"""A first import from a cold or remote disk takes a minute and more."""

PROBE = Path(__file__).with_name("probe.py")
"""Asked by its path: another Python has no package of ours."""


@dataclass(frozen=True)
class TorchFound:
    """The torch of a Python."""

    version: str | None
    """None where it can't be imported."""
    cuda: str | None
    """The CUDA it was built with; None for a build for the CPU alone."""
    devices: tuple[str, ...]
    """Names of the GPUs that it sees."""
    has_bf16: bool
    """Whether what it computes on, a GPU or the CPU, has hardware for bf16."""
    problem: str
    """Why it can't be imported, or why computing failed; empty where all went well."""


def find_torch(python: str, environment: Mapping[str, str]) -> TorchFound:
    """Import torch in ``python`` and multiply two small matrices on each GPU. What fails there is told, not raised."""
    ended = run_command([python, PROBE, "torch"], TORCH_SECONDS, environment=environment)
    line = ended.output.strip().rpartition("\n")[2]
    try:
        return from_line(line, TorchFound)
    except (ValidationError, ValueError):
        return TorchFound(None, None, (), False, ended.reason)


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


@dataclass(frozen=True)
class Limits:
    """For how many seconds others are waited for."""

    nvidia: float = 20.0
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
        token = hub_token(self.environment)
        judge_token = self.environment.get(config.judge.token_variable, "").strip()
        self.secrets = Secrets.of(self.environment, [judge_token, token.value if token else ""])
        """What must not be shown."""
        self.records = Once(lambda: load_records(config.data.train))
        """The training records, before any filter."""
        self.plan: Once[Plan] = Once(lambda: plan_of(config))
        self.engine_python: Once[EnginePython] = Once(lambda: inspect_engine(config.engine))
        self.gpus: Once[NvidiaGpus] = Once(lambda: find_gpus(self.environment, limits.nvidia))
        self.free_memory: Once[int | None] = Once(free_memory_bytes)
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
