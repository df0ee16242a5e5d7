"""The trackers that a run's configuration asks for, as one listener."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence

from ..callbacks import Notify
from ..engine_config import TrackerName, TrackingConfig
from ..files import atomic_text
from ..network.proxies import privacy_warning
from ..records import Game
from ..rl.protocols import Listener
from ..runs.folder import RunFolder
from .trackers import Row, TrackedRun, Tracker, game_row, receiver_of, start_tracker

_FOLDER = "tracking"
_ID = "id"
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
        tracked = _tracked(run)
        for name in dict.fromkeys(self._config.trackers):
            self._attempt(name, lambda name=name: self._start(name, tracked))

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
    """The id under which trackers know the run: drawn once, and kept in its folder."""
    path = run.path / _FOLDER / _ID
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_text(path) as file:
            file.write(f"{uuid.uuid4().hex[:12]}\n")
    return path.read_text(encoding="utf-8").strip()
