"""The GPU: there, used by a torch that can, computing, free, and large enough for the plan."""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.alarms import GPU_MEMORY_SHARE
from ..planning.plan import GIB, Unknown
from ..planning.planner import what_to_lower
from ..this_machine import has_nvidia_driver
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .subject import TORCH_SECONDS, Gpu, Subject

MUCH_USED_BYTES = 3 * 2**29
"""What a desktop takes, and the look at it, is no reason to worry; this much is."""

_CUDA_TORCH = "-m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"


def computing(subject: Subject) -> Seen:
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


def there(subject: Subject) -> Seen:
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


def in_use(subject: Subject) -> Seen:
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


def memory(subject: Subject) -> Seen:
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


GROUP = Group(
    "GPU",
    (
        Check("torch", computing, TORCH_SECONDS + 30),
        Check("gpu", there, after="torch"),
        Check("gpu_in_use", in_use, after="torch"),
        Check("gpu_memory", memory, TORCH_SECONDS + 90),
    ),
)
