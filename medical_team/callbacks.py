"""What long work takes: two kinds of functions by which it says how it goes, and what asks it to stop. The default of
both kinds says nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

Notify = Callable[[str], None]
"""Given a sentence for the user."""

Progress = Callable[[int, int], None]
"""Given how many are done, of how many."""


@contextmanager
def stop_signals(handle: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Let SIGINT and SIGTERM call ``handle`` while the block runs; then they mean what they meant before.

    So does the first SIGHUP, as a terminal sends it that is closed, unless ``nohup`` has it ignored. The shell of that
    terminal sends another one, which must not count as somebody's impatience.

    Outside the main thread, where signals can't be handled, they keep their meaning.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_hung_up = False

    def handle_hang_up(number: int, frame: FrameType | None) -> None:
        nonlocal is_hung_up
        if not is_hung_up:
            is_hung_up = True
            handle(number, frame)

    handlers = {signal.SIGINT: handle, signal.SIGTERM: handle}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        handlers[signal.SIGHUP] = handle_hang_up
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
