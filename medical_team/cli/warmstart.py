"""``medical-team warmstart``: supervised learning from demonstrations, before self-play."""

from __future__ import annotations

from collections.abc import Sequence

from .train import WarmStartArguments, run_command


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run_command(WarmStartArguments, "warmstart", "warm-start", arguments)
