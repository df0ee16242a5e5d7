"""Making checks one after the other, so that none can hang or end the examination, and no secret gets out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from ..errors import MedicalTeamError
from . import data, engine, judge, machine, models
from .findings import Check, Finding, Group, Seen, Status, failed, skipped
from .subject import Subject

GROUPS: tuple[Group, ...] = (
    machine.LIBRARIES,
    data.GROUP,
    models.GROUP,
    engine.GROUP,
    engine.RAY_CLUSTER,
    judge.GROUP,
    machine.GPU,
    machine.GROUP,
)
"""All checks, in the order in which a newcomer would ask: what is here, what is missing, what doesn't fit."""


def examine(groups: Sequence[Group], subject: Subject) -> Iterator[Finding]:
    """The finding of each check of ``groups``, in order, each as soon as it is known."""
    statuses: dict[str, Status] = {}
    for group in groups:
        for check in group.checks:
            started = time.monotonic()
            seen = _seen(check, subject, statuses)
            statuses[check.name] = seen.status
            yield Finding(
                group=group.title,
                name=check.name,
                status=seen.status,
                found=subject.secrets.hidden_in(seen.found),
                mend=subject.secrets.hidden_in(seen.mend),
                seconds=round(time.monotonic() - started, 3),
            )


def _seen(check: Check, subject: Subject, statuses: dict[str, Status]) -> Seen:
    before = statuses.get(check.after)
    if before is not None and before in _ENDED:
        return skipped(f"can't be checked: the check {check.after!r} {_ENDED[before]}")
    return _in_time(lambda: check.look(subject), check.seconds)


_ENDED = {Status.FAILED: "failed", Status.SKIPPED: "was skipped"}


def _in_time(look: Callable[[], Seen], seconds: float) -> Seen:
    """What ``look`` sees, or a failure when it breaks or takes longer than ``seconds``."""
    seen: list[Seen] = []
    # A daemon: where a file system or a driver never answers, the program must be able to end all the same.
    thread = threading.Thread(target=lambda: seen.append(_unbroken(look)), daemon=True)
    thread.start()
    thread.join(seconds)
    if seen:
        return seen[0]
    return failed(
        f"no result within {seconds:g} seconds",
        "look why this machine is so slow to answer (a network drive, a driver, a server that hangs), then try again",
    )


def _unbroken(look: Callable[[], Seen]) -> Seen:
    try:
        return look()
    except MedicalTeamError as error:
        return failed(str(error), "do what the message says")
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding; the others go on
        reason = str(error) or "no reason given"
        return failed(
            f"the check itself broke: {type(error).__name__}: {reason}",
            "a defect of this program, or of the machine: please report it with this line",
        )
