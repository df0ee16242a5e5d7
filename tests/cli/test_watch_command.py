import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from builders import present
from medical_team.cli.main import main
from report_runs import a_run, a_step


def test_watch_serves_the_run_until_ctrl_c(tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [a_step(0)])
    process = subprocess.Popen(
        [sys.executable, "-m", "medical_team", "watch", str(path), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told = present(process.stdout).readline()
        address = present(re.search(r"run is on show at (http://127\.0\.0\.1:\d+) ", told))[1]
        with urllib.request.urlopen(address) as answer:
            assert b'"live":true' in answer.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    finally:
        process.kill()

    assert errors == ""
    assert process.returncode == 0


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_port_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: str) -> None:
    path = a_run(tmp_path / "run", [])

    assert main(["watch", str(path), "--port", port]) == 2
    assert f"--port {port} can't be had" in capsys.readouterr().err
