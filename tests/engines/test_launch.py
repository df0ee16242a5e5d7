"""Launching an engine: a real process that behaves as OpenRLHF would, followed to its end, and what is brought home."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from serving import serving

import fake_engine
import medical_team
from builders import a_pair
from medical_team.cli.main import main
from medical_team.data.load import load_records
from medical_team.jsonl import write_jsonl
from medical_team.judging import reference_judge
from medical_team.records import DataType, TrainingRecord
from medical_team.runs.folder import RunFolder
from openai_server import a_completion, openai_server

PACKAGE = Path(medical_team.__file__).parent
SETTINGS = [
    "--policy.model", "some/model", "--policy.adaptation", "full",
    "--training.steps", "3", "--training.games_per_step", "4", "--checkpoints.save_every", "1",
]  # fmt: skip


WITHOUT_TORCH = """
import sys
class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "peft", "safetensors", "tokenizers"):
            raise ModuleNotFoundError(f"{name} was imported", name=name)
sys.meta_path.insert(0, Refusal())
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake engine, where our own Python finds it before the installed one."""
    folder = fake_engine.install(tmp_path / "engine")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delenv("FAKE_ENGINE", raising=False)
    return folder


def launched(run: Path, *more: str, engine: str = "openrlhf") -> int:
    return main(["train", "--engine", engine, "--run", str(run), *SETTINGS, *more])


def test_a_run_on_an_engine_ends_as_one_of_our_own(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"

    assert launched(path) == 0

    run = RunFolder.open(path)
    assert [game.spec.step for game in run.games()] == [0] * 4 + [1] * 4 + [2] * 4
    assert [metrics.step for metrics in run.metrics()] == [0, 1, 2]
    # The last two of three, as checkpoints.keep_last says; nothing is left twice.
    assert run.checkpoints.steps() == [2, 3]
    assert not list((path / "engine" / "checkpoints").iterdir())
    assert not (path / "engine" / "final").exists()
    for model in (run.final_path, run.checkpoints.path_of(3) / "policy"):
        assert {file.name for file in model.iterdir()} == {
            "README.md", "config.json", "model.safetensors", "tokenizer.json",
        }  # fmt: skip
    assert "3 steps of medical self-red-teaming" in (run.final_path / "README.md").read_text()
    assert run.info.versions["openrlhf"]
    out = capsys.readouterr()
    assert f"the trained model   {run.final_path}" in out.out
    assert "the engine's own parser takes the command" in out.err
    assert "the judge is right on 8 of 8 known notes" in out.err


def test_what_an_engine_says_is_kept_as_it_is_and_shown_without_its_tricks(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launched(tmp_path / "run")

    assert b"\x1b[36mGlobal step 1\x1b[0m \x1b]0;title\x07\n" in (tmp_path / "run/engine/log.txt").read_bytes()
    shown = capsys.readouterr().out
    assert "Global step 1 \\x1b]0;title\\x07\n" in shown
    assert "\x1b" not in shown


def test_the_command_that_ran_is_kept(engine: Path, tmp_path: Path) -> None:
    launched(tmp_path / "run")

    text = (tmp_path / "run/engine/command.txt").read_text()
    assert f"MEDICAL_TEAM_RUN={tmp_path / 'run'}" in text
    assert "RAY_ADDRESS=local" in text
    assert "--rollout.batch_size 4" in text


def test_games_and_whole_models_of_a_crash_are_saved_and_the_way_on_is_shown(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "crash")
    path = tmp_path / "run"

    assert launched(path) == 1

    run = RunFolder.open(path)
    assert len(list(run.games())) == 8
    assert run.checkpoints.steps() == [1, 2]
    assert not run.final_path.exists()
    told = capsys.readouterr().err
    assert "The engine ended with status 1" in told
    assert "8 games so far" in told
    assert "What to try: a GPU ran out of memory" in told
    assert f"--policy.model {path}/checkpoints/step-000002/policy" in told


def test_a_crash_before_the_first_checkpoint_begins_anew(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "crash")
    path = tmp_path / "run"

    assert launched(path, "--checkpoints.save_every", "100") == 1

    told = capsys.readouterr().err
    assert f"No checkpoint was saved yet. Start again with: medical-team train {path}/config.toml" in told
    assert "--resume" not in told


def test_half_a_model_is_never_taken_over(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "half")
    path = tmp_path / "run"

    assert launched(path) == 1

    assert RunFolder.open(path).checkpoints.steps() == [1]
    assert (path / "engine/checkpoints/global_step2_hf").is_dir()
    assert "global_step2_hf is left as it is: model.safetensors is cut off" in capsys.readouterr().err


def test_an_engine_that_ends_well_without_a_model_is_no_success(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "silent")

    assert launched(tmp_path / "run") == 1

    assert "without a model of its last step" in capsys.readouterr().err


def test_a_run_without_the_optimizers_state_is_not_resumed_but_its_model_is_named(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "crash")
    path = tmp_path / "run"
    launched(path)
    capsys.readouterr()

    assert main(["train", "--resume", str(path)]) == 2

    assert "saved nothing that" in (told := capsys.readouterr().err)
    assert "engine.save_optimizer" in told


def test_a_run_goes_on_from_the_engines_own_checkpoint(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "crash")
    path = tmp_path / "run"
    launched(path, "--engine.save_optimizer", "True")
    # What DeepSpeed leaves after one step; the games of the second are another history then.
    saved = path / "engine/checkpoints/_actor"
    (saved / "global_step1").mkdir(parents=True)
    (saved / "latest").write_text("global_step1")
    capsys.readouterr()

    assert main(["train", "--resume", str(path), "--dry-run"]) == 0

    command = capsys.readouterr().out
    assert "--ckpt.load_enable" in command
    assert "--ckpt.disable_ds" not in command
    assert len(list(RunFolder.open(path).games())) == 8, "a dry run changes nothing"


def test_a_dry_run_prints_a_command_for_a_shell_and_writes_nothing(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a run"

    assert launched(path, "--dry-run", "--data.train", "not/there.jsonl") == 0

    told = capsys.readouterr()
    assert not path.exists()
    assert "the engine's own parser takes the command" in told.err
    pasted = subprocess.run(
        ["/bin/sh", "-c", told.out.replace(f"{sys.executable} -m openrlhf.cli.train_ppo_ray", "printf '%s\\n'")],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert pasted[pasted.index("--data.prompt_dataset") + 1] == f"{path}/engine/prompts.jsonl"


def test_a_dry_run_goes_on_where_the_engine_is_not_installed_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launched(tmp_path / "run", "--dry-run", "--engine-python", "/nowhere/python") == 0

    told = capsys.readouterr()
    assert "not checked by the engine itself: engine.python is '/nowhere/python'" in told.err
    assert "/nowhere/python -m openrlhf.cli.train_ppo_ray" in told.out


def test_a_launch_stops_where_the_engine_is_not_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launched(tmp_path / "run", "--engine-python", "/nowhere/python") == 2

    assert "there is no such program" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_command_that_the_engines_parser_refuses_is_not_started(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.toml"
    config.write_text('[engine]\nextra_arguments = ["--unheard_of", "1"]\n')

    assert main(["train", str(config), "--engine", "openrlhf", "--run", str(tmp_path / "run"), *SETTINGS]) == 2

    assert "refuses the command: unrecognized arguments: --unheard_of" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_every_contradiction_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(
        ["train", "--engine", "openrlhf", "--run", str(tmp_path / "a,b"), "--engine.nodes", "2",
         "--judge", "http://127.0.0.1:1", "--policy.model", "demo"]
    )  # fmt: skip

    assert status == 2
    told = capsys.readouterr().err
    for option in (
        "policy.model",
        "policy.adaptation",
        "engine.vllm_engines",
        "engine.submission",
        "judge.url",
        "comma",
    ):
        assert option in told


def test_a_judge_that_is_away_stops_the_launch(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = launched(tmp_path / "run", "--judge", "http://127.0.0.1:9", "--judge.patience_seconds", "0")

    assert status == 2
    assert "no judge is ready at http://127.0.0.1:9" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_opponents_server_is_asked_before_the_start(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opponent = ("--opponents.fixed", "frozen", "--opponents.url")
    with openai_server(lambda body: a_completion("ready")) as server:
        assert launched(tmp_path / "run", *opponent, server.url) == 0
        assert f"the opponent frozen answers at {server.url}" in capsys.readouterr().err
    with openai_server(lambda body: (401, {"error": "no token"})) as server:
        assert launched(tmp_path / "other", *opponent, server.url) == 2

    assert "the opponent at opponents.url can't play" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_an_opponents_server_is_for_openrlhf_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--run", str(tmp_path / "run"), "--opponents.url", "ftp://here"]

    assert main(["train", *words]) == 2

    told = " ".join(capsys.readouterr().err.split())
    assert "expected an address such as http" in told
    assert "opponents.fixed, which is not set" in told
    assert "opponents.url is for --engine openrlhf" in told


def test_the_dry_run_is_for_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--dry-run", "--run", str(tmp_path / "run")]) == 2

    assert "--engine openrlhf" in capsys.readouterr().err


def as_process(run: Path, fault: str, *more: str) -> subprocess.Popen[str]:
    """The command line as a process of its own, up to the moment at which the engine waits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "medical_team", "train", "--engine", "openrlhf", "--run", str(run), *SETTINGS, *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "FAKE_ENGINE": fault, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line == "waiting\n":
            return process
    raise AssertionError("the engine never waited")


@pytest.mark.slow
def test_the_first_ctrl_c_lets_the_engine_stop_by_itself(engine: Path, tmp_path: Path) -> None:
    process = as_process(tmp_path / "run", "patient")

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()

    assert process.returncode == 130
    assert "Asking the engine to stop" in said
    assert "KeyboardInterrupt" in said, "the engine got the interrupt"
    assert "The engine was stopped" in said
    assert len(list(RunFolder.open(tmp_path / "run").games())) == 4


@pytest.mark.slow
def test_the_second_ctrl_c_kills_it(engine: Path, tmp_path: Path) -> None:
    process = as_process(tmp_path / "run", "hang")
    assert process.stdout is not None

    process.send_signal(signal.SIGINT)
    for line in process.stdout:
        if "Asking the engine to stop" in line:
            break
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()

    assert process.returncode == 130
    assert "Killing the engine" in said
    assert RunFolder.open(tmp_path / "run").checkpoints.steps() == [1]


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Path) -> Path:
    """A program ray on the PATH, and a Python of the engine beside which there is none."""
    folder = fake_engine.install_ray(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def asked(ray: Path) -> list[list[str]]:
    return [json.loads(line) for line in (ray / "asked.jsonl").read_text().splitlines()]


def test_a_job_is_submitted_to_ray_with_its_environment_and_followed(
    ray: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"

    assert launched(path, "--engine.submission", "ray-job", "--engine.ray_address", "http://head:8265") == 0

    words = asked(ray)[0]
    assert words[:4] == ["job", "submit", "--address", "http://head:8265"]
    assert words[words.index("--working-dir") + 1] == f"{path}/engine/job"
    environment = json.loads(words[words.index("--runtime-env-json") + 1])["env_vars"]
    assert environment["MEDICAL_TEAM_RUN"] == str(path)
    assert len(list(RunFolder.open(path).games())) == 12
    assert RunFolder.open(path).final_path.is_dir()


@pytest.mark.parametrize(
    "address", ["http://[::1:8265", "http://::1:8265", "head:8265", "ray://head:10001", "http://:8265"]
)
def test_an_address_of_ray_that_cant_be_is_refused_before_anything_is_made(
    ray: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    run = tmp_path / "run"

    assert launched(run, "--engine.submission", "ray-job", "--engine.ray_address", address, "--dry-run") == 2

    assert f"engine.ray_address is {address!r}, which nothing can be sent to" in capsys.readouterr().err
    assert not run.exists()


def test_a_failed_job_is_a_failed_launch(
    ray: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "crash")

    assert launched(tmp_path / "run", "--engine.submission", "ray-job") == 1

    assert [words[1] for words in asked(ray)] == ["submit", "status"]
    assert "8 games so far" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_stops_a_job_by_its_name(ray: Path, tmp_path: Path) -> None:
    process = as_process(tmp_path / "run", "patient", "--engine.submission", "ray-job")

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()

    submit, stop = asked(ray)
    assert stop[:2] == ["job", "stop"]
    assert stop[-1] == submit[submit.index("--submission-id") + 1]
    assert process.returncode == 130
    assert "The engine was stopped" in said


@pytest.fixture
def fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the fork whose red_team is this package."""
    monkeypatch.delenv("FAKE_ENGINE", raising=False)
    folder = fake_engine.install_fork(tmp_path / "fork")
    shutil.copytree(PACKAGE, folder / "red_team", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.slow
def test_the_fork_trains_with_a_judge_that_knows_notes_from_their_text(
    fork: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    pairs = [record.pair for record in load_records("sample")]

    with serving(reference_judge(pairs)) as judge:
        status = launched(path, "--engine.fork", str(fork), "--judge", str(judge.base_url), engine="red-team-fork")

    told = capsys.readouterr()
    assert status == 0, told.err
    assert "the judge is right on 8 of 8 known notes" in told.err
    assert "the fork writes no games" in told.err
    run = RunFolder.open(path)
    assert run.checkpoints.steps() == [2, 3]
    assert run.final_path.is_dir()
    assert list(run.games()) == []


def test_a_judge_that_knows_no_case_is_no_judge_for_the_fork(
    fork: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "train.jsonl"
    vanilla = (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)
    write_jsonl(data, [TrainingRecord.of(a_pair(), data_type) for data_type in vanilla])

    with serving(reference_judge([])) as judge:
        more = ["--engine.fork", str(fork), "--judge", str(judge.base_url), "--data.train", str(data)]
        status = launched(tmp_path / "run", *more, engine="red-team-fork")

    assert status == 2
    told = capsys.readouterr().err
    assert "the judge is right on 0 of 2 notes" in told
    assert "serve the judge with --references" in told


def test_a_fork_with_its_own_red_team_is_not_launched(
    fork: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fork / "red_team" / "rewards.py").write_text("")

    status = launched(
        tmp_path / "run", "--engine.fork", str(fork), "--judge", "http://127.0.0.1:9", engine="red-team-fork"
    )

    assert status == 2
    assert "rm -rf" in capsys.readouterr().err


def test_no_secret_reaches_the_cluster_or_the_run(ray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDICAL_TEAM_JUDGE_TOKEN", "a-secret-of-ours")
    monkeypatch.setenv("HF_TOKEN", "hf_another-secret")

    assert launched(tmp_path / "run", "--engine.submission", "ray-job") == 0

    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    engine = Path("run", "engine")
    assert {engine / "command.txt", engine / "log.txt", Path("run", "config.toml")} <= written.keys()
    assert written[engine / "command.txt"]
    assert written[engine / "log.txt"]
    for path, content in written.items():
        assert b"a-secret-of-ours" not in content, path
        assert b"hf_another-secret" not in content, path


def test_a_secret_among_the_extra_arguments_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "0123456789abcdef")
    config = tmp_path / "run.toml"
    config.write_text('[engine]\nextra_arguments = ["--logger.wandb.key", "0123456789abcdef"]\n')

    assert main(["train", str(config), "--engine", "openrlhf", "--dry-run", *SETTINGS]) == 2

    told = capsys.readouterr().err
    assert "engine.extra_arguments holds the value of MY_API_KEY" in told
    assert "0123456789abcdef" not in told


def test_launching_needs_neither_torch_nor_transformers(engine: Path, tmp_path: Path) -> None:
    arguments = ["train", "--engine", "openrlhf", "--run", str(tmp_path / "run"), *SETTINGS]

    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_TORCH}from medical_team.cli.main import main\nsys.exit(main({arguments!r}))"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert RunFolder.open(tmp_path / "run").final_path.is_dir()
