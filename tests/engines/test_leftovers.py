"""Processes that outlive an engine."""

import os
import subprocess
import sys

import pytest

from medical_team.engines.command import RUN_VARIABLE
from medical_team.engines.leftovers import processes_of, wait_for_leftovers
from needs import LINUX


@pytest.mark.skipif(sys.platform != "linux", reason=LINUX.reason())
def test_a_process_is_known_by_its_run(tmp_path):
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


def test_what_ends_by_itself_is_waited_for_in_silence(tmp_path):
    said: list[str] = []
    found = iter([[17, 18], [18], []])

    wait_for_leftovers(tmp_path, said.append, find=lambda run: next(found))

    assert said == []


def test_what_stays_is_told_with_the_way_to_end_it(tmp_path):
    said: list[str] = []

    wait_for_leftovers(tmp_path, said.append, seconds=0, find=lambda run: [17, 18])

    assert "still run" in said[0]
    assert "`kill 17 18`" in said[0]
