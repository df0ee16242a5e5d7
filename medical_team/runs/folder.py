"""The run folder: everything that a run is made from and everything that it made. Its schema, version 2:

    run.json                 RunInfo: version of this schema, package and library versions, time of creation (UTC)
    config.toml              the resolved configuration; `medical-team train RUN/config.toml` reruns it
    data/train.jsonl         the TrainingRecord lines played with
    data/heldout.jsonl       those of the evaluation, where there are any
    games.jsonl              one Game a line, with all turns, its ruling and rewards, appended before the update
    heldout_games.jsonl      the same for games of evaluations; ``spec.step`` is the step after which they were played
    metrics.jsonl            one StepMetrics a line
    checkpoints/step-000010/ the state after 10 completed steps (checkpoint.json inside); best.json names the best
    opponents/step-000010/   the policy as it was then, where past selves play
    final/                   the trained model, a Hugging Face folder
    tensorboard/             event files
    engine/                  what a training engine beyond this process reads and writes, where one trains
    abandoned/               lines of steps that were played again after a resume, under the names of their files
    lock                     names the process that works here

Steps count from 0. A run can be moved: the path of a model's folder is saved with the way to it from here. Lines are
appended whole; all other files appear by atomic rename under a dotted temporary name, which :meth:`RunFolder.locked`
clears away after a process was killed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path

from .. import __version__
from ..config import DataConfig, RunConfig
from ..errors import OutputError, RunFolderError, TrainingError
from ..files import atomic_folder, atomic_text, cannot_write, file_sha256, remove_leftovers
from ..jsonl import read_jsonl, to_line, write_jsonl
from ..records import Closed, Game, TrainingRecord
from .append import (
    CONFIG_FILE,
    FINAL_FOLDER,
    GAMES_FILE,
    HELDOUT_GAMES_FILE,
    INFO_FILE,
    METRICS_FILE,
    GameLine,
    StepLine,
    abandon_from,
    append_lines,
    read_lines,
)
from .checkpoints import BEST_FILE, NAME_PATTERN, Checkpoints
from .config_file import check_config, check_is_whole, load_config, to_toml
from .info import FORMAT, RunInfo, RunKind, check_is_free, read_info
from .lock import exclusive_lock
from .places import folder_around, is_folder_name, settled, settled_model, ways_to_models, with_models_found

_TRAIN = "data/train.jsonl"
_HELDOUT = "data/heldout.jsonl"

_WRITTEN_WHOLE = "|".join([NAME_PATTERN, *map(re.escape, (BEST_FILE, FINAL_FOLDER, INFO_FILE, CONFIG_FILE))])


@dataclass(frozen=True)
class StepMetrics(Closed):
    """One line of ``metrics.jsonl``."""

    step: int
    values: dict[str, float]


def saved_config(path: Path) -> RunConfig:
    """The configuration of the run at ``path``, as its file has it.

    Raises:
        RunFolderError: there is no run, or one of another format.
        ConfigError: its configuration can't be used.
    """
    read_info(path)
    return _saved_config(path)


def _saved_config(path: Path) -> RunConfig:
    check_is_whole(path / CONFIG_FILE)
    return load_config(path / CONFIG_FILE)


class RunFolder:
    """One run on disk. Made by :meth:`create` or :meth:`open`; write to it only inside :meth:`locked`."""

    def __init__(self, path: Path, info: RunInfo, config: RunConfig) -> None:
        self.path = path
        self.info = info
        self.config = with_models_found(config, path, info.models_beside)
        """The saved configuration, its data paths leading into this folder, its models where they are now."""
        self._training_records: list[TrainingRecord] | None = None
        self._heldout_records: list[TrainingRecord] | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        config: RunConfig,
        records: Sequence[TrainingRecord],
        heldout: Sequence[TrainingRecord] = (),
        versions: Mapping[str, str] | None = None,
        hardware: Mapping[str, str] | None = None,
        *,
        kind: RunKind = "self-play",
    ) -> RunFolder:
        """Make a new run at ``path``, which must be absent or an empty folder. It appears whole or not at all.

        Raises:
            RunFolderError: there is a run, or something else, at ``path``.
            OutputError: the folder can't be written; nothing is left behind.
        """
        check_is_free(path)
        created = datetime.now(timezone.utc).isoformat("T", "seconds")
        config = settled(config)
        info = RunInfo(
            format=FORMAT,
            package_version=__version__,
            versions=dict(versions or {}),
            created=created,
            hardware=dict(hardware or {}),
            kind=kind,
            models_beside=ways_to_models(path, config),
        )
        try:
            with atomic_folder(path, replace=False) as folder:
                write_jsonl(folder / _TRAIN, records)
                if heldout:
                    write_jsonl(folder / _HELDOUT, heldout)
                cls._write_config(folder, config, has_heldout=bool(heldout))
                with atomic_text(folder / INFO_FILE) as file:
                    names = (_TRAIN, _HELDOUT) if heldout else (_TRAIN,)
                    digests = {name: file_sha256(folder / name) for name in names}
                    info = dataclasses.replace(info, data_sha256=digests)
                    file.write(json.dumps(dataclasses.asdict(info), indent=2) + "\n")
        except OutputError as error:
            # Another process may have taken the place meanwhile; then that is what to tell.
            check_is_free(path)
            # The cause, under the name of the run instead of the temporary one.
            raise (cannot_write(path, error.__cause__) if isinstance(error.__cause__, OSError) else error) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open the run at ``path``.

        Raises:
            RunFolderError: there is no run, or one of another format.
            ConfigError: its configuration can't be used.
        """
        info = read_info(path)
        return cls(path, info, _saved_config(path))

    @property
    def total_steps(self) -> int:
        """The steps that the run has when it is complete."""
        return self.config.training.steps if self.info.kind == "self-play" else self.config.warmstart.steps

    def change_steps(self, steps: int) -> None:
        """Let the run be ``steps`` long from now on; the rest of its configuration is fixed.

        Raises:
            ConfigError: ``steps`` is out of bounds.
            OutputError: the configuration can't be written; it is as it was.
        """
        section = "training" if self.info.kind == "self-play" else "warmstart"
        changed = dataclasses.replace(getattr(self.config, section), steps=steps)
        config = dataclasses.replace(self.config, **{section: changed})
        check_config(config)
        self._write_config(self.path, config, has_heldout=config.data.heldout is not None)
        self.config = config

    def check_model(self) -> None:
        """Check, before the run goes on, that its model's name still means what it meant when the run began.

        Raises:
            RunFolderError: the model's folder is gone, or a folder now has the name of a model of the hub.
        """
        model = self.config.policy.model
        if is_folder_name(model) and not Path(model).is_dir():
            raise RunFolderError(
                f"{self.path} began with the model in {model}, and there is no such folder now. If it was moved, write "
                f"its new place into {self.path / CONFIG_FILE} (policy.model)."
            )
        if settled_model(model) != model and not is_folder_name(model):
            raise RunFolderError(
                f"{self.path} began with the model {model} of the Hugging Face hub, and a folder of that name is here: "
                "resume it from another folder, so that it is clear which is meant."
            )

    def check_games_are_there(self) -> None:
        """Check, before the run goes on from a checkpoint, that the games so far are there.

        Raises:
            TrainingError: their file is gone.
        """
        path = self.path / GAMES_FILE
        if self.info.kind == "self-play" and not path.exists():
            raise TrainingError(
                f"{path} is gone, and the games of the steps so far with it. Bring it back, or make an empty file of "
                "that name to go on without them."
            )

    def data_problem(self) -> str | None:
        """A sentence on data that is not what the run began with; None where it is, or nobody knows."""
        known = self.info.data_sha256
        changed = [name for name, digest in known.items() if digest != file_sha256(self.path / name)]
        if not changed:
            return None
        return (
            f"{' and '.join(changed)} of {self.path} changed since the run began: steps from now on are played with "
            "other notes than those before."
        )

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints of this run."""
        return Checkpoints(self.path / "checkpoints")

    @property
    def final_path(self) -> Path:
        """Where the trained model goes."""
        return self.path / FINAL_FOLDER

    @property
    def opponents_path(self) -> Path:
        """Where past selves go that play again."""
        return self.path / "opponents"

    @property
    def abandoned_path(self) -> Path:
        """Where lines of steps go that are played again."""
        return self.path / "abandoned"

    @property
    def tensorboard_path(self) -> Path:
        """Where TensorBoard's event files go."""
        return self.path / "tensorboard"

    @contextmanager
    def locked(self) -> Generator[None]:
        """Work in this run alone, and clear away what a killed process left half-made.

        Raises:
            RunFolderError: another process works here; it is named.
        """
        with exclusive_lock(self.path / "lock"):
            for folder in (self.path, self.checkpoints.folder, self.opponents_path):
                remove_leftovers(folder, _WRITTEN_WHOLE)
            yield

    def training_records(self) -> list[TrainingRecord]:
        """The records this run plays with. They never change, so they are read once.

        Raises:
            DataError: the file is damaged.
        """
        if self._training_records is None:
            self._training_records = read_jsonl(self.path / _TRAIN, TrainingRecord)
        return list(self._training_records)

    def heldout_records(self) -> list[TrainingRecord]:
        """The records of its evaluations, read once as well; empty where there are none.

        Raises:
            DataError: the file is damaged.
        """
        if self._heldout_records is None:
            path = self.path / _HELDOUT
            self._heldout_records = read_jsonl(path, TrainingRecord) if path.exists() else []
        return list(self._heldout_records)

    def append_games(self, games: Iterable[Game]) -> None:
        """Append ``games``: all of them are on the disk when this returns, or none.

        Raises:
            OutputError: they can't be written; the file is as it was.
            TrainingError: a game holds a number that is not finite.
        """
        append_lines(self.path / GAMES_FILE, map(_game_line, games))

    def append_heldout_games(self, games: Iterable[Game]) -> None:
        """As :meth:`append_games`, for games of an evaluation."""
        append_lines(self.path / HELDOUT_GAMES_FILE, map(_game_line, games))

    def append_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append the metrics of one step.

        Raises:
            OutputError: they can't be written; the file is as it was.
            TrainingError: some are not finite.
        """
        bad = [f"{name} = {value}" for name, value in values.items() if not isfinite(value)]
        if bad:
            raise TrainingError(
                f"the metrics of step {step} are not finite: {', '.join(bad)}. Training has diverged: go back to "
                "the last checkpoint and lower training.learning_rate, or set policy.precision to fp32."
            )
        append_lines(self.path / METRICS_FILE, [to_line(StepMetrics(step, dict(values)))])

    def games(self) -> Iterator[Game]:
        """The games played so far, in order.

        Raises:
            DataError: a line is damaged; it is named.
        """
        return read_lines(self.path / GAMES_FILE, Game)

    def heldout_games(self) -> Iterator[Game]:
        """The games of the evaluations so far; raises as :meth:`games` does."""
        return read_lines(self.path / HELDOUT_GAMES_FILE, Game)

    def metrics(self) -> Iterator[StepMetrics]:
        """The metrics so far; raises as :meth:`games` does."""
        return read_lines(self.path / METRICS_FILE, StepMetrics)

    def rewind(self, step: int) -> int:
        """Go back to the state after ``step`` completed steps, before a resume from that checkpoint.

        Lines of later steps, and a line that a killed process left half-written, move to ``abandoned/``, so that the
        main files hold one history and nothing is lost. Returns how many lines moved.

        Raises:
            DataError: an earlier line is damaged.
            OutputError: ``abandoned/`` can't be written; nothing of that file was changed.
        """
        abandoned = self.abandoned_path
        return (
            abandon_from(self.path / GAMES_FILE, abandoned / GAMES_FILE, step, GameLine)
            + abandon_from(self.path / HELDOUT_GAMES_FILE, abandoned / HELDOUT_GAMES_FILE, step, GameLine)
            + abandon_from(self.path / METRICS_FILE, abandoned / METRICS_FILE, step, StepLine)
        )

    @staticmethod
    def _write_config(folder: Path, config: RunConfig, *, has_heldout: bool) -> None:
        data = DataConfig(train=_TRAIN, heldout=_HELDOUT if has_heldout else None)
        with atomic_text(folder / CONFIG_FILE) as file:
            file.write(to_toml(dataclasses.replace(config, data=data)))


def run_around(path: Path) -> RunFolder | None:
    """The run in whose folder ``path``, a model's or a checkpoint's, lies; None where there is none.

    Raises:
        RunFolderError: the run can't be read.
    """
    around = folder_around(path.resolve())
    return None if around is None else RunFolder.open(around)


def _game_line(game: Game) -> str:
    try:
        return to_line(game)
    except ValueError as error:
        raise TrainingError(
            f"game {game.spec.id} can't be saved: {error}. The policy gave no finite numbers."
        ) from error
