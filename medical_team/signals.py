"""Asking work to stop: what SIGINT and SIGTERM mean while it lasts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_signals(handle: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Let SIGINT and SIGTERM call ``handle`` while the block runs; then they mean what they meant before.

    Outside the main thread, where signals can't be handled, they keep their meaning.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
