"""A model in this process as a source of replies. The only place of evaluation that builds one; it needs torch."""

from __future__ import annotations

from collections.abc import Callable

from ..config import Device, Precision, SamplingConfig
from ..game.sampler import Sampler
from ..policy.frozen import FrozenPolicy
from ..policy.sampling import PolicySampler


def local_sampler(
    location: str,
    sampling: SamplingConfig,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    notify: Callable[[str], None] = lambda text: None,
) -> Sampler:
    """Replies of the model at ``location``.

    Raises:
        PolicyError: it can't be loaded or used.
    """
    return PolicySampler(FrozenPolicy(location, device=device, precision=precision, notify=notify), sampling)
