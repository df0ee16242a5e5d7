"""What long work takes to say how it goes: two kinds of functions. The default of both says nothing."""

from __future__ import annotations

from collections.abc import Callable

Notify = Callable[[str], None]
"""Given a sentence for the user."""

Progress = Callable[[int, int], None]
"""Given how many are done, of how many."""
