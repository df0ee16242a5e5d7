import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medical_team import __version__
from medical_team.cli import main as command_line
from medical_team.cli.main import COMMANDS, main
from medical_team.errors import ConfigError
from needs import FULL_DEVICE
from recording_proxy import use_proxy
from stand_ins import always


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Puts a function in the place of `medical-team data`."""

    def install(function: Callable[..., Any]) -> None:
        monkeypatch.setattr(command_line.importlib, "import_module", always(SimpleNamespace(main=function)))

    return install


def test_help_names_every_command_and_says_what_this_is_not_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    printed = capsys.readouterr().out
    assert "not for clinical use" in printed
    assert all(name in printed for name in COMMANDS)


def test_no_command_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: medical-team COMMAND" in capsys.readouterr().out


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"medical-team {__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2

    message = capsys.readouterr().err
    assert "there is no command 'trian'. Did you mean 'train'?" in message
    assert "quickstart" in message


@pytest.mark.parametrize("name", ["", "..errors", "data.build", "arguments", "main"])
def test_only_the_listed_commands_are_ever_imported(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main([name]) == 2
    assert "there is no command" in capsys.readouterr().err


def test_no_text_in_a_message_drives_the_terminal(
    command: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def data(_: list[Any]):
        raise ConfigError("there is no \x1b[2J\u202emodel:", ["line 1"])

    command(data)

    assert main(["data"]) == 2
    assert capsys.readouterr().err == "medical-team data: there is no \\x1b[2J\\u202emodel:\n  - line 1\n"


def test_a_full_gpu_is_told_with_what_makes_room(
    command: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def train(_: list[Any]):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")

    command(train)

    assert main(["train"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("medical-team train: CUDA out of memory. Take a smaller model")
    assert "--resume" in told


def test_a_command_gets_its_own_arguments_and_gives_the_status(command: Callable[..., Any]) -> None:
    seen: list[list[str]] = []

    def data(arguments: list[str]) -> int:
        seen.append(list(arguments))
        return 7

    command(data)

    assert main(["data", "build", "notes.csv", "--help"]) == 7
    assert seen == [["build", "notes.csv", "--help"]]


def test_our_errors_become_one_message_with_every_problem_and_no_traceback(
    command: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def data(_: list[Any]):
        raise ConfigError("run.toml has problems:", ["a.b is 3, expected at most 2", "a.c is unknown"])

    command(data)

    assert main(["data"]) == 2
    assert capsys.readouterr().err == (
        "medical-team data: run.toml has problems:\n  - a.b is 3, expected at most 2\n  - a.c is unknown\n"
    )


def test_a_path_of_a_user_whom_nobody_knows_is_told(
    command: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def data(_: list[Any]) -> None:
        Path("~nobody-of-this-name/data").expanduser()

    command(data)

    assert main(["data"]) == 2
    assert "a path begins with ~ and the name of a user" in capsys.readouterr().err


def test_an_interrupted_command_says_so(command: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    def data(_: list[Any]):
        raise KeyboardInterrupt

    command(data)

    assert main(["data"]) == 130
    assert capsys.readouterr().err == "medical-team data: interrupted\n"


def test_a_bug_is_not_hidden_behind_a_message(command: Callable[..., Any]) -> None:
    def data(_: list[Any]):
        raise ZeroDivisionError

    command(data)

    with pytest.raises(ZeroDivisionError):
        main(["data"])


def test_a_reader_that_has_gone_gets_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "from medical_team.cli.main import entry_point; entry_point()"

    ended = subprocess.run([sys.executable, "-c", program, "--help"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)

    assert ended.stderr == b""
    assert ended.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason=FULL_DEVICE.reason())
def test_an_output_that_is_full_gets_no_traceback() -> None:
    program = "from medical_team.cli.main import entry_point; entry_point()"

    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run([sys.executable, "-c", program, "--help"], stdout=full, stderr=subprocess.PIPE)

    assert ended.returncode == 2
    assert b"standard output can't be written to (No space left on device)" in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert b"Exception ignored" not in ended.stderr


def test_another_error_of_the_system_is_still_a_bug(command: Callable[..., Any]) -> None:
    def data(_: list[Any]):
        raise OSError("a bug")

    command(data)

    with pytest.raises(OSError, match="a bug"):
        main(["data"])


def test_a_name_that_the_system_refuses_is_told_in_one_line(
    command: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x" * 5000

    def data(_: list[str]) -> bool:
        return Path(name).is_dir()

    command(data)

    assert main(["train"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("medical-team: xxx")
    assert "... (5000 characters) can't be reached: File name too long. Name a shorter path" in message
    assert len(message) < 400


@pytest.mark.parametrize("option", ["--policy.model", "--data.train", "--run", "--opponents.fixed"])
def test_a_text_in_the_place_of_a_path_ends_no_command_with_a_traceback(
    option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["train", "--preset", "smoke", "--training.steps", "1", option, "a note " * 100]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_asking_for_help_loads_no_model_library() -> None:
    program = """
import sys
from medical_team.cli.main import main
main(["--help"])
heavy = {"torch", "transformers", "peft"} & set(sys.modules)
sys.exit(f"loaded: {heavy}" if heavy else 0)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr


def test_libraries_and_programs_that_connect_by_themselves_spare_this_machine_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_proxy(monkeypatch, "http://proxy.example.org:3128", "HTTPS_PROXY")
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(sys, "argv", ["medical-team", "--version"])

    with pytest.raises(SystemExit):
        command_line.entry_point()

    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org,localhost,127.0.0.1,::1"
