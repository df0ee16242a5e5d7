"""The command as it is typed; every check but those of torch really runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from doctor_cases import fake_torch
from medical_team.cli.main import main
from medical_team.doctor import models
from medical_team.doctor.examination import GROUPS
from medical_team.doctor.subject import Ended
from stand_ins import always

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWx"
READY = ["--policy.model", "demo"]


@pytest.fixture(autouse=True)
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, an empty home, a terminal of 80 columns, and a torch that is imported at once."""
    monkeypatch.chdir(tmp_path)
    # That torch loads no model.
    found = Ended(0, '{"problem": "", "sampler": 0.0}', "")
    monkeypatch.setattr(models, "run_command", always(found))
    site = fake_torch(tmp_path.parent / "site", version="2.13.0+cpu", cuda=None, gpus=0)
    for name, value in {
        "HOME": str(tmp_path.parent / "home"),
        "XDG_CACHE_HOME": str(tmp_path.parent / "home" / "cache"),
        "COLUMNS": "80",
        "HF_TOKEN": TOKEN,
        "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }.items():
        monkeypatch.setenv(name, value)


def test_a_machine_that_is_ready_gives_0_and_a_table_of_80_columns_on_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", always(True))
    monkeypatch.setenv("TERM", "dumb")
    assert main(["doctor", *READY]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith(
        "Engine local, policy demo, data sample, judge reference.\n\nSoftware\n  ✓ ok      libraries: Python "
    )
    assert printed.endswith("Ready.\n")
    # A path is never broken: it is there to be copied.
    assert all(len(line) <= 80 or str(tmp_path.parent) in line for line in printed.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_what_fails_gives_1_and_the_command_that_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *READY, "--data.train", "data/train.jsonl"]) == 1

    printed = capsys.readouterr().out
    assert "  ✗ failed  data: data/train.jsonl can't be read:" in printed
    assert "-> medical-team data build MEDEC.csv -o data\n" in printed
    assert printed.endswith("Not ready: mend data.\n")


def test_the_findings_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *READY, "--data.train", "data/train.jsonl", "--json"]) == 1

    page = json.loads(capsys.readouterr().out)
    names = [finding["name"] for finding in page["findings"]]
    assert set(page) == {"format", "version", "engine", "is_ready", "counts", "findings"}
    assert (page["format"], page["engine"], page["is_ready"]) == ("medical-team doctor 1", "local", False)
    assert names == [check.name for group in GROUPS for check in group.checks]
    assert len(set(names)) == len(names)
    assert sum(page["counts"].values()) == len(names)
    for finding in page["findings"]:
        assert set(finding) == {"group", "name", "status", "found", "mend", "seconds"}
        assert finding["mend"] or finding["status"] in ("ok", "warning", "skipped")


def test_a_run_s_file_a_preset_and_options_are_taken_as_train_takes_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text('[policy]\nmodel = "tiny-random"\n[judge]\nkind = "model"\n')

    main(["doctor", "run.toml", "--judge", "http://127.0.0.1:1"])
    assert "policy tiny-random, data sample, judge remote at http://127.0.0.1:1." in capsys.readouterr().out.replace(
        "\n", " "
    )
    main(["doctor", "--preset", "demo", "--data.train", "nowhere.jsonl"])
    assert capsys.readouterr().out.startswith("Engine local, policy demo, data nowhere.jsonl, judge reference.")


@pytest.mark.parametrize(
    "arguments", [["no-such.toml"], ["--preset", "no-such"], ["--training.steps", "none"], ["--no-such-option"]]
)
def test_a_mistake_in_what_was_typed_gives_2(arguments: list[str]) -> None:
    try:
        status = main(["doctor", *arguments])
    except SystemExit as end:
        status = end.code
    assert status == 2


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_output_shows_a_token(
    capsys: pytest.CaptureFixture[str], form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDICAL_TEAM_JUDGE_TOKEN", "secret-of-the-judge")
    main(["doctor", *form, "--policy.model", f"someone/{TOKEN}", "--judge", "http://127.0.0.1:1"])

    printed = capsys.readouterr()
    assert "(hidden)" in printed.out
    assert TOKEN not in printed.out + printed.err
    assert "secret-of-the-judge" not in printed.out + printed.err


def test_the_core_dependencies_are_enough() -> None:
    program = """
import sys
class Absent:
    names = {"torch", "transformers", "peft", "huggingface_hub", "fastapi", "uvicorn", "tokenizers"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from medical_team.cli.main import main
from medical_team.doctor import models
from medical_team.doctor.subject import Ended
# The torch of this test loads no model.
models.run_command = lambda *_, **__: Ended(0, '{"problem": "", "sampler": 0.0}', "")
sys.exit(main(["doctor", "--policy.model", "demo"]))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
