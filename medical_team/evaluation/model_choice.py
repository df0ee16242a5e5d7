"""Which model is meant: a baseline, a served model, a run's checkpoint, a folder, or a name on the hub."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ..config import RunConfig
from ..errors import UsageError
from ..runs.checkpoints import MARKER
from ..runs.config_file import to_toml
from ..runs.folder import RunFolder
from .predictions import BASELINES

_RUN_INFO = "run.json"
_POLICY = "policy"
_LEVELS_TO_RUN = 4
_SAMPLED_BYTES = 65536
_STEP = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class ModelChoice:
    """A model to evaluate."""

    label: str
    """What the user called it, and which part of a run was taken."""
    location: str
    """What the loader takes: a folder, a name on the hub, the server's name of it, or the baseline's."""
    is_baseline: bool = False
    url: str | None = None
    run: RunFolder | None = None
    """The run that made it, where it is known."""
    step: int | None = None
    """Completed steps of that run."""
    fingerprint: str | None = None
    """Changes when the weights of a local folder change."""


def choose_model(name: str, url: str | None = None) -> ModelChoice:
    """The model that ``name`` means.

    Args:
        name: a baseline; a run's folder (its best checkpoint, else its trained model, else its last checkpoint); a
            checkpoint's folder; a model's or LoRA adapter's folder; a name on the hub.
        url: the base of an OpenAI-compatible API, of which ``name`` is a model.

    Raises:
        UsageError: the folder is a run without any model yet.
        RunFolderError: the run can't be read.
    """
    if url is not None:
        return ModelChoice(f"{name} at {url}", name, url=url)
    if name in BASELINES:
        return ModelChoice(name, name, is_baseline=True)
    path = Path(name)
    if not path.is_dir():
        return ModelChoice(name, name)
    if (path / _RUN_INFO).is_file():
        run = RunFolder.open(path)
        path = _chosen_of(run)
    else:
        run = _run_around(path)
    if (path / MARKER).is_file():
        path /= _POLICY
    return ModelChoice(_label(path, run), str(path), run=run, step=_step(path, run), fingerprint=_fingerprint(path))


def configuration_hash(config: RunConfig) -> str:
    """The same for runs that differ only in their seed."""
    unseeded = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=0))
    return hashlib.sha256(to_toml(unseeded).encode()).hexdigest()


def _chosen_of(run: RunFolder) -> Path:
    best, latest = run.checkpoints.best(), run.checkpoints.latest()
    if best is not None and best.step in run.checkpoints.steps():
        return run.checkpoints.path_of(best.step)
    if run.final_path.is_dir():
        return run.final_path
    if latest is None:
        raise UsageError(f"{run.path} has no checkpoint yet: train it on, or name another model")
    return run.checkpoints.path_of(latest)


def _run_around(path: Path) -> RunFolder | None:
    for parent in list(path.resolve().parents)[:_LEVELS_TO_RUN]:
        if (parent / _RUN_INFO).is_file():
            return RunFolder.open(parent)
    return None


def _label(path: Path, run: RunFolder | None) -> str:
    if run is None:
        return str(path)
    # The run by its name alone, so that the same run in another place keeps its label.
    inner = path.resolve().relative_to(run.path.resolve())
    return "/".join([run.path.resolve().name, *(part for part in inner.parts if part not in ("checkpoints", _POLICY))])


def _step(path: Path, run: RunFolder | None) -> int | None:
    if run is None:
        return None
    match = _STEP.search(str(path))
    return int(match.group(1)) if match else run.total_steps


def _fingerprint(path: Path) -> str:
    """A hash of the names, sizes, beginnings and ends of the weights: enough to tell models apart, and quick."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as content:
            digest.update(content.read(_SAMPLED_BYTES))
            content.seek(max(0, size - _SAMPLED_BYTES))
            digest.update(content.read(_SAMPLED_BYTES))
    return digest.hexdigest()
