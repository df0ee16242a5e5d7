"""What a resumed run needs besides the policy's weights: the optimizer's state, in safetensors.

Nothing else carries state: games, seeds and batches are pure functions of the run's seed and the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import TrainingError

OPTIMIZER_FILE = "optimizer.safetensors"
"""Of a checkpoint."""

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_optimizer(optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter], path: Path) -> None:
    """Write AdamW's state by parameter name. A parameter that never had a gradient has none."""
    tensors = {
        f"{name}/{moment}": optimizer.state[parameter][moment].detach().cpu().contiguous()
        for name, parameter in parameters.items()
        if parameter in optimizer.state
        for moment in _MOMENTS
    }
    save_file(tensors, path)


def load_optimizer(optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter], path: Path) -> None:
    """Take over the state that :func:`save_optimizer` wrote.

    Raises:
        TrainingError: the file can't be read or belongs to other parameters.
    """
    try:
        tensors = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(f"can't read the optimizer's state in {path}: {error}") from error
    unknown = {key.rpartition("/")[0] for key in tensors} - set(parameters)
    if unknown:
        raise TrainingError(f"{path} belongs to another policy: it has a state for {sorted(unknown)[0]}")
    for name, parameter in parameters.items():
        if f"{name}/step" in tensors:
            optimizer.state[parameter] = {
                # AdamW keeps its step count on the CPU, whatever the parameter's device.
                moment: tensors[f"{name}/{moment}"].to("cpu" if moment == "step" else parameter.device)
                for moment in _MOMENTS
            }
