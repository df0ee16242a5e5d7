"""When each alarm of a run was up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .alarms import LONG, alarms

MAX_LOOKS = 500
"""A longer run is looked at in as many places, evenly spread."""

_LOOK_BACK = 10 * LONG


@dataclass(frozen=True)
class AlarmSpan:
    """One alarm of a run."""

    name: str
    sentence: str
    """As it was last said: what was seen, and what to try."""
    first_step: int
    last_step: int
    is_up: bool
    """Whether it still holds at the run's last step."""


def alarm_spans(metrics: Mapping[int, Mapping[str, float]]) -> list[AlarmSpan]:
    """The alarms over a run, those still up first, by the metrics of each step in order."""
    steps, values = list(metrics), list(metrics.values())
    stride = -(-len(steps) // MAX_LOOKS) or 1
    # Counted back from the end, so that the last step is always looked at.
    looks = sorted(range(len(steps) - 1, -1, -stride))
    spans: dict[str, AlarmSpan] = {}
    for look in looks:
        for name, sentence in alarms(values[max(0, look + 1 - _LOOK_BACK) : look + 1]).items():
            first = spans[name].first_step if name in spans else steps[look]
            spans[name] = AlarmSpan(name, sentence, first, steps[look], is_up=look == looks[-1])
    return sorted(spans.values(), key=lambda span: (not span.is_up, span.first_step))
