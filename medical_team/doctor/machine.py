"""This machine: Python and the libraries that the run needs, memory, disk space, the right to write where the run
writes; and its GPUs: there, used by a torch that can, computing, free, and large enough for the plan."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from ..errors import MedicalTeamError
from ..files import check_writable
from ..metrics.alarms import DISK_BYTES, DISK_RESERVE_BYTES, GPU_MEMORY_SHARE
from ..model_files import hub_cache
from ..planning.plan import GIB, DiskPlan, MemoryPlan, Unknown
from ..planning.planner import what_to_lower
from ..runs.info import check_is_free
from ..this_machine import free_memory_bytes, has_nvidia_driver
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .subject import TORCH_SECONDS, Gpu, Subject

REQUIREMENTS: Mapping[str, Mapping[str, str]] = {
    "": {
        "httpx": "0.28", "numpy": "2", "pydantic": "2.11", "rapidfuzz": "3.13", "rich": "14",
        "scipy": "1.15", "tomli-w": "1.2", "tyro": "1.0",
    },
    "train": {
        "torch": "2.6", "transformers": "5.0", "peft": "0.18", "safetensors": "0.5", "filelock": "3.13",
        "gguf": "0.17", "huggingface-hub": "1.0", "tokenizers": "0.21", "matplotlib": "3.9", "tensorboard": "2.19",
    },
    "judge": {"fastapi": "0.116", "uvicorn": "0.35", "prometheus-client": "0.22"},
}  # fmt: skip
"""The oldest versions that do, by extra; the empty one is what every command needs. A test compares pyproject.toml."""


def core_libraries(subject: Subject) -> Seen:
    """What every command needs. An older Python can't import this."""
    seen = _libraries("", "pip install --upgrade medical-team")
    return replace(seen, found=f"Python {platform.python_version()}, {sys.executable}; {seen.found}")


def training_libraries(subject: Subject) -> Seen:
    """What training in this process needs, and a judging model in it."""
    if not subject.is_local and "model" not in subject.judge_kinds:
        return skipped(f"the engine {subject.config.engine.kind} trains with its own libraries")
    return _libraries("train", "pip install 'medical-team[train]'")


def judge_libraries(subject: Subject) -> Seen:
    """What serving a judge needs."""
    if "remote" not in subject.judge_kinds:
        return skipped("no judge is served for this run")
    seen = _libraries("judge", "pip install 'medical-team[judge]', where the judge is served")
    # The service may run in another environment, or on another machine.
    return seen if seen.mend == "" else warning(seen.found, seen.mend)


def _libraries(extra: str, mend: str) -> Seen:
    missing: list[str] = []
    old: list[str] = []
    versions: list[str] = []
    for name, oldest in REQUIREMENTS[extra].items():
        version = _version(name)
        if version is None:
            missing.append(name)
        elif _numbers(version) < _numbers(oldest):
            old.append(f"{name} {version} (needs {oldest})")
        else:
            versions.append(f"{name} {version}")
    if missing or old:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        return failed("; ".join([*parts, *([f"too old: {', '.join(old)}"] if old else [])]), mend)
    shown = versions[:3] + ([f"and {len(versions) - 3} more"] if len(versions) > 3 else [])
    return ok(", ".join(shown))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``2.6.0+cpu`` is (2, 6, 0)."""
    numbers: list[int] = []
    for part in version.partition("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


LIBRARIES = Group(
    "Software",
    (
        Check("libraries", core_libraries),
        Check("training_libraries", training_libraries),
        Check("judge_libraries", judge_libraries),
    ),
)


LITTLE_MEMORY_BYTES = 4 * 10**9
"""A small model and its libraries need this much."""

RUNS = Path("runs")

_GB = 10**9


def memory(subject: Subject) -> Seen:
    """The machine has the memory that the run needs beside the GPU's."""
    available = free_memory_bytes()
    if available is None:
        return skipped("this system doesn't say how much memory is free")
    found = f"{available / _GB:.1f} GB are free"
    needed = _planned_bytes(subject)
    if needed is None:
        if available < LITTLE_MEMORY_BYTES:
            return warning(
                f"{found}; even a small model needs {LITTLE_MEMORY_BYTES / _GB:.0f} GB", "end other programs"
            )
        return ok(found)
    found += f", the plan needs {needed / _GB:.1f} GB"
    mend = "end other programs, take a smaller policy.model, or lower rollout.batch_size"
    if needed > available:
        return failed(found, mend)
    return ok(found) if needed <= GPU_MEMORY_SHARE * available else warning(f"{found}: that is tight", mend)


def _planned_bytes(subject: Subject) -> int | None:
    """What the run takes of the machine's own memory; None where that can't be planned."""
    if subject.is_cluster_elsewhere:
        return None
    plan = subject.plan.memory
    if not isinstance(plan, MemoryPlan):
        return None
    on_cpu = subject.is_local and (subject.avoids_gpu or not subject.torch.gpus)
    return plan.host_bytes + (plan.peak_bytes if on_cpu else 0)


def run_disk(subject: Subject) -> Seen:
    """The disk of the run folder has room for what the plan writes, or for 10 GB."""
    plan = subject.plan.disk
    folder = _existing(subject.run_folder or RUNS)
    if isinstance(plan, DiskPlan):
        return disk_seen(folder, plan.bytes, f"the plan writes {plan.bytes / _GB:.1f} GB")
    return disk_seen(folder, DISK_BYTES, f"{DISK_BYTES / _GB:.0f} GB are advised")


def cache_disk(subject: Subject) -> Seen:
    """The disk of the model cache has room."""
    folder = _existing(hub_cache(subject.environment))
    free = shutil.disk_usage(folder).free
    found = f"{free / _GB:.1f} GB are free at {folder}, where models are kept"
    if free < DISK_BYTES:
        return warning(found, "free some space there, or set HF_HOME to a folder on a larger disk")
    return ok(found)


def disk_seen(folder: Path, needed: int, why: str) -> Seen:
    """Whether ``needed`` bytes, and a reserve, are free on the disk of ``folder``."""
    free = shutil.disk_usage(folder).free
    found = f"{free / _GB:.1f} GB are free at {folder.absolute()}; {why}"
    mend = "free some space, put the run elsewhere with --run FOLDER, or lower checkpoints.keep_last"
    if free < needed:
        return failed(found, mend)
    if free < needed + DISK_RESERVE_BYTES:
        return warning(f"{found}, which leaves less than {DISK_RESERVE_BYTES / _GB:.0f} GB", mend)
    return ok(found)


def run_folder(subject: Subject) -> Seen:
    """The run folder can be made."""
    wanted = subject.run_folder or RUNS
    try:
        if subject.run_folder is not None:
            check_is_free(wanted)
        check_writable(wanted)
    except MedicalTeamError as error:
        return failed(
            str(error), "name a new folder of your own with --run FOLDER, or go on with train --resume FOLDER"
        )
    existing = _existing(wanted)
    return ok(f"{wanted} can be made in {existing.absolute()}" if existing != wanted else f"{wanted} can be written")


def _existing(path: Path) -> Path:
    """``path``, or the nearest folder above it that exists."""
    path = path.expanduser()
    return next((candidate for candidate in (path, *path.absolute().parents) if candidate.exists()), Path("/"))


GROUP = Group(
    "Memory and disk",
    (
        Check("memory", memory, TORCH_SECONDS + 90),
        Check("disk", run_disk, 90.0),
        Check("disk_cache", cache_disk),
        Check("run_folder", run_folder),
    ),
)


MUCH_USED_BYTES = 3 * 2**29
"""What a desktop takes, and the look at it, is no reason to worry; this much is."""

_CUDA_TORCH = "-m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"


def torch_computes(subject: Subject) -> Seen:
    """The training Python's torch can be imported, and computes on each GPU that it sees."""
    if subject.is_cluster_elsewhere:
        return skipped("the cluster's machines have torches of their own")
    torch = subject.torch
    if torch.version is None:
        extra = "pip install 'medical-team[train]'" if subject.is_local else f"{subject.python} -m pip install torch"
        return failed(f"torch can't be imported by {subject.python}: {torch.problem}", extra)
    if torch.problem:
        return failed(
            f"{_built(subject)} fails at a small computation: {torch.problem}", f"{subject.python} {_CUDA_TORCH}"
        )
    return ok(f"{_built(subject)} computes on {f'{len(torch.gpus)} GPU(s)' if torch.gpus else 'the CPU'}")


def _built(subject: Subject) -> str:
    torch = subject.torch
    return f"torch {torch.version}" + (f" for CUDA {torch.cuda}" if torch.cuda else " without CUDA")


def gpus_there(subject: Subject) -> Seen:
    """As many NVIDIA GPUs as the run wants, for that torch."""
    gpus = subject.torch.gpus
    wanted = 1 if subject.is_local else subject.config.engine.gpus_per_node
    if gpus and len(gpus) >= wanted:
        return ok(_listed(gpus))
    if gpus:
        return failed(f"{_listed(gpus)}: the run asks for {wanted}", f"--engine.gpus_per_node {len(gpus)}")
    if has_nvidia_driver() and not subject.avoids_gpu:
        seen = f"{_built(subject)} finds no GPU, and this machine has an NVIDIA driver"
        mend = f"{subject.python} {_CUDA_TORCH}" if subject.torch.cuda is None else (
            f"nvidia-smi   (must list the GPU, with a driver for CUDA {subject.torch.cuda} or newer; and "
            "CUDA_VISIBLE_DEVICES must not hide it)"
        )  # fmt: skip
        return failed(seen, mend) if subject.wants_gpu else warning(seen, mend)
    if subject.wants_gpu:
        mend = (
            "--policy.device auto, or train where there is a GPU"
            if subject.is_local
            else "launch it where there are GPUs, or train here with --engine local"
        )
        return failed("there is no NVIDIA GPU, and the run wants one", mend)
    return ok("none; the run computes on the CPU")


def gpu_in_use(subject: Subject) -> Seen:
    """Nobody else has the GPU's memory already."""
    gpus = () if subject.avoids_gpu else subject.torch.gpus
    if not gpus:
        return skipped("no NVIDIA GPU here that the run would use")
    used = max(gpu.used_bytes for gpu in gpus)
    if used < MUCH_USED_BYTES:
        return ok(f"at most {used / GIB:.1f} GiB of a GPU are in use, this look included")
    return warning(
        f"{used / GIB:.1f} GiB of a GPU are in use already",
        "nvidia-smi   (shows whose; end what is yours with `kill PROCESS`, or set CUDA_VISIBLE_DEVICES to another GPU)",
    )


def gpu_memory(subject: Subject) -> Seen:
    """The plan's peak stays under 80 % of the smallest GPU, or of what the engine's GPUs are said to have."""
    plan = subject.plan
    if plan.problems:
        return failed("\n".join(plan.problems), "set the options that are named; `train --plan` shows the whole plan")
    if isinstance(plan.memory, Unknown):
        return skipped(f"can't be planned: {plan.memory.reason}")
    gpus = () if subject.is_cluster_elsewhere or subject.avoids_gpu else subject.torch.gpus
    if subject.is_local and not gpus:
        return skipped("no GPU; the machine's own memory is looked at instead")
    peak = plan.memory.peak_bytes
    capacity = min((gpu.total_bytes for gpu in gpus), default=plan.memory.capacity_bytes)
    if capacity is None:
        return skipped(f"the plan's peak is {peak / GIB:.1f} GiB; how much the GPU has is not known")
    stated = "" if gpus else ", as engine.gpu_memory_gib says"
    found = f"the plan's peak is {peak / GIB:.1f} of {capacity / GIB:.1f} GiB ({peak / capacity:.0%}{stated})"
    mend = what_to_lower(subject.config)
    if peak > capacity:
        return failed(f"{found}: CUDA will be out of memory", mend)
    if peak >= GPU_MEMORY_SHARE * capacity:
        return warning(f"{found}; it should stay under {GPU_MEMORY_SHARE:.0%}", mend)
    return ok(found)


def _listed(gpus: Sequence[Gpu]) -> str:
    return f"{len(gpus)} x {gpus[0].name}, {gpus[0].total_bytes / GIB:.0f} GiB"


GPU = Group(
    "GPU",
    (
        Check("torch", torch_computes, TORCH_SECONDS + 30),
        Check("gpu", gpus_there, after="torch"),
        Check("gpu_in_use", gpu_in_use, after="torch"),
        Check("gpu_memory", gpu_memory, TORCH_SECONDS + 90),
    ),
)
