"""Lets unmodified OpenRLHF 0.11.2 train where there is no GPU.

Python imports this file by its name when it starts, in every process that has its folder on PYTHONPATH: OpenRLHF's own,
Ray's workers, and vLLM's engines. Nothing is imported here. Where one of the modules below is imported, what only a GPU
can do is replaced in it. All else is OpenRLHF, Ray, vLLM and DeepSpeed as they are.

Beside it lies an empty ``flash_attn``, which OpenRLHF imports in any case and needs only for packing.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PRETENDED_GPUS = "MEDICAL_TEAM_PRETENDED_GPUS"
"""The environment variable that says how many GPUs Ray shall believe in."""

_OBJECT_STORE_BYTES = 200 * 1024**2


class CpuAsCurrentDevice(str):
    """What ``torch.cuda.current_device()`` gives: a device of its own, and a number inside ``f"cuda:{...}"``."""

    def __format__(self, format_spec: str) -> str:
        return "0"


def _current_device() -> CpuAsCurrentDevice:
    return CpuAsCurrentDevice("cpu")


def _doing_nothing() -> Callable[..., None]:
    """Stands for what needs a GPU and may be left out without one. A function of its own each time: torch's compiler
    has a rule for each of these names, and refuses one function under two."""

    def do_nothing(*arguments: Any, **named: Any) -> None:
        pass

    return do_nothing


def _cuda(module: Any) -> None:
    module.current_device = _current_device
    for name in ("set_device", "empty_cache", "synchronize", "current_stream", "ipc_collect"):
        setattr(module, name, _doing_nothing())


def _device_mesh(module: Any) -> None:
    make = module.init_device_mesh

    def init_device_mesh(device_type: str, *arguments: Any, **named: Any) -> Any:
        return make("cpu" if device_type == "cuda" else device_type, *arguments, **named)

    module.init_device_mesh = init_device_mesh


def tensor_of(content: bytes, dtype: str, shape: tuple[int, ...], *unused: Any) -> Any:
    """A tensor that came as bytes; the last arguments stand where a handle of CUDA has a device's number."""
    import torch

    return torch.frombuffer(bytearray(content), dtype=getattr(torch, dtype)).reshape(shape)


def _reductions(module: Any) -> None:
    def reduce_tensor(tensor: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        import torch

        content = tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()
        return tensor_of, (content, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), 0, 0, 0, 0)

    module.reduce_tensor = reduce_tensor


def _openrlhf_ray_utils(module: Any) -> None:
    def first_gpu() -> str:
        return "0"

    module.get_physical_gpu_id = first_gpu


def _vllm_layer_utils(module: Any) -> None:
    def keep_the_weight(layer: Any, remove_weight: bool) -> None:
        import torch

        layer.cpu_linear = torch.nn.functional.linear

    # Else the weight is repacked once, and no other can be loaded in its place.
    module.dispatch_cpu_unquantized_gemm = keep_the_weight


def _ray(module: Any) -> None:
    init = module.init

    def init_with_pretended_gpus(*arguments: Any, **named: Any) -> Any:
        if os.environ.get("RAY_ADDRESS") == "local":
            gpus = int(os.environ.get(PRETENDED_GPUS, "1"))
            named |= {"num_gpus": gpus, "num_cpus": 4 * gpus, "include_dashboard": False}
            named["object_store_memory"] = _OBJECT_STORE_BYTES
        return init(*arguments, **named)

    module.init = init_with_pretended_gpus


CHANGES: dict[str, Callable[[Any], None]] = {
    "torch.cuda": _cuda,
    "torch.distributed.device_mesh": _device_mesh,
    "torch.multiprocessing.reductions": _reductions,
    "openrlhf.trainer.ray.utils": _openrlhf_ray_utils,
    "vllm.model_executor.layers.utils": _vllm_layer_utils,
    "ray": _ray,
}


class _ChangingLoader(Loader):
    """Loads a module as it is, and then changes it."""

    def __init__(self, loader: Loader, change: Callable[[Any], None]) -> None:
        self._loader = loader
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._change(module)


class _Changes(MetaPathFinder):
    """Finds the modules that are changed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        change = CHANGES.get(fullname)
        if change is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ChangingLoader(spec.loader, change)
        return spec


sys.meta_path.insert(0, _Changes())
