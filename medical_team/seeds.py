"""Seeds derived from a run's seed and a path of names, so that no hidden random state is carried along.

Two places that derive from different paths are independent; the same path always gives the same seed, on any
machine and in any process.
"""

from __future__ import annotations

import hashlib
import random


def derive_seed(seed: int, *path: str | int) -> int:
    """A non-negative 63-bit seed for ``path`` under ``seed``, e.g. ``derive_seed(7, "draw", epoch)``."""
    key = repr((seed, *path)).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def derived_random(seed: int, *path: str | int) -> random.Random:
    """A generator of the standard library seeded by :func:`derive_seed`."""
    return random.Random(derive_seed(seed, *path))
