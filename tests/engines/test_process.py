from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medical_team.engines.command import RUN_VARIABLE
from medical_team.engines.process import Submission, advice_for, follow, processes_of, wait_for_leftovers
from medical_team.errors import EngineError
from needs import LINUX


def python(code: str, folder: Path) -> Submission:
    return Submission((sys.executable, "-u", "-c", code), {"GREETING": "hello"}, folder)


def followed(code: str, folder: Path) -> tuple[int, str, bytes]:
    """The exit status, what was shown, and what was kept."""
    stream = io.StringIO()
    ending = follow(python(code, folder), folder / "log.txt", stream, lambda _: None)
    return ending.status, stream.getvalue(), (folder / "log.txt").read_bytes()


def test_a_process_gets_its_environment_and_folder_and_its_status_is_told(tmp_path: Path) -> None:
    status, shown, kept = followed("import os; print(os.environ['GREETING'], os.getcwd()); exit(7)", tmp_path)

    assert (status, shown) == (7, f"hello {tmp_path}\n")
    assert kept.decode() == shown


def test_both_streams_are_followed_and_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.buffer.write(b'caf\\xc3\\xa9 \\xff\\n'); sys.stderr.write('wrong\\n')"

    _, shown, kept = followed(code, tmp_path)

    assert shown == "café \ufffd\nwrong\n"
    assert kept == b"caf\xc3\xa9 \xff\nwrong\n"


def test_progress_bars_are_kept_but_fill_no_page(tmp_path: Path) -> None:
    _, shown, kept = followed("import sys; sys.stdout.write('10%\\r20%\\rdone\\r\\nend')", tmp_path)

    assert shown == "done\nend\n"
    assert kept == b"10%\r20%\rdone\r\nend"


def test_a_later_launch_adds_to_the_log(tmp_path: Path) -> None:
    followed("print('first')", tmp_path)

    assert followed("print('second')", tmp_path)[2] == b"first\nsecond\n"


def test_what_was_left_behind_with_the_output_open_does_not_hold_us(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '30']); print('gone')"

    status, shown, _ = followed(code, tmp_path)

    assert (status, shown) == (0, "gone\n")


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="/nowhere/engine can't be started"):
        follow(Submission(("/nowhere/engine",), {}, tmp_path), tmp_path / "log.txt", io.StringIO(), lambda _: None)


def test_a_process_is_not_left_running_when_following_it_fails(tmp_path: Path) -> None:
    def failing() -> None:
        raise RuntimeError("a bug of ours")

    code = """
import pathlib, time
try:
    pathlib.Path("started").touch()
    time.sleep(600)
finally:
    pathlib.Path("stopped").touch()
"""
    with pytest.raises(RuntimeError, match="a bug of ours"):
        follow(
            python(code, tmp_path), tmp_path / "log.txt", io.StringIO(), lambda _: None,
            on_progress=lambda: failing() if (tmp_path / "started").exists() else None, progress_seconds=0,
        )  # fmt: skip

    while not (tmp_path / "stopped").exists():
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason=LINUX.reason())
def test_a_process_is_known_by_its_run(tmp_path: Path) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", "import sys; print('here', flush=True); sys.stdin.read()"],
        env={**os.environ, RUN_VARIABLE: str(tmp_path / "run")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert waiting.stdout is not None
    waiting.stdout.readline()

    assert processes_of(tmp_path / "run") == [waiting.pid]
    assert processes_of(tmp_path / "ru") == []
    waiting.communicate()
    assert processes_of(tmp_path / "run") == []


def test_what_ends_by_itself_is_waited_for_in_silence(tmp_path: Path) -> None:
    said: list[str] = []
    found = iter([[17, 18], [18], []])

    wait_for_leftovers(tmp_path, said.append, find=lambda run: next(found))

    assert said == []


def test_what_stays_is_told_with_the_way_to_end_it(tmp_path: Path) -> None:
    said: list[str] = []

    wait_for_leftovers(tmp_path, said.append, seconds=0, find=lambda run: [17, 18])

    assert "still run" in said[0]
    assert "`kill 17 18`" in said[0]


# What the last words of an engine are known to mean.


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.", "a vLLM rollout engine died"),
        ("EngineError: a game and the 8 played in its place left nothing to learn from", "warm-start a policy"),
        ("RuntimeError: pidfd_getfd: Operation not permitted", "sysctl kernel.yama.ptrace_scope=0"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "a GPU ran out of memory"),
        ("ray.exceptions.OutOfMemoryError: 1 worker(s) were killed due to the node running low on memory", "Ray ended"),
        ("OSError: [Errno 28] No space left on device", "a disk is full"),
    ],
)
def test_known_words_have_advice(words: str, advice: str, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text(f"step 3\n{words}\n", encoding="utf-8")

    [told] = advice_for(log)

    assert advice in told
    assert "gloo" not in told


def test_unknown_words_and_no_log_have_none(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("all is well", encoding="utf-8")

    assert advice_for(log) == advice_for(tmp_path / "none.log") == []
