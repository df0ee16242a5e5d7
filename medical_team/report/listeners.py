"""Who listens to a run beside its display: trackers of experiments (Weights & Biases and Trackio, behind the same few
methods), TensorBoard where it is installed, and alarms, each told once."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from ..callbacks import Notify
from ..config import TrackerName, TrackingConfig
from ..errors import MedicalTeamError, RunFolderError
from ..files import atomic_text
from ..metrics.alarms import alarms
from ..metrics.cycling import Attacks, attacks_of
from ..network.proxies import privacy_warning
from ..records import Game
from ..rl.protocols import Listener
from ..runs.folder import RunFolder
from .display import Display
from .game_export import game_row

_OWN_SERVER = "https://api.wandb.ai"
_STEP = "step"
_DESTINATIONS = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL")

TRACKED_COLUMNS = (
    "id", "category", "state", "verdict", "reason", "attacker_total", "assessor_total", "note", "seed_note",
)  # fmt: skip
"""Of the flat row of a game. No thinking is in them."""


class Tracker(Protocol):
    """One tracker that has been started."""

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Sequence[object]]) -> None:
        """Keep the metrics of a step, and its table of games, which may be empty."""
        ...

    def finish(self) -> None:
        """The run is complete, stopped, or cut short."""
        ...


@dataclass(frozen=True)
class _Started:
    """A tracker by its library, both of which have the same few names."""

    library: Any
    run: Any
    has_steps: bool
    """Whether its own counter of steps can go back to the one from which a run is resumed."""

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Sequence[object]]) -> None:
        """Keep the metrics of a step, and its games as a table."""
        values: dict[str, Any] = dict(metrics)
        if games:
            values["games"] = self.library.Table(columns=list(TRACKED_COLUMNS), data=[list(row) for row in games])
        if self.has_steps:
            self.run.log(values, step=step)
        else:
            self.run.log({**values, _STEP: step})

    def finish(self) -> None:
        """Write what is left."""
        self.run.finish()


def start_tracker(name: TrackerName, run: RunFolder, run_id: str) -> Tracker:
    """The tracker ``name``, started for ``run``, or going on with what it has of ``run_id``.

    Raises:
        ModuleNotFoundError: its package is not installed.
    """
    library: Any = importlib.import_module(name)
    return (_wandb if name == "wandb" else _trackio)(library, run, run_id)


def _wandb(library: Any, run: RunFolder, run_id: str) -> _Started:
    """Offline its files lie in the run's folder, and ``wandb sync`` sends them."""
    tracking = run.config.tracking
    (run.path / _FOLDER).mkdir(parents=True, exist_ok=True)
    started = library.init(
        project=tracking.project,
        name=run.path.name,
        id=run_id,
        resume="allow",
        dir=str(run.path / _FOLDER),
        config=dataclasses.asdict(run.config),
        mode="online" if tracking.online else "offline",
        save_code=False,
        # What the program prints may hold notes, and what it is started with may hold paths.
        settings=library.Settings(console="off", silent=True, disable_git=True, x_disable_meta=True),
    )
    started.define_metric(_STEP)
    started.define_metric("*", step_metric=_STEP)
    return _Started(library, started, has_steps=False)


def _trackio(library: Any, run: RunFolder, run_id: str) -> _Started:
    """Its files lie where it keeps all of them (``TRACKIO_DIR``), so that ``trackio show`` finds them."""
    with _no_destination_of_the_environment():
        started = library.init(
            project=run.config.tracking.project,
            name=f"{run.path.name}-{run_id}",
            space_id=space_of(run.config.tracking),
            private=True,
            config=dataclasses.asdict(run.config),
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
    return _Started(library, started, has_steps=True)


def space_of(tracking: TrackingConfig) -> str | None:
    """Trackio's Space; None: nothing leaves this machine by Trackio."""
    return (tracking.space or None) if tracking.online else None


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
        self, notice: Notify, warn: Notify, start: Callable[[TrackerName, RunFolder, str], Tracker] = start_tracker
    ) -> None:
        self._notice = notice
        self._warn = warn
        self._start_tracker = start
        self._trackers: dict[TrackerName, Tracker] = {}
        self._config = TrackingConfig()

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Start the trackers, or go on with what they have of this run."""
        self._config = run.config.tracking
        for name in dict.fromkeys(self._config.trackers):
            self._attempt(name, lambda name=name: self._start(name, run))

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one step, and a table of its first games."""
        told = [game_row(game, is_heldout=False) for game in games[: self._config.games_per_step]]
        rows = [[row[name] for name in TRACKED_COLUMNS] for row in told]
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, lambda tracker=tracker: tracker.log(step, metrics, rows))

    def run_ended(self) -> None:
        """Let them write what is left."""
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, tracker.finish)

    def _start(self, name: TrackerName, run: RunFolder) -> None:
        tracking, space = run.config.tracking, space_of(run.config.tracking)
        if name == "trackio" and tracking.online and space is None:
            self._notice("Trackio keeps the run on this machine: tracking.online needs tracking.space, OWNER/NAME.")
        run_id = _run_id(run)
        sent = "notes of games, with metrics and configuration," if tracking.games_per_step else "metrics"
        server, receiver = os.environ.get("WANDB_BASE_URL") or _OWN_SERVER, "Weights & Biases"
        if name == "trackio":
            server, receiver = f"https://huggingface.co/spaces/{space}", "Trackio"
        is_sent = tracking.online if name == "wandb" else space is not None
        if is_sent and (warning := privacy_warning(server, sent=sent, receiver=receiver)):
            self._warn(warning)
        self._trackers[name] = self._start_tracker(name, run, run_id)

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
    known = path.read_text(encoding="utf-8", errors="replace").strip()
    if not _ANY_ID.fullmatch(known):
        raise RunFolderError(f"{path} holds no id of a run: remove it, and trackers begin a new run at the next resume")
    return known


class AlarmListener(Listener):
    """Looks at the metrics after each step, and warns of each alarm when it is first up.

    Args:
        warn: told a sentence that names what was seen and what to try.
    """

    def __init__(self, warn: Notify) -> None:
        self._warn = warn
        self._history: list[Mapping[str, float]] = []
        self._attacks: dict[int, Attacks] = {}
        self._told: set[str] = set()

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Recall what the run recorded so far."""
        self._history = [metrics.values for metrics in run.metrics()]
        if run.config.opponents.add_every:
            played = groupby(run.games(), key=lambda game: game.spec.step)
            self._attacks = {step: attacks_of(list(games)) for step, games in played}

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Look at the metrics of one more step."""
        self._history.append(metrics)
        self._attacks[step] = attacks_of(games)
        for name, sentence in alarms(self._history, self._attacks).items():
            if name not in self._told:
                self._warn(sentence)
                self._told.add(name)


class TensorBoardListener(Listener):
    """Writes metrics as scalars. Where TensorBoard is missing, it says so once.

    Args:
        notice: told, once, why nothing is written.
    """

    def __init__(self, notice: Notify) -> None:
        self._notice = notice
        self._writer: Any = None

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Open the event files of ``run``. What an earlier process wrote from ``first_step`` on is hidden."""
        try:
            # Imported here: it brings torch, and may be missing.
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            self._notice(
                "No TensorBoard: it is not installed (pip install tensorboard). The metrics are in metrics.jsonl all "
                "the same."
            )
        else:
            self._writer = SummaryWriter(log_dir=str(run.tensorboard_path), purge_step=first_step)

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Write the metrics of one step."""
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def run_ended(self) -> None:
        """Finish the event files."""
        if self._writer is not None:
            self._writer.close()


def usual_listeners(display: Display) -> list[Listener]:
    """``display``, TensorBoard's event files, the trackers, and the alarms; all of them speak through the display."""
    return [
        display,
        TensorBoardListener(display.notice),
        TrackingListener(display.notice, display.warn),
        AlarmListener(display.warn),
    ]
