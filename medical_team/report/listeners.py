"""The listeners of a run that a person follows."""

from __future__ import annotations

from ..rl.listeners import Listener
from .alarm_listener import AlarmListener
from .display import Display
from .tensorboard import TensorBoardListener


def usual_listeners(display: Display) -> list[Listener]:
    """``display``, TensorBoard's event files, and the alarms, which both speak through the display."""
    return [display, TensorBoardListener(display.notice), AlarmListener(display.warn)]
