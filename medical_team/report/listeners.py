"""The listeners of a run that a person follows."""

from __future__ import annotations

from ..rl.protocols import Listener
from .alarm_listener import AlarmListener
from .display import Display
from .tensorboard import TensorBoardListener
from .tracking import TrackingListener


def usual_listeners(display: Display) -> list[Listener]:
    """``display``, TensorBoard's event files, the trackers, and the alarms; all of them speak through the display."""
    return [
        display,
        TensorBoardListener(display.notice),
        TrackingListener(display.notice, display.warn),
        AlarmListener(display.warn),
    ]
