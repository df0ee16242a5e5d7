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

    So do SIGHUP, as a terminal sends it that is closed, and those by which schedulers warn before they kill: SIGUSR1
    (Slurm, as people set it), SIGUSR2 (Grid Engine) and SIGXCPU (where processor time is limited), unless they are
    ignored (``nohup``) or somebody else handles them. Of each only the first counts: a closed terminal's shell sends
    another one, and a scheduler warns every process of a job, which is nobody's impatience.

    Outside the main thread, where signals can't be handled, they keep their meaning.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: set[int] = set()

    def handle_once(number: int, frame: FrameType | None) -> None:
        if number not in seen:
            seen.add(number)
            handle(number, frame)

    handlers = {signal.SIGINT: handle, signal.SIGTERM: handle}
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
        if signal.getsignal(number) == signal.SIG_DFL:
            handlers[number] = handle_once
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
