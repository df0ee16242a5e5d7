"""The limits on a run's surroundings, defined once: `doctor` checks them before a run, alarms while it trains.

The first three are the training checklist's own figures.
"""

from __future__ import annotations

JUDGE_SECONDS_PER_BATCH = 1.0
"""A judge should rule on a batch of :data:`JUDGE_BATCH` games in less."""

JUDGE_BATCH = 64
"""Games of one batch, for which the judge's latency is stated."""

GPU_MEMORY_SHARE = 0.8
"""The share of a GPU's memory that should not be exceeded."""

DISK_BYTES = 10 * 10**9
"""Free disk space that a run should find where nothing better is planned."""

DISK_RESERVE_BYTES = 2 * 10**9
"""What should stay free beyond that: a disk that is full to the last byte loses checkpoints."""
