"""Ctrl-C and SIGTERM while training: the first lets the step finish, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether someone asked the run to stop."""

    def __init__(self) -> None:
        self.is_made = False


@contextmanager
def stop_on_signal(on_request: Callable[[], None]) -> Generator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second raises KeyboardInterrupt as usual.

    Outside the main thread, where signals can't be handled, nothing is ever requested.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.is_made:
            raise KeyboardInterrupt
        request.is_made = True
        # In a thread of its own: the signal may have come in the middle of a write to the same stream.
        threading.Thread(target=on_request, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
