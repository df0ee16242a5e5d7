"""An engine's models, brought to where a run has its own: ``checkpoints/step-000010/policy``. Whether a folder
that an engine wrote is whole is seen without any library that could load it."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..engine_config import EngineKind
from ..files import atomic_folder
from ..model_files import CONFIG_FILE, PICKLE_SUFFIXES, has_tokenizer, read_json_object, weight_files
from ..runs.checkpoints import POLICY_FOLDER, CheckpointInfo
from ..runs.folder import RunFolder
from .command import EngineFiles

_HEADER_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 256 * 1024 * 1024


def folder_problem(folder: Path) -> str | None:
    """Why ``folder`` is no whole model; None for one that is."""
    if not folder.is_dir():
        return "there is no such folder"
    try:
        return _problem(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        return f"it can't be read: {error}"


def _problem(folder: Path) -> str | None:
    read_json_object(folder / CONFIG_FILE)
    names = {path.name for path in folder.iterdir()}
    shards = [folder / name for name in weight_files(folder)]
    if not shards:
        if any(name.endswith(PICKLE_SUFFIXES) for name in names):
            return "its weights are pickle files, which can run code when opened"
        return "it has no weights"
    for shard in shards:
        if not shard.is_file():
            return f"{shard.name} is missing"
        if shard.stat().st_size != _promised_size(shard):
            return f"{shard.name} is cut off"
    if not has_tokenizer(names):
        return "it has no tokenizer"
    return None


def _promised_size(shard: Path) -> int:
    """The size that a safetensors file's own header promises: its length, the header, and the tensors behind it."""
    with shard.open("rb") as file:
        (length,) = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))
        if length > _LONGEST_HEADER:
            raise ValueError(f"{shard.name} is no safetensors file")
        header = json.loads(file.read(length))
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    return _HEADER_LENGTH.size + length + max(ends, default=0)


WriteCard = Callable[[Path, int], None]
"""Writes the model card into a folder, for a number of completed steps."""

_NAME = re.compile(r"global_step(\d+)_hf")
_CARD = "README.md"


@dataclass(frozen=True)
class ImportedModels:
    """What was brought into the run."""

    steps: tuple[int, ...] = ()
    """After which the checkpoints that are new stand."""
    is_final_there: bool = False
    problems: tuple[str, ...] = ()
    """Folders that are not whole, and why; they stay where the engine wrote them."""


def import_models(run: RunFolder, write_card: WriteCard) -> ImportedModels:
    """Bring what the engine of ``run`` has written into the run, once it has ended. The caller holds the run's lock.

    Raises:
        OutputError: a folder can't be written; the engine's own stays.
    """
    files = EngineFiles.of(run.path)
    steps: list[int] = []
    problems: list[str] = []
    for step, folder in _engine_checkpoints(files):
        if problem := folder_problem(folder):
            problems.append(f"{folder} is left as it is: {problem}")
            continue
        _take_checkpoint(run, step, folder, write_card)
        steps.append(step)
    _prune(run)
    problem = _take_final(run, files, write_card)
    if problem is not None:
        problems.append(problem)
    return ImportedModels(tuple(steps), run.final_path.is_dir(), tuple(problems))


def import_settled_checkpoints(run: RunFolder, write_card: WriteCard, *, settled_seconds: float = 60.0) -> list[int]:
    """Bring in checkpoints while the engine runs, so that they don't pile up: whole ones that nobody writes to.

    Raises:
        OutputError: a folder can't be written; the engine's own stays.
    """
    taken: list[int] = []
    for step, folder in _engine_checkpoints(EngineFiles.of(run.path)):
        if time.time() - _last_change(folder) >= settled_seconds and folder_problem(folder) is None:
            _take_checkpoint(run, step, folder, write_card)
            taken.append(step)
    if taken:
        _prune(run)
    return taken


def last_resumable_step(run: RunFolder) -> int | None:
    """After how many steps the engine's own last checkpoint stands, with its optimizer; None where it has none."""
    latest = EngineFiles.of(run.path).checkpoints / "_actor" / "latest"
    try:
        name = latest.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    match = re.fullmatch(r"global_step(\d+)", name)
    return int(match[1]) if match and (latest.parent / name).is_dir() else None


def _engine_checkpoints(files: EngineFiles) -> Iterator[tuple[int, Path]]:
    if not files.checkpoints.is_dir():
        return
    found = [(match, folder) for folder in files.checkpoints.iterdir() if (match := _NAME.fullmatch(folder.name))]
    yield from sorted((int(match[1]), folder) for match, folder in found)


def _last_change(folder: Path) -> float:
    return max((path.stat().st_mtime for path in [folder, *folder.rglob("*")]), default=0.0)


def _take_checkpoint(run: RunFolder, step: int, folder: Path, write_card: WriteCard) -> None:
    with atomic_folder(run.checkpoints.path_of(step)) as new:
        _link_model(folder, new / POLICY_FOLDER, step, write_card)
        CheckpointInfo(step, run.config.policy.adaptation, engine=run.config.engine.kind).write(new)
    shutil.rmtree(folder, ignore_errors=True)


def _take_final(run: RunFolder, files: EngineFiles, write_card: WriteCard) -> str | None:
    """Make the run's final model. Returns why an engine's final folder was not taken over."""
    kind: EngineKind = run.config.engine.kind
    if kind == "openrlhf":
        source, is_own = files.final, True
        if not source.is_dir():
            return None
    else:
        # The fork saves nothing when it ends: the model of its last step is the final one.
        source, is_own = run.checkpoints.path_of(run.total_steps) / POLICY_FOLDER, False
        if not source.is_dir():
            return None
    if problem := folder_problem(source):
        return f"{source} is left as it is: {problem}"
    with atomic_folder(run.final_path) as new:
        _link_model(source, new, run.total_steps, write_card)
    if is_own:
        shutil.rmtree(source, ignore_errors=True)
    return None


def _link_model(source: Path, target: Path, step: int, write_card: WriteCard) -> None:
    target.mkdir(parents=True, exist_ok=True)
    # Not shutil.copytree: it fails where a file system refuses to set permissions and times.
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            _link_or_copy(path, place)
    # Written anew: the linked file is the engine's too.
    (target / _CARD).unlink(missing_ok=True)
    write_card(target, step)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, target)


def _prune(run: RunFolder) -> None:
    best = run.checkpoints.best()
    run.checkpoints.prune(run.config.checkpoints.keep_last, best.step if best else None)
