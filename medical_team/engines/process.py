"""A process that is followed: its output is shown and kept, Ctrl-C asks it to stop before it is killed, and what
outlives it is found. An engine is started here, with a Ray of its own, or as a job of a running Ray; what to do about
its failures is said where they are common enough to be known by their words."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..callbacks import Notify, stop_signals
from ..config import EngineConfig
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
# Whatever the process left behind may hold its output open; what it said is shown all the same.
_LAST_WORDS_SECONDS = 5.0
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


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
    requests: list[int] = []
    with log_file, stop_signals(lambda number, frame: requests.append(number)):
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
        return Ending(process.returncode, is_stopped=bool(requests))


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
    requests: Sequence[int],
    notify: Notify,
    on_progress: Callable[[], None],
    progress_seconds: float,
) -> None:
    handled = 0
    due = time.monotonic() + progress_seconds
    while process.poll() is None:
        if len(requests) > handled:
            handled += 1
            notify(STOP_NOTICE if handled == 1 else KILL_NOTICE)
            _stop(process, submission, is_kill=handled > 1)
        if time.monotonic() >= due:
            on_progress()
            due = time.monotonic() + progress_seconds
        time.sleep(_POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes], submission: Submission, *, is_kill: bool) -> None:
    if submission.stop_words:
        # Not waited for: a cluster may take a while to answer, and a second Ctrl-C must still be heard.
        with contextlib.suppress(OSError):
            nowhere = subprocess.DEVNULL
            subprocess.Popen(submission.stop_words, stdin=nowhere, stdout=nowhere, stderr=nowhere)
    if submission.stop_words and not is_kill:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL if is_kill else signal.SIGINT)


def _copy_output(process: subprocess.Popen[bytes], log: IO[bytes], stream: IO[str]) -> None:
    if process.stdout is None:
        return
    # Lines end where they do in the output, whose bytes reach the log as they are, also those that are no text.
    for line in io.TextIOWrapper(process.stdout, "utf-8", "surrogateescape", newline=""):
        content = line.encode("utf-8", "surrogateescape")
        if not log.closed:
            log.write(content)
            log.flush()
        # Whoever read our output may have gone; the engine goes on.
        with contextlib.suppress(OSError, ValueError):
            _show(content.decode("utf-8", "replace"), stream)


def _show(line: str, stream: IO[str]) -> None:
    """Show ``line``, of which nothing can drive a terminal. Progress bars are shown over themselves, or not at all."""
    text = encodable(visible(_COLOURS.sub("", line.rstrip("\r\n"))), stream)
    if not line.endswith("\r"):
        stream.write(f"{text}\n")
    elif stream.isatty() and text.strip():
        stream.write(f"{text}\r")
    stream.flush()


# `ray job submit` puts quotes around words with white space alone, and a shell reads the result.
_BARE_WORD = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_QUOTED_WORD = re.compile(r"[^$`\\!\n]*")

_PYTHON_PATH = "PYTHONPATH"


def direct_submission(command: EngineCommand, python: str, files: EngineFiles) -> Submission:
    """``command`` as a process of this machine, which starts a Ray of its own and ends it."""
    environment = {
        **command.environment,
        # Else the fork looks for a cluster that somebody started, and upstream joins one that it finds.
        "RAY_ADDRESS": "local",
        "PYTHONUNBUFFERED": "1",
    }
    if _PYTHON_PATH in environment and (inherited := os.environ.get(_PYTHON_PATH)):
        environment[_PYTHON_PATH] = os.pathsep.join([environment[_PYTHON_PATH], inherited])
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
    runtime_environment = {"env_vars": {**command.environment, "PYTHONUNBUFFERED": "1"}}
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


_LAST_BYTES = 256 * 1024

_KNOWN = (
    (
        r"left nothing to learn from",
        "one game after the other left nothing to learn from; the EngineError in the log says why the last one did: "
        "see to the judge if it failed, or warm-start a policy that can't play yet",
    ),
    (
        r"EngineDeadError|Engine core proc .* died|EngineCore (?:failed|encountered a fatal error)",
        "a vLLM rollout engine died, and every game after it was void: what it said before is further up in the log; "
        "if it was killed for memory, lower engine.vllm_memory_fraction or engine.micro_rollout_batch_size",
    ),
    (
        r"node running low on memory",
        "this machine's own memory ran out, and Ray ended a process: end what else runs here, or take a smaller model, "
        "fewer engine.vllm_engines, or a machine with more memory",
    ),
    (
        r"CUDA out of memory|(?<!ray\.exceptions\.)OutOfMemoryError|No available memory for the cache blocks",
        "a GPU ran out of memory: lower engine.micro_rollout_batch_size (2), then engine.vllm_memory_fraction (0.5), "
        "or take a smaller model; `medical-team train --plan` shows the memory by part",
    ),
    (
        r"pidfd_getfd: Operation not permitted",
        "the kernel keeps the models on one GPU from sharing weights: run `sysctl kernel.yama.ptrace_scope=0` as root "
        "on each machine",
    ),
    (
        r"No module named '?red_team|cannot import name '\w+' from 'red_team",
        "the fork's red_team is missing or not this package: in the fork's checkout run `rm -rf red_team`, then "
        "`cp -r` this package there as red_team, and name the checkout with --engine.fork",
    ),
    (
        r"gated repo|401 Client Error|Access to model .* is restricted",
        "a model is gated: accept its licence on the hub, and set HF_TOKEN where the engine runs (for a Ray cluster, "
        "before `ray start`)",
    ),
    (
        r"(?:Could not find|find) any running Ray instance|Failed to connect to Ray|ConnectionError: ray",
        "no Ray cluster answered: start one with `ray start --head` in the engine's environment, or set "
        "engine.submission to direct",
    ),
    (
        r"flash_attn|FlashAttention2 has been toggled on, but it cannot be used",
        "flash-attn doesn't work there: install it for that torch and CUDA, or set engine.attention to sdpa and "
        "engine.packing to false (only upstream OpenRLHF)",
    ),
    (
        r"Failed to request RM|remote_rm|judge .*doesn't answer",
        "the judge didn't answer: see whether its service runs (curl URL/health), and start it again",
    ),
    (
        r"No space left on device",
        "a disk is full: free space there, or lower checkpoints.keep_last and raise checkpoints.save_every",
    ),
)


def advice_for(log: Path) -> list[str]:
    """What the last words in an engine's ``log`` are known to mean; empty where nothing is recognised."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [advice for pattern, advice in _KNOWN if re.search(pattern, text)]
