"""The GPU: there, used by a torch that can, computing, free, and large enough for the plan."""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.alarms import GPU_MEMORY_SHARE
from ..planning.plan import GIB, MemoryPlan, Unknown
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .subject import TORCH_SECONDS, Gpu, Subject

OLDEST_DRIVERS = {11: (450, 80), 12: (525, 60), 13: (580, 65)}
"""The oldest driver for each major version of CUDA (NVIDIA's CUDA release notes, minor version compatibility)."""

MUCH_USED_BYTES = 2**30
"""What a desktop takes is no reason to worry; this much is."""

_ADVICE_SHOWN = 3
_CUDA_TORCH = "-m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"
_SMALLER = (
    "lower engine.micro_rollout_batch_size (2) and engine.vllm_memory_fraction (0.5), or take a smaller policy.model"
)
_SMALLER_LOCAL = (
    "lower rollout.batch_size and training.tokens_per_microbatch, set policy.gradient_checkpointing, or take a "
    "smaller policy.model"
)


def there(subject: Subject) -> Seen:
    """As many NVIDIA GPUs as the run wants."""
    if subject.is_cluster_elsewhere:
        return skipped("the GPUs are those of the cluster")
    found = subject.gpus()
    if found.problem:
        return failed(found.problem, "restart the machine, or install the driver again: nvidia-smi must list the GPU")
    wanted = 1 if subject.is_local else subject.config.engine.gpus_per_node
    if found.gpus and len(found.gpus) >= wanted:
        return ok(_listed(found.gpus))
    if found.hidden:
        seen = f"{len(found.gpus)} of {len(found.gpus) + found.hidden} GPUs are visible through CUDA_VISIBLE_DEVICES"
        return failed(seen, "unset CUDA_VISIBLE_DEVICES") if subject.wants_gpu else warning(seen)
    if found.gpus:
        return failed(f"{_listed(found.gpus)}: the run asks for {wanted}", f"--engine.gpus_per_node {len(found.gpus)}")
    if subject.wants_gpu:
        mend = (
            "--policy.device auto, or train where there is a GPU"
            if subject.is_local
            else "launch it where there are GPUs, or train here with --engine local"
        )
        return failed("there is no NVIDIA GPU (nvidia-smi lists none, or is not there), and the run wants one", mend)
    return ok("none; the run computes on the CPU")


def computing(subject: Subject) -> Seen:
    """The training Python's torch computes, on the GPU where there is one and it is wanted."""
    if subject.is_cluster_elsewhere:
        return skipped("the cluster's machines have torches of their own")
    torch = subject.torch()
    if torch.version is None:
        extra = "pip install 'medical-team[train]'" if subject.is_local else f"{subject.python} -m pip install torch"
        return failed(f"torch can't be imported by {subject.python}: {torch.problem}", extra)
    built = f"torch {torch.version}" + (f" for CUDA {torch.cuda}" if torch.cuda else " without CUDA")
    install = f"{subject.python} {_CUDA_TORCH}"
    if torch.problem:
        return failed(f"{built} fails at a small computation: {torch.problem}", install)
    gpus = subject.gpus().gpus
    if torch.devices:
        return ok(f"{built} computes on {len(torch.devices)} GPU(s): {torch.devices[0]}")
    if not gpus or subject.avoids_gpu:
        return skipped("can't be checked: there is no GPU") if subject.wants_gpu else ok(f"{built}, on the CPU")
    if torch.cuda is None:
        seen, mend = f"{built} leaves the {gpus[0].name} idle", install
    else:
        seen = f"{built} finds no GPU, and nvidia-smi lists {gpus[0].name} with driver {gpus[0].driver}"
        mend = _driver_mend(torch.cuda, gpus[0].driver)
    return failed(seen, mend) if subject.wants_gpu else warning(seen, mend)


def driver(subject: Subject) -> Seen:
    """The driver is new enough for the CUDA that torch was built with."""
    gpus = () if subject.is_cluster_elsewhere else subject.gpus().gpus
    if not gpus:
        return skipped("no NVIDIA GPU here")
    cuda = subject.torch().cuda
    if cuda is None:
        return skipped("torch is built without CUDA")
    oldest = OLDEST_DRIVERS.get(_numbers(cuda)[:1][0] if _numbers(cuda) else 0)
    if oldest is None:
        return skipped(f"which driver CUDA {cuda} needs is not known here")
    found = f"driver {gpus[0].driver}, torch for CUDA {cuda}"
    if _numbers(gpus[0].driver)[:2] < oldest:
        return failed(f"{found}, which needs {_version(oldest)}", _driver_mend(cuda, gpus[0].driver))
    return ok(found)


def _driver_mend(cuda: str, installed: str) -> str:
    oldest = OLDEST_DRIVERS.get(_numbers(cuda)[0]) if _numbers(cuda) else None
    if oldest is None or _numbers(installed)[:2] >= oldest:
        return "restart the machine, then: nvidia-smi   (the driver and its library may differ since an update)"
    return (
        f"install driver {_version(oldest)} or newer, or a torch for an older CUDA "
        "(https://pytorch.org/get-started/previous-versions)"
    )


def precision(subject: Subject) -> Seen:
    """The device has the precision that is asked for."""
    if subject.is_cluster_elsewhere:
        return skipped("the GPUs are those of the cluster")
    torch = subject.torch()
    if torch.version is None:
        return skipped("can't be checked: torch can't be imported")
    device = "GPU" if torch.devices and not subject.avoids_gpu else "CPU"
    is_asked = not subject.is_local or subject.config.policy.precision == "bf16"
    if not is_asked:
        return ok(f"bf16 on the {device}" if torch.has_bf16 and device == "GPU" else f"fp32 on the {device}")
    if torch.has_bf16:
        return ok(f"the {device} has hardware for bf16")
    return failed(f"bf16 is asked for, and torch finds no hardware for it on the {device}", "--policy.precision auto")


def in_use(subject: Subject) -> Seen:
    """Nobody else has the GPU's memory already."""
    found = subject.gpus()
    gpus = () if subject.is_cluster_elsewhere or subject.avoids_gpu else found.gpus
    if not gpus:
        return skipped("no NVIDIA GPU here that the run would use")
    used = max((gpu.used_bytes or 0) for gpu in gpus)
    if used < MUCH_USED_BYTES:
        return ok(f"at most {used / GIB:.1f} GiB of a GPU are in use")
    users = f" by {', '.join(found.users)}" if found.users else ""
    return warning(
        f"{used / GIB:.1f} GiB of a GPU are in use already{users}",
        "nvidia-smi   (shows whose; end what is yours with `kill PROCESS`, or set CUDA_VISIBLE_DEVICES to another GPU)",
    )


def memory(subject: Subject) -> Seen:
    """The plan's peak stays under 80 % of the smallest GPU."""
    plan = subject.plan()
    if plan.problems:
        return failed("\n".join(plan.problems), "set the options that are named; `train --plan` shows the whole plan")
    if isinstance(plan.memory, Unknown):
        return skipped(f"can't be planned: {plan.memory.reason}")
    gpus = () if subject.is_cluster_elsewhere or subject.avoids_gpu else subject.gpus().gpus
    if subject.is_local and not gpus:
        return skipped("no GPU; the machine's own memory is looked at instead")
    return gpu_memory_seen(plan.memory, subject, [*plan.advice])


def gpu_memory_seen(plan: MemoryPlan, subject: Subject, advice: Sequence[str]) -> Seen:
    """Compare ``plan`` with what the GPU has, or is said to have."""
    measured = None if subject.is_cluster_elsewhere else subject.gpus().smallest_bytes
    capacity = measured or plan.capacity_bytes
    if capacity is None:
        return skipped(f"the plan's peak is {plan.peak_bytes / GIB:.1f} GiB; how much the GPU has is not known")
    share = plan.peak_bytes / capacity
    stated = "" if measured else ", as engine.gpu_memory_gib says"
    found = f"the plan's peak is {plan.peak_bytes / GIB:.1f} of {capacity / GIB:.1f} GiB ({share:.0%}{stated})"
    mend = "\n".join(advice[:_ADVICE_SHOWN]) or (_SMALLER_LOCAL if subject.is_local else _SMALLER)
    if share > 1:
        return failed(f"{found}: CUDA will be out of memory", mend)
    if share >= GPU_MEMORY_SHARE:
        return warning(f"{found}; it should stay under {GPU_MEMORY_SHARE:.0%}", mend)
    return ok(found)


def _listed(gpus: Sequence[Gpu]) -> str:
    size = f", {gpus[0].total_bytes / GIB:.0f} GiB" if gpus[0].total_bytes else ""
    return f"{len(gpus)} x {gpus[0].name}{size}, driver {gpus[0].driver}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _version(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


GROUP = Group(
    "GPU",
    (
        Check("gpu", there, 60.0),
        Check("torch", computing, TORCH_SECONDS + 30),
        Check("driver", driver, TORCH_SECONDS + 30),
        Check("precision", precision, TORCH_SECONDS + 30, after="torch"),
        Check("gpu_in_use", in_use, 60.0),
        Check("gpu_memory", memory, 90.0),
    ),
)
