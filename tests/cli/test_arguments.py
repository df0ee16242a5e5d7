from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from medical_team.cli.arguments import check_file_names, give_a_home, with_judge_spelled_out
from medical_team.errors import UsageError


def run(tmp_path: Path, command: str, **environment: str):
    """``medical-team COMMAND`` by a shell, which can close streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -m medical_team {command}', sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment},
        capture_output=True,
        check=False,
    )


def test_a_name_that_an_ascii_terminal_lacks_is_shown_with_escapes(tmp_path: Path) -> None:
    result = run(tmp_path, "data synth --notes 4 -o läufe/neu.csv", PYTHONIOENCODING="ascii")

    assert result.returncode == 0
    assert b"l\\xe4ufe/neu.csv" in result.stdout
    assert (tmp_path / "läufe" / "neu.csv").is_file()


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_command(tmp_path: Path, closed: str) -> None:
    result = run(tmp_path, f"data synth --notes 4 -o notes.csv {closed}")

    assert (result.returncode, result.stdout) == (0, b"")
    # Nothing that was meant for the terminal went into the file that was opened first.
    assert (tmp_path / "notes.csv").read_text(encoding="utf-8").startswith("Text ID,")


@pytest.fixture
def unknown_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No HOME, and no account for the user id."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_user_without_a_home_gets_one_for_caches(unknown_user: None, tmp_path: Path) -> None:
    environment: dict[str, str] = {}

    warning = give_a_home(environment)

    home = Path(environment["HOME"])
    assert home.parent == tmp_path
    assert home.stat().st_mode & 0o777 == 0o700
    assert warning is not None
    assert str(home) in warning


def test_the_home_is_the_same_the_next_time_so_that_caches_are_found(unknown_user: None) -> None:
    first: dict[str, str] = {}
    second: dict[str, str] = {}

    give_a_home(first)
    give_a_home(second)

    assert first == second


def test_a_folder_that_another_made_there_is_not_taken_for_home(unknown_user: None, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / f"medical-team-home-{os.getuid()}").symlink_to(other)
    environment: dict[str, str] = {}

    give_a_home(environment)

    assert Path(environment["HOME"]).resolve() != other.resolve()


def test_a_home_that_is_known_stays() -> None:
    environment: dict[str, str] = {}

    assert give_a_home(environment) is None
    assert environment == {}


def test_where_no_home_can_be_made_it_is_told_what_to_set(
    unknown_user: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))

    with pytest.raises(UsageError, match=r"no home folder, and none can be made .*: set HOME, or TMPDIR"):
        give_a_home({})


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("place", "locale", "remedy"),
    [
        ("läufe".encode(), ASCII, "set PYTHONUTF8=1"),
        ("läufe".encode("latin-1"), {"PYTHONUTF8": "1"}, "rename it in UTF-8"),
        ("läufe".encode(), {"PYTHONUTF8": "1"}, None),
        (b"runs", ASCII, None),
    ],
)
def test_a_path_that_is_not_utf_8_to_all_libraries_is_refused(
    tmp_path: Path, place: bytes, locale: dict[str, str], remedy: str | None
) -> None:
    program = "from medical_team.cli.main import entry_point; entry_point()"

    ended = subprocess.run(
        [sys.executable, "-c", program, "data", "synth", "--notes", "3", "-o", place + b"/notes.csv"],
        capture_output=True, cwd=tmp_path, env={**os.environ, **locale},
    )  # fmt: skip

    assert ended.returncode == (2 if remedy else 0), ended.stderr
    assert (remedy or "") in ended.stderr.decode()
    assert (tmp_path / os.fsdecode(place)).exists() == (remedy is None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["--judge", "model"], ["--judge.kind", "model"]),
        (["--judge=hybrid", "--x"], ["--judge.kind", "hybrid", "--x"]),
        (
            ["run.toml", "--judge", "http://127.0.0.1:8000", "--y", "1"],
            ["run.toml", "--judge.kind", "remote", "--judge.url", "http://127.0.0.1:8000", "--y", "1"],
        ),
        (["--judge=HTTPS://judge/?a=b"], ["--judge.kind", "remote", "--judge.url", "HTTPS://judge/?a=b"]),
        (["--judge.kind", "reference"], ["--judge.kind", "reference"]),
        (["--judge"], ["--judge"]),
        ([], []),
    ],
)
def test_the_short_option_stands_for_the_long_ones(written: list[str], meant: list[str]) -> None:
    assert with_judge_spelled_out(written) == meant


def test_a_folder_that_was_removed_under_us_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with pytest.raises(UsageError, match="has been removed: go into another one"):
        check_file_names([])
