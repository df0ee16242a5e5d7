"""The folder in which an evaluation works: one process at a time, with all that decides it written down, so that the
same command goes on where it was stopped, and no other does."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from ..errors import DataError, UsageError
from ..files import atomic_text, cannot_write, remove_leftovers
from ..jsonl import from_line, read_jsonl, validation_problems, write_jsonl
from ..records import Game
from ..runs.lock import exclusive_lock

ResultT = TypeVar("ResultT")

LOCK = "lock"
_SO_FAR = "settings.json"
_WRITTEN_SO_FAR = r"settings\.json|.+\.jsonl"
_MAY_DIFFER = frozenset({"package_version"})
_LONGEST_SHOWN = 80


def as_json(content: object) -> str:
    """``content``, which may hold dataclasses, as a file of JSON that people read, too."""
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False, default=asdict) + "\n"


def name_of_folder(label: str) -> str:
    """``label`` as the name of a file or a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.") or "model"


@contextmanager
def working_in(path: Path, file: str, settings: Mapping[str, object], written: str) -> Generator[None]:
    """Work in the folder ``path`` alone, which is made where there is none, and clear away what a killed process left
    half-written.

    The lock comes first: of two processes that begin at once with different settings, one finds those of the other.

    Args:
        path: the folder.
        file: where in it the settings are written down.
        settings: all that decides what is done there.
        written: a regular expression of the names of what is written there.

    Raises:
        RunFolderError: another process works there; it is named.
        UsageError: another evaluation lies there; what differs is named.
        OutputError: the folder can't be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    with exclusive_lock(path / LOCK):
        remove_leftovers(path, written)
        _settle(path / file, settings)
        yield


def _settle(file: Path, settings: Mapping[str, object]) -> None:
    """Write the settings down, or compare them with those that are there."""
    try:
        there = json.loads(file.read_bytes())
    except FileNotFoundError:
        with atomic_text(file) as opened:
            opened.write(as_json(_plain(settings)))
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} can't be read ({error}): remove {file.parent}, or name another -o") from error
    if told := "; ".join(_differences(there, _plain(settings))):
        raise UsageError(
            f"{file.parent} holds another evaluation ({told}). Give its command again, which goes on with it, name "
            "another folder with -o, or remove it"
        )


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    return json.loads(as_json(settings))


def _differences(there: object, here: object, name: str = "") -> Iterator[str]:
    """Where two settings differ: of what has parts, such as the model, in which of them."""
    if there == here:
        return
    told = f"{name} {_shown(there)} there, {_shown(here)} here"
    if not isinstance(there, dict) or not isinstance(here, dict):
        yield told
        return
    before, now = cast("dict[str, object]", there), cast("dict[str, object]", here)
    for part in sorted((before.keys() | now.keys()) - _MAY_DIFFER):
        yield from _differences(before.get(part), now.get(part), f"{name} {part}".strip())


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def read_settings(path: Path, file: str, settings_type: type[ResultT], command: str) -> ResultT:
    """The settings in ``file`` of the evaluation at ``path``, such as ``command`` makes.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        return from_line((path / file).read_bytes(), settings_type)
    except OSError as error:
        problem = f"it has no readable {file}; `medical-team {command}` makes such a folder"
        raise DataError(f"{path} is no evaluation:", [problem]) from error
    except ValidationError as error:
        raise DataError(f"{path / file} is damaged or of another version:", validation_problems(error)) from error


def saved_setting(path: Path, file: str, name: str) -> Any:
    """The setting ``name`` of the evaluation at ``path``, or of an unfinished one that goes on there; else None.

    Args:
        file: what a finished one has its settings in, alone or beside its results.
    """
    for place in (path / file, _unfinished(path) / _SO_FAR):
        try:
            content = json.loads(place.read_bytes())
            return content.get("settings", content).get(name)
        except (OSError, ValueError, AttributeError):
            continue
    return None


def finished(path: Path, file: str, settings: Mapping[str, object], result_type: type[ResultT]) -> ResultT | None:
    """The result that the same command has written into ``path`` already; None where nothing lies there.

    Args:
        file: holds the settings and the parts of the result.

    Raises:
        UsageError: something else lies there.
    """
    occupied = UsageError(f"{path} is there already: name a new or empty folder with -o")
    if not (path / file).is_file():
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise occupied
        return None
    try:
        content: dict[str, object] = json.loads((path / file).read_bytes())
        if any(_differences(content.pop("settings"), _plain(settings))):
            raise occupied
        result = from_line(json.dumps(content), result_type)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is there and can't be read ({error}): name a new or empty folder with -o") from error
    clear_beside(path)
    return result


class PlayedSoFar:
    """Games of an evaluation that isn't done, part by part; read and written only inside :meth:`locked`.

    Args:
        path: the folder for them.
        settings: all that decides what is played.
    """

    def __init__(self, path: Path, settings: Mapping[str, object]) -> None:
        self.path = path
        self._settings = settings

    @contextmanager
    def locked(self) -> Generator[None]:
        """Play in this folder alone; raises what :func:`working_in` does."""
        with working_in(self.path, _SO_FAR, self._settings, _WRITTEN_SO_FAR):
            yield

    def games(self, part: str, play: Callable[[], Sequence[Game]]) -> list[Game]:
        """The games of ``part``: as they were played before, else from ``play``.

        Raises:
            DataError: the file of those before is damaged.
            OutputError: the games can't be written.
        """
        file = self.path / f"{part}.jsonl"
        if file.is_file():
            return read_jsonl(file, Game)
        games = list(play())
        write_jsonl(file, games)
        return games


@contextmanager
def played_beside(path: Path, settings: Mapping[str, object]) -> Generator[PlayedSoFar]:
    """The games of an evaluation that will be written to ``path``, whole: beside it until the block ends well.

    What a process leaves in there that is killed is gone when another has written ``path``.

    Raises what :func:`working_in` does.
    """
    so_far = PlayedSoFar(_unfinished(path), settings)
    with so_far.locked():
        yield so_far
        clear_beside(path)


def clear_beside(path: Path) -> None:
    """Remove the games beside ``path``, which stands: a process that was killed right then left them."""
    shutil.rmtree(_unfinished(path), ignore_errors=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")
