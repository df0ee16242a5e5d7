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
from pathlib import Path

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


def import_models(
    run: RunFolder, write_card: WriteCard, *, is_over: bool = True, settled_seconds: float = 60.0
) -> list[str]:
    """Bring what the engine of ``run`` has written into the run. The caller holds the run's lock.

    Args:
        run: whose engine.
        write_card: writes the model card of each.
        is_over: whether the engine has ended. While it runs, only checkpoints come that nobody has written to for
            ``settled_seconds``, so that they don't pile up.
        settled_seconds: see ``is_over``.

    Returns:
        Which folders are not whole at its end, and why; they stay where the engine wrote them.

    Raises:
        OutputError: a folder can't be written; the engine's own stays.
    """
    files = EngineFiles(run.path)
    problems: list[str] = []
    is_any_taken = False
    for step, folder in _engine_checkpoints(files):
        if not is_over and time.time() - _last_change(folder) < settled_seconds:
            continue
        if problem := folder_problem(folder):
            problems.append(f"{folder} is left as it is: {problem}")
            continue
        with atomic_folder(run.checkpoints.path_of(step)) as new:
            _link_model(folder, new / POLICY_FOLDER, step, write_card)
            CheckpointInfo(step, run.config.policy.adaptation, engine=run.config.engine.kind).write(new)
        shutil.rmtree(folder, ignore_errors=True)
        is_any_taken = True
    if is_any_taken:
        best = run.checkpoints.best()
        run.checkpoints.prune(run.config.checkpoints.keep_last, best.step if best else None)
    if not is_over:
        return []
    return [*problems, *_take_final(run, files, write_card)]


def last_resumable_step(run: RunFolder) -> int | None:
    """After how many steps the engine's own last checkpoint stands, with its optimizer; None where it has none."""
    latest = EngineFiles(run.path).checkpoints / "_actor" / "latest"
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


def _take_final(run: RunFolder, files: EngineFiles, write_card: WriteCard) -> Iterator[str]:
    """Make the run's final model, or give the reason why the engine's is not taken over."""
    source = files.final
    if run.config.engine.kind == "red-team-fork":
        # It saves nothing when it ends: the model of its last step is the final one.
        source = run.checkpoints.path_of(run.total_steps) / POLICY_FOLDER
    if not source.is_dir():
        return
    if problem := folder_problem(source):
        yield f"{source} is left as it is: {problem}"
        return
    with atomic_folder(run.final_path) as new:
        _link_model(source, new, run.total_steps, write_card)
    # Only what was the engine's.
    shutil.rmtree(files.final, ignore_errors=True)


def _link_model(source: Path, target: Path, step: int, write_card: WriteCard) -> None:
    # Not shutil.copytree: it fails where a file system refuses to set permissions and times.
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, place)
            except OSError:
                # Another file system, or one without links.
                shutil.copyfile(path, place)
    # Written anew: the linked file is the engine's too.
    (target / _CARD).unlink(missing_ok=True)
    write_card(target, step)
