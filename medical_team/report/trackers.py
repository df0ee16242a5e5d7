"""Trackers of experiments, Weights & Biases and Trackio, behind the same few methods: what they are told, the table
of games that they keep, and the one listener that tells those which a run's configuration asks for."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..callbacks import Notify
from ..engine_config import TrackerName, TrackingConfig
from ..errors import MedicalTeamError, RunFolderError
from ..files import atomic_text
from ..network.proxies import privacy_warning
from ..records import Game, Role
from ..rl.protocols import Listener
from ..runs.folder import RunFolder

_OWN_SERVER = "https://api.wandb.ai"
_STEP = "step"
_DESTINATIONS = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL")

COLUMNS = ("game", "category", "state", "verdict", "reason", "attacker_reward", "assessor_reward", "note", "seed_note")

Row = list[str | float | None]


@dataclass(frozen=True)
class TrackedRun:
    """The run as a tracker knows it."""

    id: str
    """The same after a resume, and wherever the run's folder lies."""
    name: str
    project: str
    folder: Path
    """Where a tracker may keep files."""
    config: Mapping[str, Any]
    space: str | None
    """Trackio's Space; None: nothing leaves this machine by Trackio."""
    is_online: bool


class Tracker(Protocol):
    """One tracker that has been started."""

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Row]) -> None:
        """Keep the metrics of a step, and its table of games, which may be empty."""
        ...

    def finish(self) -> None:
        """The run is complete, stopped, or cut short."""
        ...


def game_row(game: Game) -> Row:
    """The row of ``game``, in the order of ``COLUMNS``. No thinking is in it."""
    totals = {reward.role: reward.total for reward in game.rewards}
    return [
        game.spec.id,
        game.spec.data_type.value,
        game.state.value,
        game.verdict.value if game.verdict is not None else None,
        game.reason,
        totals.get(Role.ATTACKER),
        totals.get(Role.ASSESSOR),
        game.note,
        game.spec.seed_note,
    ]


def receiver_of(name: TrackerName, run: TrackedRun) -> tuple[str, str] | None:
    """The address to which the tracker ``name`` sends, and who is there; None where nothing leaves this machine."""
    if name == "wandb":
        return (os.environ.get("WANDB_BASE_URL") or _OWN_SERVER, "Weights & Biases") if run.is_online else None
    return (f"https://huggingface.co/spaces/{run.space}", "Trackio") if run.space is not None else None


def start_tracker(name: TrackerName, run: TrackedRun) -> Tracker:
    """The tracker ``name``, started for ``run``.

    Raises:
        ModuleNotFoundError: its package is not installed.
    """
    return WandbTracker(run) if name == "wandb" else TrackioTracker(run)


class WandbTracker:
    """Weights & Biases: one run, gone on with under the same id after a resume.

    Offline its files lie in the run's folder, and ``wandb sync`` sends them.

    Raises:
        ModuleNotFoundError: wandb is not installed.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._wandb = importlib.import_module("wandb")
        run.folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = self._wandb.init(
            project=run.project,
            name=run.name,
            id=run.id,
            resume="allow",
            dir=str(run.folder),
            config=dict(run.config),
            mode="online" if run.is_online else "offline",
            save_code=False,
            # What the program prints may hold notes, and what it is started with may hold paths.
            settings=self._wandb.Settings(console="off", silent=True, disable_git=True, x_disable_meta=True),
        )
        # Its own counter can't go back to the step from which a run is resumed.
        self._run.define_metric(_STEP)
        self._run.define_metric("*", step_metric=_STEP)

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Row]) -> None:
        """Keep the metrics of a step, and its games as a table."""
        values: dict[str, Any] = {**metrics, _STEP: step}
        if games:
            values["games"] = self._wandb.Table(columns=list(COLUMNS), data=list(games))
        self._run.log(values)

    def finish(self) -> None:
        """Write what is left."""
        self._run.finish()


class TrackioTracker:
    """Trackio: one run, gone on with under the same name after a resume.

    Its files lie where it keeps all of them (``TRACKIO_DIR``), so that ``trackio show`` finds them.

    Raises:
        ModuleNotFoundError: trackio is not installed.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._trackio = importlib.import_module("trackio")
        with _no_destination_of_the_environment():
            self._run: Any = self._trackio.init(
                project=run.project,
                name=f"{run.name}-{run.id}",
                space_id=run.space,
                private=True,
                config=dict(run.config),
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Row]) -> None:
        """Keep the metrics of a step, and its games as a table."""
        values: dict[str, Any] = dict(metrics)
        if games:
            values["games"] = self._trackio.Table(columns=list(COLUMNS), data=[list(row) for row in games])
        self._run.log(values, step=step)

    def finish(self) -> None:
        """Write what is left."""
        self._run.finish()


@contextmanager
def _no_destination_of_the_environment() -> Generator[None]:
    """Only the configuration says where to send: what the environment names would get notes without a warning."""
    named = {name: os.environ.pop(name) for name in _DESTINATIONS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(named)


_FOLDER = "tracking"
_ID = "id"
_ANY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXTRA = "pip install 'medical-team[tracking]'"


class TrackingListener(Listener):
    """Tells the trackers of ``[tracking]``. One that is missing or fails is named once, and the run goes on.

    Args:
        notice: told why a tracker is not told.
        warn: told where notes go, before any leaves this machine.
        start: starts a tracker.
    """

    def __init__(
        self, notice: Notify, warn: Notify, start: Callable[[TrackerName, TrackedRun], Tracker] = start_tracker
    ) -> None:
        self._notice = notice
        self._warn = warn
        self._start_tracker = start
        self._trackers: dict[TrackerName, Tracker] = {}
        self._config = TrackingConfig()

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Start the trackers, or go on with what they have of this run."""
        self._config = run.config.tracking
        if not self._config.trackers:
            return
        for name in dict.fromkeys(self._config.trackers):
            self._attempt(name, lambda name=name: self._start(name, _tracked(run)))

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one step, and a table of its first games."""
        rows: list[Row] = [game_row(game) for game in games[: self._config.games_per_step]]
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, lambda tracker=tracker: tracker.log(step, metrics, rows))

    def run_ended(self) -> None:
        """Let them write what is left."""
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, tracker.finish)

    def _start(self, name: TrackerName, run: TrackedRun) -> None:
        if name == "trackio" and run.is_online and run.space is None:
            self._notice("Trackio keeps the run on this machine: tracking.online needs tracking.space, OWNER/NAME.")
        if (receiver := receiver_of(name, run)) is not None:
            self._tell_where(*receiver)
        self._trackers[name] = self._start_tracker(name, run)

    def _tell_where(self, url: str, receiver: str) -> None:
        sent = "notes of games, with metrics and configuration," if self._config.games_per_step else "metrics"
        if warning := privacy_warning(url, sent=sent, receiver=receiver):
            self._warn(warning)

    def _attempt(self, name: TrackerName, work: Callable[[], None]) -> None:
        try:
            work()
        except ModuleNotFoundError as error:
            self._give_up(name, f"{error.name} is not installed ({_EXTRA})")
        except MedicalTeamError as error:
            self._give_up(name, str(error).removesuffix("."))
        except Exception as error:  # noqa: BLE001 - whatever a tracker runs into, the run and the other one must go on
            self._give_up(name, f"it failed with {type(error).__name__}: {error}")

    def _give_up(self, name: TrackerName, reason: str) -> None:
        self._trackers.pop(name, None)
        self._notice(f"No {name}: {reason}. The metrics are in metrics.jsonl all the same.")


def _tracked(run: RunFolder) -> TrackedRun:
    tracking = run.config.tracking
    return TrackedRun(
        id=_run_id(run),
        name=run.path.name,
        project=tracking.project,
        folder=run.path / _FOLDER,
        config=dataclasses.asdict(run.config),
        space=(tracking.space or None) if tracking.online else None,
        is_online=tracking.online,
    )


def _run_id(run: RunFolder) -> str:
    """The id under which trackers know the run: drawn once, and kept in its folder.

    Raises:
        RunFolderError: the file of the id holds none.
        OutputError: it can't be written.
    """
    path = run.path / _FOLDER / _ID
    if not path.exists():
        with atomic_text(path) as file:
            file.write(f"{uuid.uuid4().hex[:12]}\n")
    try:
        known = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        known = ""
    if not _ANY_ID.fullmatch(known):
        raise RunFolderError(f"{path} holds no id of a run: remove it, and trackers begin a new run at the next resume")
    return known
