import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medical_team.errors import OutputError, RunFolderError
from medical_team.files import atomic_folder, atomic_text, cannot_write, one_at_a_time


def names_in(folder: Path):
    return sorted(entry.name for entry in folder.iterdir())


def run_python(program: str, *arguments: int | Path):
    """Run ``program`` in a process of its own: it may be killed or run out of space."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.fixture
def umask() -> Iterator[Callable[..., Any]]:
    """Sets the umask for a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


# One file.


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "notes.txt"

    with atomic_text(path) as file:
        file.write("µ\r\n°C\n")
        file.flush()
        assert not path.exists()

    assert path.read_bytes() == "µ\r\n°C\n".encode()
    assert names_in(path.parent) == ["notes.txt"]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old", encoding="utf-8")

    def write() -> None:
        with atomic_text(path) as file:
            file.write("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()

    assert path.read_text(encoding="utf-8") == "old"
    assert names_in(tmp_path) == ["notes.txt"]


def test_our_own_errors_in_the_block_keep_their_words(tmp_path: Path) -> None:
    for atomic in (atomic_text, atomic_folder):
        with pytest.raises(RunFolderError, match="is locked"), atomic(tmp_path / "new"):
            raise RunFolderError("the run is locked")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("atomic", [atomic_text, atomic_folder])
def test_a_path_that_can_t_be_written_is_named_with_the_reason(tmp_path: Path, atomic: Callable[..., Any]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    path = tmp_path / "file" / "below"
    with pytest.raises(OutputError) as caught, atomic(path):
        pass

    assert str(path) in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert names_in(tmp_path) == ["file"]


def test_a_loop_of_links_is_told_like_any_place_that_can_t_be_written(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match="can't write"), atomic_text(tmp_path / "loop" / "file"):
        pass


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(OutputError, match="directory"), atomic_text(tmp_path / "folder") as file:
        file.write("text")

    assert names_in(tmp_path) == ["folder"]


def test_a_message_is_made_once() -> None:
    error = OutputError("can't write x")

    assert cannot_write(Path("y"), error) is error


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_gets_the_permissions_of_any_new_file(
    tmp_path: Path, umask: Callable[..., Any], mask: int, mode: int
) -> None:
    umask(mask)

    with atomic_text(tmp_path / "notes.txt") as file:
        file.write("text")

    assert stat.S_IMODE((tmp_path / "notes.txt").stat().st_mode) == mode


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old", encoding="utf-8")
    program = """
        import os, signal, sys
        from pathlib import Path
        from medical_team.files import atomic_text
        with atomic_text(Path(sys.argv[1])) as file:
            file.write("new" * 100_000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """

    assert run_python(program, path).returncode == -signal.SIGKILL

    assert path.read_text(encoding="utf-8") == "old"
    with atomic_text(path) as file:
        file.write("next")
    assert path.read_text(encoding="utf-8") == "next"


def test_a_full_disk_gives_one_clear_message_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old", encoding="utf-8")
    program = """
        import resource, signal, sys
        from pathlib import Path
        from medical_team.errors import OutputError
        from medical_team.files import atomic_text
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            with atomic_text(Path(sys.argv[1])) as file:
                file.write("new" * int(sys.argv[2]))
        except OutputError as error:
            sys.exit(str(error))
    """
    # The second is small enough to stay in the writer's buffer, so that it fails only as the block ends.
    for size in (100_000, 3_500):
        ended = run_python(program, path, size)

        assert ended.returncode == 1
        assert ended.stderr.startswith(f"can't write {path}: File too large.")
        assert path.read_text(encoding="utf-8") == "old"
        assert names_in(tmp_path) == ["notes.txt"]


# A folder.


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "checkpoint"

    with atomic_folder(path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "weights").write_bytes(b"1")
        assert not path.exists()

    assert (path / "deep" / "weights").read_bytes() == b"1"
    assert names_in(path.parent) == ["checkpoint"]


def test_a_folder_replaces_the_old_one_wholly(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for name in ("old", "new"):
        with atomic_folder(path) as folder:
            (folder / name).write_text(name, encoding="utf-8")

    assert names_in(path) == ["new"]
    assert names_in(tmp_path) == ["checkpoint"]


def test_a_block_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with atomic_folder(path) as folder:
        (folder / "old").touch()

    def save() -> None:
        with atomic_folder(path) as folder:
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save()

    assert names_in(path) == ["old"]
    assert names_in(tmp_path) == ["checkpoint"]


def test_a_folder_that_can_t_take_its_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint"
    with atomic_folder(path) as folder:
        (folder / "old").touch()
    rename = Path.rename

    def refuse_new(source: Path, target: Path) -> Path:
        if (source / "new").exists():
            raise PermissionError(13, "Permission denied")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OutputError, match="Permission denied"), atomic_folder(path) as folder:
        (folder / "new").touch()

    assert names_in(path) == ["old"]
    assert names_in(tmp_path) == ["checkpoint"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old", encoding="utf-8")

    with pytest.raises(OutputError, match="Not a directory"), atomic_folder(path):
        pass

    assert path.read_text(encoding="utf-8") == "old"
    assert names_in(tmp_path) == ["notes.txt"]


def test_a_saver_that_is_killed_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with atomic_folder(path) as folder:
        (folder / "old").touch()
    program = """
        import os, signal, sys
        from pathlib import Path
        from medical_team.files import atomic_folder
        with atomic_folder(Path(sys.argv[1])) as folder:
            (folder / "new").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    """

    assert run_python(program, path).returncode == -signal.SIGKILL

    assert names_in(path) == ["old"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_a_folder_gets_the_permissions_of_any_new_folder(
    tmp_path: Path, umask: Callable[..., Any], mask: int, mode: int
) -> None:
    umask(mask)

    with atomic_folder(tmp_path / "checkpoint"):
        pass

    assert stat.S_IMODE((tmp_path / "checkpoint").stat().st_mode) == mode


# File systems with rules of their own.


def test_a_file_system_that_refuses_permissions_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, mode: int, **options: Any):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refused)

    with atomic_text(tmp_path / "notes.txt") as file:
        file.write("a note")
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "config.json").write_text("{}", encoding="utf-8")

    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "a note"
    assert names_in(tmp_path / "model") == ["config.json"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free space there or choose another place"),
        (errno.EACCES, "Ask for permission to write there or choose another place"),
        (errno.EROFS, "The file system there can only be read: choose another place"),
        (errno.ENAMETOOLONG, "Choose a shorter name"),
        (errno.EIO, "Choose another place"),
    ],
)
def test_the_remedy_fits_what_was_wrong(number: int, remedy: str) -> None:
    error = cannot_write(Path("run/games.jsonl"), OSError(number, os.strerror(number)))

    assert str(error) == f"can't write run/games.jsonl: {os.strerror(number)}. {remedy}; nothing was changed."


def test_weights_that_find_no_room_are_an_output_error(tmp_path: Path) -> None:
    """safetensors writes by itself, and has an error of its own for what the system refuses."""
    program = """
        import resource, sys
        from pathlib import Path
        import numpy
        from safetensors.numpy import save_file
        from medical_team.errors import OutputError
        from medical_team.files import atomic_folder
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with atomic_folder(Path(sys.argv[1])) as folder:
                save_file({"weights": numpy.zeros(10000)}, folder / "model.safetensors")
        except OutputError as error:
            print(error)
    """
    done = run_python(program, tmp_path / "checkpoint")

    assert "can't write" in done.stdout, done.stderr
    assert "File too large" in done.stdout
    assert names_in(tmp_path) == []


def test_an_error_that_the_system_has_no_part_in_stays_itself(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), atomic_folder(tmp_path / "folder"):
        raise ValueError("mine")


def test_who_writes_files_that_belong_together_waits_for_another(tmp_path: Path) -> None:
    seen: list[str] = []

    def write() -> None:
        with one_at_a_time(tmp_path / "new"):
            seen.append("second")

    second = threading.Thread(target=write)
    with one_at_a_time(tmp_path / "new"):
        second.start()
        second.join(timeout=0.2)
        seen.append("first")
    second.join()

    assert seen == ["first", "second"]


def test_a_file_system_without_locks_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, operation: int):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with one_at_a_time(tmp_path):
        (tmp_path / "written").touch()

    assert names_in(tmp_path) == ["written"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text(encoding="utf-8")))
    reader.start()

    with atomic_text(tmp_path / "pipe") as file:
        file.write("läuft")
    reader.join()

    assert read == ["läuft"]
    assert (tmp_path / "pipe").is_fifo()
    assert names_in(tmp_path) == ["pipe"]


def test_standard_output_may_be_named_as_a_file(tmp_path: Path) -> None:
    program = """
        from pathlib import Path
        from medical_team.files import atomic_text

        with atomic_text(Path("/dev/stdout")) as file:
            file.write("written")
    """
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], stdout=out, check=True)

    assert (tmp_path / "out").read_text(encoding="utf-8") == "written"
    assert Path("/dev/stdout").is_symlink()


def test_what_is_written_to_standard_output_goes_behind_what_is_there(tmp_path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from medical_team.files import atomic_text

        sys.stdout.write("before ")
        sys.stdout.flush()
        with atomic_text(Path("/dev/stdout")) as file:
            file.write("written")
        sys.stdout.write(" behind")
    """
    (tmp_path / "out").write_text("old ", encoding="utf-8")
    with (tmp_path / "out").open("a") as out:
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], stdout=out, check=True)

    assert (tmp_path / "out").read_text(encoding="utf-8") == "old before written behind"


def test_a_dash_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="/dev/stdout is standard output"), atomic_text(Path("-")) as file:
        file.write("lost")
    assert names_in(tmp_path) == []


def test_through_a_link_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "target").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("there/target")

    with atomic_text(tmp_path / "link") as file:
        file.write("new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "target").read_text(encoding="utf-8") == "new"
    assert names_in(tmp_path / "there") == ["target"]


def test_through_a_link_its_folder_is_written(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "link").symlink_to("large disk")

    with atomic_folder(tmp_path / "link", replace=False) as folder:
        (folder / "a").write_text("new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "large disk" / "a").read_text() == "new"


def test_what_a_killed_process_leaves_lies_where_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rooms").mkdir()

    with atomic_folder(tmp_path / "out", within=tmp_path / "rooms") as folder:
        assert folder.parent == tmp_path / "rooms"

    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out", "rooms"]
    assert list((tmp_path / "rooms").iterdir()) == []
