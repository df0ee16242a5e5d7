"""Which model is meant: a baseline, a served model, a run's checkpoint, a folder, or a name on the hub; what an
evaluation writes down of it, and what it was trained on: a figure on those notes would measure memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from ..chat_template import today
from ..config import DEMO_MODEL, DataConfig, GameConfig, RolloutConfig, RunConfig
from ..errors import UsageError
from ..jsonl import lines_sha256
from ..records import Closed, NotePair
from ..runs.checkpoints import POLICY_FOLDER, is_checkpoint, name_of, step_of
from ..runs.config_file import load_preset, to_toml
from ..runs.folder import RunFolder, run_around
from ..runs.places import is_run, model_title
from ..words import folded_words
from .medec_texts import MedecText
from .predictions import BASELINES

MOST_RUNS = 16
"""A run may start from another run's model, and that from another; further back nobody looks."""

BEST, FINAL = "best", "final"

_SAMPLED_BYTES = 65536


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
    part: str | None = None
    """Which of the run's models: ``best`` (by held-out accuracy), ``final``, or a step such as ``step-000010``."""
    step: int | None = None
    """Completed steps of that run."""
    fingerprint: str | None = None
    """Changes when the weights of a local folder change."""

    @property
    def rules(self) -> tuple[GameConfig, RolloutConfig]:
        """The rules and limits that it plays with: its run's; the demo's own, whose policy speaks no other language;
        else the defaults. Nobody sits a role out."""
        if self.run is not None:
            config = self.run.config
        else:
            config = load_preset(DEMO_MODEL) if self.location == DEMO_MODEL else RunConfig()
        return replace(config.game, no_attacker_turn=False, no_defender_turn=False), config.rollout

    @property
    def day(self) -> date:
        """The day that its chat template is told: the one that its run was played with, else today."""
        return today() if self.run is None else self.run.config.policy.day


def choose_model(name: str, url: str | None = None) -> ModelChoice:
    """The model that ``name`` means.

    Args:
        name: a baseline; a run's folder (its best checkpoint, else its trained model, else its last checkpoint); a
            checkpoint's folder; a model's or LoRA adapter's folder; a name on the hub.
        url: the base of an OpenAI-compatible API, of which ``name`` is a model.

    Raises:
        UsageError: the name is empty, or the folder is a run without any model yet.
        RunFolderError: the run can't be read.
    """
    if not name.strip():
        raise UsageError("the name of a model is empty: is a variable of your shell unset?")
    if url is not None:
        return ModelChoice(f"{name} at {url}", name, url=url)
    if name in BASELINES:
        return ModelChoice(name, name, is_baseline=True)
    path = Path(name).expanduser()
    if not path.is_dir():
        return ModelChoice(name, name)
    if is_run(path):
        return _choice_of_run(RunFolder.open(path))
    run = run_around(path)
    if run is not None:
        return _part_of(run, path)
    weights = _weights_of(path)
    return ModelChoice(str(path), str(weights), fingerprint=_fingerprint(weights))


def choose_player(name: str) -> ModelChoice:
    """As :func:`choose_model`, for games.

    Raises:
        UsageError: it is a baseline as well, which has nothing to say.
    """
    choice = choose_model(name)
    if choice.is_baseline:
        raise UsageError(f"{name} is a baseline, which can't play games: name a model, or a run")
    return choice


def start_of(run: RunFolder) -> ModelChoice:
    """The model that ``run`` started from."""
    model = run.config.policy.model
    start = choose_model(model)
    # Where it lies is this machine's matter.
    return start if start.run is not None else replace(start, label=model_title(model))


def configuration_hash(run: RunFolder, most_runs: int = MOST_RUNS) -> str:
    """The same for runs that differ only in their seeds: their configuration, their data, and the same of the run that
    they started from.

    Args:
        most_runs: how many runs to look back.
    """
    # The data by what it holds, not by where it lies.
    config = replace(run.config, data=DataConfig())
    start = start_of(run) if most_runs else None
    if start is not None and start.run is not None:
        origin = f"{start.part} of {configuration_hash(start.run, most_runs - 1)}"
        config = replace(config, policy=replace(config.policy, model=origin))
    elif start is not None and start.fingerprint is not None:
        # A folder by its weights, not by where it lies.
        config = replace(config, policy=replace(config.policy, model=f"a folder with {start.fingerprint}"))
    # Seeds are tried one after another, and a day ends meanwhile.
    config = replace(config, policy=replace(config.policy, prompt_date=None))
    unseeded = replace(config, training=replace(config.training, seed=0))
    data = [lines_sha256(records) for records in (run.training_records(), run.heldout_records())]
    described = "\n".join([run.info.kind, *data, to_toml(unseeded)])
    return hashlib.sha256(described.encode()).hexdigest()


def _choice_of_run(run: RunFolder) -> ModelChoice:
    best, latest = run.checkpoints.best(), run.checkpoints.latest()
    if best is not None and best.step in run.checkpoints.steps():
        return replace(_part_of(run, run.checkpoints.path_of(best.step)), part=BEST)
    if run.final_path.is_dir():
        return _part_of(run, run.final_path)
    if latest is None:
        raise UsageError(f"{run.path} has no checkpoint yet: train it on, or name another model")
    return _part_of(run, run.checkpoints.path_of(latest))


def _part_of(run: RunFolder, path: Path) -> ModelChoice:
    weights = _weights_of(path)
    # The run by its name alone, so that the same run in another place keeps its label.
    inner = [part for part in path.resolve().relative_to(run.path.resolve()).parts if part != "checkpoints"]
    step = next((step for part in inner if (step := step_of(part)) is not None), None)
    return ModelChoice(
        label="/".join([run.path.resolve().name, *(part for part in inner if part != POLICY_FOLDER)]),
        location=str(weights),
        run=run,
        part=FINAL if step is None else name_of(step),
        step=run.total_steps if step is None else step,
        fingerprint=_fingerprint(weights),
    )


def _weights_of(path: Path) -> Path:
    return path / POLICY_FOLDER if is_checkpoint(path) else path


def _fingerprint(path: Path) -> str:
    """A hash of the names, sizes, beginnings and ends of the weights: enough to tell models apart, and quick."""
    digest = hashlib.sha256()
    for file in sorted([*path.glob("*.safetensors"), *path.glob("attacker/*.safetensors")]):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as content:
            digest.update(content.read(_SAMPLED_BYTES))
            content.seek(max(0, size - _SAMPLED_BYTES))
            digest.update(content.read(_SAMPLED_BYTES))
    return digest.hexdigest()


@dataclass(frozen=True)
class ModelIdentity(Closed):
    """Which model was evaluated. What concerns a run is None where no run is known."""

    label: str
    fingerprint: str | None
    """Of the weights of a local folder."""
    run_configuration: str | None = None
    """A hash that runs share which differ only in their seed."""
    run_seed: int | None = None
    part: str | None = None
    """``best``, ``final``, or a step such as ``step-000010``."""
    step: int | None = None
    """Completed steps of the run."""


def identity_of(choice: ModelChoice) -> ModelIdentity:
    """What is written down of the model.

    Raises:
        DataError: the training records of its run are damaged.
    """
    run = choice.run
    return ModelIdentity(
        label=choice.label,
        fingerprint=choice.fingerprint,
        run_configuration=configuration_hash(run) if run else None,
        run_seed=run.config.training.seed if run else None,
        part=choice.part,
        step=choice.step,
    )


TrainingTexts = Literal["refuse", "leave-out", "keep"]


@dataclass(frozen=True)
class CheckedTexts:
    """The texts to evaluate on, how many were left out, and what is known, as a sentence."""

    texts: tuple[MedecText, ...]
    left_out: int
    known: str


def check_training_texts(
    texts: Sequence[MedecText], run: RunFolder | None, choice: TrainingTexts, *, is_baseline: bool = False
) -> CheckedTexts:
    """Refuse, leave out or keep those of ``texts`` on which the model of ``run`` was trained, and their twins.

    Raises:
        UsageError: there are some and ``choice`` is ``refuse``, or all would be left out.
    """
    if is_baseline:
        return CheckedTexts(tuple(texts), 0, "nothing: a baseline")
    if run is None:
        return CheckedTexts(
            tuple(texts), 0, "unknown: no run of this program made the model, or it was moved out of it"
        )
    groups = groups_with(texts, training_notes(run))
    unseen = tuple(text for text in texts if text.near_duplicate_group not in groups)
    seen = len(texts) - len(unseen)
    if not seen:
        known = "none of these texts, nor a twin of them, by this run or those it started from"
        return CheckedTexts(unseen, 0, f"{known}{_chosen_by(texts, run)}")
    if choice == "keep":
        return CheckedTexts(tuple(texts), 0, f"{seen} of these texts, or a twin of them: these figures measure memory")
    if choice == "refuse":
        raise UsageError(
            f"{seen} of the {len(texts)} texts, or twins of them, are among the training data of {run.path}: the "
            "figures would measure memory. --training-texts leave-out evaluates on the others, keep on all."
        )
    if not unseen:
        raise UsageError(f"all {seen} texts, or twins of them, are among the training data of {run.path}")
    return CheckedTexts(unseen, seen, f"none of these texts: {seen} others that it knows, or their twins, are left out")


def _chosen_by(texts: Sequence[MedecText], run: RunFolder) -> str:
    """That the best checkpoint was chosen by some of ``texts``, where it was."""
    records = run.heldout_records()
    groups = groups_with(texts, (note for record in records for note in (record.error_note, record.corrected_note)))
    count = sum(text.near_duplicate_group in groups for text in texts)
    return f"; but the best checkpoint was chosen by {count} of them, or by twins" if count else ""


def check_heldout(pairs: Sequence[NotePair], choice: ModelChoice, *, is_kept: bool) -> None:
    """Check that none of ``pairs`` is among the training data of the run that made the model.

    Args:
        is_kept: the user wants to play with them all the same.

    Raises:
        UsageError: some are.
    """
    if choice.run is None or is_kept:
        return
    known = {_folded(note) for note in training_notes(choice.run)}
    seen = {pair.case_id for pair in pairs if {_folded(pair.error_note), _folded(pair.corrected_note)} & known}
    if seen:
        raise UsageError(
            f"{len(seen)} of the {len({pair.case_id for pair in pairs})} cases are among the training data of "
            f"{choice.run.path} (for example {min(seen)}): the figures would measure memory. Name other records with "
            "--data, or keep them with --keep-training-notes."
        )


def groups_with(texts: Sequence[MedecText], notes: Iterable[str]) -> set[str]:
    """The near-duplicate groups of ``texts`` that hold one of ``notes``, case, punctuation and white space folded."""
    known = {_folded(note) for note in notes}
    return {text.near_duplicate_group for text in texts if _folded(text.text) in known}


def training_notes(run: RunFolder) -> Iterator[str]:
    """Every note that the run was trained on, and those before it that it started from."""
    for ancestor in _lineage(run):
        for record in ancestor.training_records():
            yield from (record.note, record.error_note, record.corrected_note)


def _lineage(run: RunFolder) -> Iterator[RunFolder]:
    """The run, and the runs from whose models it started."""
    current: RunFolder | None = run
    for _ in range(MOST_RUNS):
        if current is None:
            return
        yield current
        current = start_of(current).run


def _folded(note: str) -> str:
    return " ".join(folded_words(note))
