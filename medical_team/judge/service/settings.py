"""What a judge's service allows and how it merges requests."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from ...errors import UsageError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ServiceSettings:
    """Limits are what keeps one client, or one game, from taking the service away from the others."""

    batch_size: int = 64
    """Games that the judge is asked about at once; requests of many clients are merged up to it."""
    batch_wait_seconds: float = 0.005
    """How long an idle judge waits for more games before it rules on those that are there."""
    max_queries: int = 4096
    """Most games in one request; more get 413."""
    max_body_bytes: int = 64 * 1024 * 1024
    """Largest body of a request; a larger one gets 413."""
    max_text_characters: int = 1_000_000
    """Longest note or reply; a longer one gets 422. A judge may refuse shorter ones, which fails that game alone."""
    max_waiting: int = 65_536
    """Games that may wait for the judge, of all clients; beyond it requests get 429 and when to come back."""
    max_waiting_bytes: int = 512 * 1024 * 1024
    """Bytes of all requests in work; beyond it requests get 429."""
    body_seconds: float = 60.0
    """How long a client may take to send its request; then it gets 408."""
    drain_seconds: float = 600.0
    """How long accepted work may take after SIGTERM."""
    failure_reward: float | None = None
    """What /get_reward says of a game that the judge couldn't rule on; unset: null, which no trainer can overlook."""

    def __post_init__(self) -> None:
        values = {name: value for name, value in vars(self).items() if value is not None}
        problems = [
            f"{name} is {value}, expected a finite number" for name, value in values.items() if not _is_finite(value)
        ]
        problems += [
            f"{name} is {value}, expected more than 0"
            for name, value in values.items()
            if name not in ("batch_wait_seconds", "failure_reward") and value <= 0
        ]
        if self.batch_wait_seconds < 0:
            problems.append(f"batch_wait_seconds is {self.batch_wait_seconds}, expected at least 0")
        if problems:
            raise UsageError("; ".join(problems))


def _is_finite(value: float) -> bool:
    # Whole numbers of any length are.
    return isinstance(value, int) or isfinite(value)
