"""``medical-team judge serve`` as a process: how it begins, how it ends, what it says when it can't begin."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from hub_server import hub_server
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE
from serving import judged

from builders import a_record
from medical_team.cli.main import main
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType
from needs import MACHINE_WITHOUT_GPU
from tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("references") / "train.jsonl"
    record = a_record(DataType.VANILLA_HARMFUL)
    fields = {name: value for name, value in vars(CASE).items() if name in vars(record)}
    write_jsonl(path, [a_record(DataType.VANILLA_HARMFUL, **fields, note=ERROR_NOTE)])
    return path


@contextlib.contextmanager
def serve(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> Generator[tuple[subprocess.Popen[str], str]]:
    """The running command and its address, once it is ready."""
    command = [sys.executable, "-m", "medical_team", "judge", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    ) as process:
        assert process.stdout is not None
        line = ""
        while "is ready at" not in line:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
        try:
            yield process, line.split()[-1]
        finally:
            process.kill()


@pytest.mark.slow
def test_the_reference_judge_needs_no_model_and_sigterm_answers_what_was_accepted(references: Path) -> None:
    # All but a few of the games wait when the signal comes.
    waiting = [f"{ERROR_NOTE} {number}" for number in range(4000)]
    with serve("--judge", "reference", "--references", str(references), "--batch-size", "8") as (process, url):
        answers: list[list[dict[str, Any]]] = []
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            assert client.get("/health").json() == {"status": "healthy", "model": "reference"}
            asking = threading.Thread(
                target=lambda: answers.append(judged(client, ERROR_NOTE, CORRECTED_NOTE, *waiting))
            )
            asking.start()
            while httpx.get(f"{url}/info", trust_env=False).json()["waiting"] < 3000:
                pass
            process.send_signal(signal.SIGTERM)
            asking.join()
        output, errors = process.communicate()

    assert [label["error_present"] for label in answers[0][:2]] == [True, False]
    assert len(answers[0]) == 4002
    assert process.returncode == 0
    assert "has ended" in output
    assert errors == ""


@pytest.mark.slow
def test_the_token_comes_from_the_environment_and_is_said_nowhere(references: Path) -> None:
    environment = {"JUDGE_SECRET": "open-sesame"}
    arguments = ("--judge", "reference", "--references", str(references), "--judge.token_variable", "JUDGE_SECRET")
    with serve(*arguments, environment=environment) as (process, url):
        refused = httpx.post(f"{url}/judge", json={"queries": []}, trust_env=False)
        headers = {"Authorization": "Bearer open-sesame"}
        taken = httpx.post(f"{url}/judge", json={"queries": []}, headers=headers, trust_env=False)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()

    assert (refused.status_code, taken.status_code) == (401, 200)
    assert process.returncode == 0
    assert "open-sesame" not in output + errors


def test_a_taken_port_is_found_out_before_anything_loads(capsys: pytest.CaptureFixture[str], references: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert main(["judge", "serve", "--model", "nobody/no-model", "--port", port]) == 2

    captured = capsys.readouterr()
    assert f"port {port}: Address already in use" in captured.err
    assert "Loading" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--judge", "reference", "--model", "some/model"], "needs no model"),
        (["--judge", "reference", "--references", "nowhere.jsonl"], "nowhere.jsonl can't be read"),
        (["--judge", "reference", "--port", "70000"], "expected 0 to 65535"),
        (["--judge", "reference", "--batch-size", "0"], "batch_size is 0, expected at least 1"),
        (["--judge", "reference", "--drain-seconds", "inf"], "drain_seconds is inf, expected a finite number"),
        (["--judge", "reference", "--host", "192.0.2.1", "--port", "0"], "Cannot assign requested address"),
        (["--judge", "openai"], "judge.url is not set"),
    ],
)
def test_what_cannot_be_served_is_one_message(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["judge", "serve", *arguments]) == 2

    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_the_service_with_one_message(tmp_path: Path) -> None:
    command = ["judge", "serve", "--model", str(tmp_path / "no model"), "--port", "0"]

    ended = subprocess.run([sys.executable, "-m", "medical_team", *command], capture_output=True, text=True)

    assert ended.returncode == 2
    assert "no model" in ended.stderr
    assert "Answering what was accepted" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_gated_model_says_how_to_log_in(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "owner" / "gated")
    command = ["judge", "serve", "--model", "owner/gated", "--device", "cpu", "--port", "0"]
    with hub_server(tmp_path, gated=frozenset({"owner/gated"})) as url:
        environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "cache")}
        ended = subprocess.run(
            [sys.executable, "-m", "medical_team", *command], env=environment, capture_output=True, text=True
        )

    assert ended.returncode == 2
    assert "accept its terms" in ended.stderr
    assert "hf auth login" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason=MACHINE_WITHOUT_GPU.reason())
def test_no_gpu_is_told_with_the_option_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "serve", "--model", "tiny-random", "--device", "cuda", "--port", "0"]) == 2

    assert "judge.device is cuda" in capsys.readouterr().err


def test_the_script_is_the_command(repository: Path) -> None:
    script = repository / "scripts" / "serve_medical_judge.py"

    ended = subprocess.run([sys.executable, script, "--judge", "openai"], capture_output=True, text=True)

    assert ended.returncode == 2
    assert "judge.url is not set" in ended.stderr
