"""A process that is followed: its output is shown and kept, Ctrl-C asks it to stop before it is killed, and what
outlives it is found. An engine is started here, with a Ray of its own, or as a job of a running Ray."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from ..callbacks import Notify, stop_signals
from ..engine_config import EngineConfig
from ..errors import EngineError
from ..files import cannot_write
from ..terminal_text import encodable, visible
from .command import RUN_VARIABLE, EngineCommand, EngineFiles

WAITED_SECONDS = 20.0
_TICK_SECONDS = 0.2
_PROCESSES = Path("/proc")


def processes_of(run: Path) -> list[int]:
    """The processes of this machine that were started for ``run``; none where the system doesn't tell (not Linux)."""
    mark = f"{RUN_VARIABLE}={run}".encode()
    found: list[int] = []
    for folder in _PROCESSES.glob("[0-9]*"):
        # Other users' processes can't be read, and processes end while they are looked at.
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)


def wait_for_leftovers(
    run: Path, notify: Notify, seconds: float = WAITED_SECONDS, find: Callable[[Path], list[int]] = processes_of
) -> None:
    """Wait until no process of ``run`` is left, at most so many ``seconds``; then say which still are there."""
    due = time.monotonic() + seconds
    while left := find(run):
        if time.monotonic() >= due:
            numbers = " ".join(map(str, left))
            notify(
                f"warning: the engine has ended, but processes of it still run and may hold a GPU: {numbers}. "
                f"They mostly end by themselves; before another start, look with `ps {numbers}`, and end them with "
                f"`kill {numbers}`"
            )
            return
        time.sleep(_TICK_SECONDS)


STOP_NOTICE = "Asking the engine to stop. Once more to kill it."
KILL_NOTICE = "Killing the engine."

_POLL_SECONDS = 0.1
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

    with stop_signals(handle):
        yield requests


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
        time.sleep(_POLL_SECONDS)


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


# `ray job submit` puts quotes around words with white space alone, and a shell reads the result.
_BARE_WORD = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_QUOTED_WORD = re.compile(r"[^$`\\!\n]*")

_PYTHON_PATH = "PYTHONPATH"


def direct_submission(command: EngineCommand, python: str, files: EngineFiles) -> Submission:
    """``command`` as a process of this machine, which starts a Ray of its own and ends it."""
    environment = {
        **_with_python_path(command, os.environ.get(_PYTHON_PATH)),
        # Else the fork looks for a cluster that somebody started, and upstream joins one that it finds.
        "RAY_ADDRESS": "local",
        "PYTHONUNBUFFERED": "1",
    }
    return Submission(tuple(command.words(python)), environment, files.job)


def ray_job_submission(
    command: EngineCommand, python: str, files: EngineFiles, config: EngineConfig, name: str
) -> Submission:
    """``command`` as a job of the Ray cluster at ``engine.ray_address``.

    The cluster's machines must have the engine's Python at the same path, and see the run folder. Of the environment,
    only what ``command`` names is sent along: workers inherit the rest from the ``ray start`` of their machine.

    Args:
        command: what runs there.
        python: the engine's Python.
        files: where the engine reads and writes.
        config: the cluster's address.
        name: under which the job is submitted; it stops by it.
    """
    ray = ray_program(python)
    address = ("--address", config.ray_address)
    runtime_environment = {"env_vars": {**_with_python_path(command, None), "PYTHONUNBUFFERED": "1"}}
    words = (
        ray, "job", "submit", *address,
        "--submission-id", name,
        "--working-dir", str(files.job),
        "--runtime-env-json", json.dumps(runtime_environment),
        "--", *command.words(python),
    )  # fmt: skip
    return Submission(
        words, {}, files.job, (ray, "job", "stop", *address, name), (ray, "job", "status", *address, name)
    )


def ray_program(python: str) -> str:
    """The program ``ray`` of the engine's environment, or else whichever the PATH has."""
    beside = Path(python).with_name("ray")
    return str(beside) if beside.is_file() else "ray"


def missing_program(submission: Submission, python: str) -> str | None:
    """What a submission needs and is not there; None if all is."""
    if shutil.which(submission.words[0]) is not None:
        return None
    return (
        f"there is no program {submission.words[0]}, beside {python} or on the PATH: install the engine there, or set "
        "engine.submission to direct"
    )


def job_word_problems(words: Sequence[str]) -> Iterator[str]:
    """Words of a command that `ray job submit` would hand to the cluster's shell in another form."""
    for word in words:
        is_safe = _QUOTED_WORD.fullmatch(word) if re.search(r"[ \t]", word) else _BARE_WORD.fullmatch(word)
        if not is_safe:
            yield (
                f"{word!r} can't be passed on by `ray job submit`, which a shell reads: use only letters, digits and "
                "@%+=:,./- in paths, or set engine.submission to direct"
            )


def _with_python_path(command: EngineCommand, inherited: str | None) -> dict[str, str]:
    """The environment of ``command``; a folder that it puts on the engine's path comes before what is there."""
    own = command.environment.get(_PYTHON_PATH)
    if own is None or not inherited:
        return dict(command.environment)
    return {**command.environment, _PYTHON_PATH: os.pathsep.join([own, inherited])}
