"""Whether a policy on a CPU learns faster in bf16: tried on the processor, whose list of features doesn't tell.

Some processors that have bf16 multiply in it twice as fast as in fp32, others more slowly.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..callbacks import Notify
from ..config import Precision
from .devices import has_bf16
from .policy import Policy

PROBE_SECONDS = 2.0
SMALLEST_PROBED = 20_000_000
"""Parameters; a smaller policy stays in fp32 without a probe, so that its runs repeat on a busy machine too."""

WORTHWHILE = 1.5
"""How much faster products must be. In bf16 the learner reads each sample once more, for the old log-probs, which alone
takes a gain of 1.25; norms, attention's softmax and the loss gain nothing."""

_ROWS = 256
_SHAPES = 4


def choose_precision(
    policy: Policy, notify: Notify, speedup_of: Callable[[torch.nn.Module], float] | None = None
) -> Precision:
    """What ``policy.precision`` should be from now on: itself, or where it is ``auto`` on a CPU, what a probe shows.

    Args:
        policy: loaded as ``policy.precision`` says, which for ``auto`` on a CPU is fp32.
        notify: told the outcome of a probe.
        speedup_of: the probe; None: :func:`bf16_speedup`.
    """
    if policy.config.precision != "auto" or policy.device.type != "cpu" or not has_bf16(policy.device):
        return policy.config.precision
    if sum(parameter.numel() for parameter in policy.model.parameters()) < SMALLEST_PROBED:
        return policy.config.precision
    speedup = (speedup_of or bf16_speedup)(policy.model)
    precision: Precision = "bf16" if speedup >= WORTHWHILE else "fp32"
    notify(
        f"The policy computes in {precision}: this processor multiplies {speedup:.1f} times as fast in bf16 as in "
        f"fp32, and it pays from {WORTHWHILE} on. policy.precision settles it without a probe."
    )
    return precision


def bf16_speedup(model: torch.nn.Module, seconds: float = PROBE_SECONDS) -> float:
    """How many times faster products with weights of the model's shapes are in bf16 than in fp32, to and fro.

    The two take turns, and the fastest of each one's turns counts, so that other work on the machine hardly matters.
    """
    products = [
        (count, _Product(shape, torch.float32), _Product(shape, torch.bfloat16))
        for shape, count in _largest_shapes(model)
    ]
    fp32 = [float("inf")] * len(products)
    bf16 = [float("inf")] * len(products)
    end = time.perf_counter() + seconds
    # What is used for the first time is slow.
    for turn in range(1_000_000):
        for place, (_, slow, fast) in enumerate(products):
            times = slow.seconds(), fast.seconds()
            if turn:
                fp32[place] = min(fp32[place], times[0])
                bf16[place] = min(bf16[place], times[1])
        if turn and time.perf_counter() >= end:
            break
    counts = [count for count, _, _ in products]
    return _weighted(counts, fp32) / _weighted(counts, bf16)


@dataclass(frozen=True)
class _Product:
    """Tokens times a weight, and gradients times the same: what a frozen layer does in a step."""

    shape: tuple[int, int]
    dtype: torch.dtype

    def seconds(self) -> float:
        weight = torch.ones(self.shape, dtype=self.dtype)
        tokens = torch.ones(_ROWS, self.shape[1], dtype=self.dtype)
        started = time.perf_counter()
        with torch.no_grad():
            _ = (tokens @ weight.T) @ weight
        return time.perf_counter() - started


def _largest_shapes(model: torch.nn.Module) -> list[tuple[tuple[int, int], int]]:
    """The shapes of matrices on which most of the work is done, with how many there are of each."""
    embeddings = {id(each.weight) for each in model.modules() if isinstance(each, torch.nn.Embedding)}
    shapes: Counter[tuple[int, int]] = Counter(
        (parameter.shape[0], parameter.shape[1])
        for parameter in model.parameters()
        if parameter.ndim == 2 and id(parameter) not in embeddings
    )
    return sorted(shapes.items(), key=lambda item: -item[0][0] * item[0][1] * item[1])[:_SHAPES]


def _weighted(counts: list[int], seconds: list[float]) -> float:
    return sum(count * each for count, each in zip(counts, seconds, strict=True))
