"""A process that is followed: its output is shown and kept, and Ctrl-C asks it to stop before it is killed."""

from __future__ import annotations

import codecs
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from ..callbacks import Notify
from ..errors import EngineError
from ..files import cannot_write
from ..terminal_text import encodable, visible

STOP_NOTICE = "Asking the engine to stop. Once more to kill it."
KILL_NOTICE = "Killing the engine."

_TICK_SECONDS = 0.1
_READ_BYTES = 64 * 1024
# Whatever the process left behind may hold its output open; what it said is shown all the same.
_LAST_WORDS_SECONDS = 5.0
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_LINE_ENDS = re.compile(r"\r\n|\n|\r(?!\n)")


@dataclass(frozen=True)
class Submission:
    """How an engine is started and stopped from here."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    """Variables on top of our own."""
    folder: Path
    """Its working folder."""
    stop_words: tuple[str, ...] = ()
    """A command that asks it to stop; empty: a process of this machine, which is sent an interrupt."""
    status_words: tuple[str, ...] = ()
    """A command that says whether it still runs, for one that runs elsewhere and outlives its follower."""


@dataclass(frozen=True)
class Ending:
    """How a followed process ended."""

    status: int
    """Its exit status; negative: the signal that ended it."""
    is_stopped: bool
    """Whether somebody asked it to stop."""


def follow(
    submission: Submission,
    log: Path,
    stream: IO[str],
    notify: Notify,
    on_progress: Callable[[], None] = lambda: None,
    progress_seconds: float = 15.0,
) -> Ending:
    """Start ``submission`` and follow it to its end.

    Args:
        submission: what to start.
        log: a file to which all its output is appended, as it came.
        stream: where the output is shown, without anything in it that drives a terminal.
        notify: told about stopping and killing.
        on_progress: called about every ``progress_seconds`` while it runs.
        progress_seconds: see ``on_progress``.

    Raises:
        EngineError: it can't be started.
        OutputError: the log can't be written.
    """
    try:
        log_file = log.open("ab")
    except OSError as error:
        raise cannot_write(log, error) from error
    with log_file, _stop_requests() as requests:
        process = _start(submission)
        reader = threading.Thread(target=_copy_output, args=(process, log_file, stream), daemon=True)
        reader.start()
        try:
            _watch(process, submission, requests, notify, on_progress, progress_seconds)
        except BaseException:
            # Nobody would follow it any more, and its GPUs would stay taken.
            _stop(process, submission, is_kill=False)
            raise
        reader.join(_LAST_WORDS_SECONDS)
        return Ending(process.returncode, requests.count > 0)


class _StopRequests:
    """How often somebody asked to stop."""

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def _stop_requests() -> Generator[_StopRequests]:
    requests = _StopRequests()

    def handle(number: int, frame: FrameType | None) -> None:
        requests.count += 1

    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _start(submission: Submission) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            submission.words,
            env={**os.environ, **submission.environment},
            cwd=submission.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in our terminal is ours to pass on.
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"{submission.words[0]} can't be started: {error.strerror or error}") from error


def _watch(
    process: subprocess.Popen[bytes],
    submission: Submission,
    requests: _StopRequests,
    notify: Notify,
    on_progress: Callable[[], None],
    progress_seconds: float,
) -> None:
    handled = 0
    due = time.monotonic() + progress_seconds
    while process.poll() is None:
        if requests.count > handled:
            handled += 1
            notify(STOP_NOTICE if handled == 1 else KILL_NOTICE)
            _stop(process, submission, is_kill=handled > 1)
        if time.monotonic() >= due:
            on_progress()
            due = time.monotonic() + progress_seconds
        time.sleep(_TICK_SECONDS)


def _stop(process: subprocess.Popen[bytes], submission: Submission, *, is_kill: bool) -> None:
    if submission.stop_words:
        # It runs in the background: a cluster may take a while to answer, and a second Ctrl-C must still be heard.
        _run_quietly(submission.stop_words)
    if submission.stop_words and not is_kill:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL if is_kill else signal.SIGINT)
    except ProcessLookupError:
        return


def _run_quietly(words: Sequence[str]) -> None:
    def run() -> None:
        try:
            subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError:
            return

    threading.Thread(target=run, daemon=True).start()


def _copy_output(process: subprocess.Popen[bytes], log: IO[bytes], stream: IO[str]) -> None:
    if process.stdout is None:
        return
    shown = _ShownText(stream)
    while chunk := os.read(process.stdout.fileno(), _READ_BYTES):
        if not log.closed:
            log.write(chunk)
            log.flush()
        shown.add(chunk)
    shown.end()


class _ShownText:
    """Shows text of which nothing can drive a terminal. Progress bars are shown over themselves, or not at all."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._is_terminal = stream.isatty()

    def add(self, chunk: bytes) -> None:
        text = self._rest + self._decoder.decode(chunk)
        start = 0
        for match in _LINE_ENDS.finditer(text):
            if match[0] == "\r" and match.end() == len(text):
                # A newline may follow in the next piece.
                break
            self._show(text[start : match.start()], is_whole=match[0] != "\r")
            start = match.end()
        self._rest = text[start:]

    def end(self) -> None:
        if self._rest:
            self._show(self._rest.rstrip("\r"), is_whole=True)

    def _show(self, line: str, *, is_whole: bool) -> None:
        safe = encodable(visible(_COLOURS.sub("", line)), self._stream)
        try:
            if is_whole:
                self._stream.write(f"{safe}\n")
            elif self._is_terminal and safe.strip():
                self._stream.write(f"{safe}\r")
            self._stream.flush()
        except (OSError, ValueError):
            # Whoever read our output has gone; the engine goes on, and its log is kept.
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
