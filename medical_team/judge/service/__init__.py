"""The judge as a service over HTTP, and what it allows."""

from __future__ import annotations

from dataclasses import dataclass

from ...game_config import bounded


@dataclass(frozen=True)
class ServiceSettings:
    """Limits are what keeps one client, or one game, from taking the service away from the others."""

    batch_size: int = bounded(64, minimum=1)
    """Games that the judge is asked about at once; requests of many clients are merged up to it."""
    max_queries: int = bounded(4096, minimum=1)
    """Most games in one request; more get 413."""
    max_body_bytes: int = bounded(64 * 1024 * 1024, minimum=1)
    """Largest body of a request; a larger one gets 413."""
    max_waiting: int = bounded(65_536, minimum=1)
    """Games that may wait for the judge, of all clients; beyond it requests get 429 and when to come back."""
    body_seconds: float = bounded(60.0, above=0.0)
    """How long a client may take to send a request's body; then it gets 408."""
    drain_seconds: float = bounded(600.0, above=0.0)
    """How long accepted work may take after SIGTERM."""
    failure_reward: float | None = None
    """What /get_reward says of a game that the judge couldn't rule on; unset: null, which no trainer can overlook."""
