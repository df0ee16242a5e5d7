"""What torch leaves without types and tests need."""

from __future__ import annotations

from typing import Any, cast

import torch


def numbers(tensor: torch.Tensor) -> list[Any]:
    """``tensor`` as Python numbers, in a list for each dimension."""
    return cast("Any", tensor).tolist()
