"""``medical-team train --plan``: what it prints, that it starts nothing and loads no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medical_team.cli.main import main


def test_the_plan_is_printed_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    status = main(["train", "--preset", "gpu-80gb", "--plan"])

    printed = capsys.readouterr().out
    assert status == 0
    assert "200 steps x 64 games = 12,800 games" in printed
    assert "judge (vLLM)" in printed
    assert "of 80.0 GiB" in printed
    assert "fits, the threshold is 80%" in printed
    assert "Measured: nothing: the engine openrlhf has processes of its own" in printed
    assert "Time: not measured" in printed
    assert list(tmp_path.iterdir()) == []


def test_no_torch_is_loaded() -> None:
    program = (
        "import sys; from medical_team.cli.main import main; main(['train', '--preset', 'checklist', '--plan']);"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert finished.returncode == 0, finished.stderr.decode()


def test_a_step_is_measured_where_the_run_would_be_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--preset", "smoke", "--plan"]) == 0

    printed = capsys.readouterr()
    assert "Measuring a step" in printed.err
    assert "Measured on this machine, with 4 games of the longest notes and their update:" in printed.out


def test_a_plan_without_a_probe_only_reckons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--preset", "smoke", "--plan-without-probe"]) == 0

    printed = capsys.readouterr()
    assert printed.err == ""
    assert "Measured: nothing: --plan-without-probe" in printed.out


def test_json_holds_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--preset", "gpu-24gb", "--plan-json"]) == 0

    plan = json.loads(capsys.readouterr().out)
    memory = plan["memory"]
    assert plan["parameters"] == 1_543_714_304
    assert memory["peak_bytes"] == max(memory["bytes_by_phase"].values())
    assert memory["sum_bytes"] == sum(part["bytes"] for part in memory["parts"])
    assert memory["fits"] is True
    assert plan["work"]["games"] == 6400


def test_options_count_and_what_does_not_fit_says_what_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["train", "--preset", "gpu-24gb", "--plan", "--policy.model", "Qwen/Qwen2.5-3B-Instruct"])

    printed = capsys.readouterr().out
    assert status == 0
    assert "DOES NOT FIT" in printed
    assert "To make it fit: lower engine.micro_rollout_batch_size (2)" in printed


def test_contradictions_of_the_engine_are_told_with_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--preset", "gpu-80gb", "--plan", "--policy.adaptation", "lora"])

    assert "policy.adaptation is lora" in capsys.readouterr().out


def test_an_unknown_model_still_gets_a_plan(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    assert main(["train", "--plan", "--policy.model", "owner/unheard-of"]) == 0

    printed = capsys.readouterr().out
    assert "Memory: not planned: the shape of owner/unheard-of is not known" in printed
    assert "1,600 games" in printed


def test_a_warm_start_has_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["warmstart", "--plan"])

    assert stopped.value.code == 2
