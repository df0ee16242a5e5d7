"""The Ray cluster, where the engine needs one that is running already."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..network.addresses import is_on_this_machine
from .commands import run_command
from .findings import Check, Group, Seen, Status, failed, ok, skipped
from .judge_server import ask
from .subject import Subject

_SECONDS = 30.0
_PROBE_SECONDS = 10.0
_START = "ray start --head"
_MORE = "add machines: ray start --address=HEAD:6379; or lower engine.nodes and engine.gpus_per_node"
_GPUS = re.compile(r"[\d.]+/([\d.]+)\s+GPU\b")


def cluster(subject: Subject) -> Seen:
    """The cluster that a job is submitted to answers, and has the GPUs."""
    engine = subject.config.engine
    if subject.is_local:
        return skipped("the local engine needs no Ray")
    if engine.submission == "direct":
        return ok("no cluster is needed: a direct launch starts a Ray of its own, on this machine")
    seen = _dashboard(subject)
    program = _program(subject)
    if seen.status is not Status.OK:
        return seen
    if program is None:
        found = f"{seen.found}, and there is no program ray beside {subject.python} to submit a job with"
        return failed(found, f"{subject.python} -m pip install 'ray[default]'")
    # Only on the cluster's own machines does `ray status` know of it.
    return _gpus(subject, program, seen) if is_on_this_machine(engine.ray_address) else seen


def _dashboard(subject: Subject) -> Seen:
    address = subject.config.engine.ray_address.rstrip("/")
    answer = ask(address, "/api/version", token=None, seconds=_PROBE_SECONDS)
    version = answer.body.get("ray_version") if isinstance(answer.body, dict) else None
    if answer.status == 200 and isinstance(version, str):
        return ok(f"Ray {version} answers at {address}")
    where = "" if is_on_this_machine(address) else " on the cluster's head, then: ssh -L 8265:localhost:8265 HEAD"
    start = f"{_START}{where}; or set engine.ray_address"
    if answer.status is None:
        return failed(f"no Ray dashboard answers at {address}: {answer.problem}", start)
    return failed(f"what answers at {address} is no Ray dashboard: {answer.reason}", start)


def _program(subject: Subject) -> str | None:
    beside = Path(subject.python).with_name("ray")
    return str(beside) if beside.exists() else shutil.which("ray", path=subject.environment.get("PATH"))


def _gpus(subject: Subject, program: str, seen: Seen) -> Seen:
    """Whether the cluster has as many GPUs as the run wants; what can't be told is left open."""
    ended = run_command([program, "status"], _SECONDS, environment=subject.environment)
    if not ended.is_well:
        return ok(f"{seen.found}; how many GPUs it has can't be told here ({ended.reason})")
    engine = subject.config.engine
    wanted = engine.nodes * engine.gpus_per_node
    gpus = _GPUS.search(ended.output)
    if gpus is None:
        return failed(f"{seen.found} and has no GPU; the run wants {wanted}", _MORE)
    if float(gpus[1]) < wanted:
        return failed(f"{seen.found} and has {float(gpus[1]):g} GPUs; the run wants {wanted}", _MORE)
    return ok(f"{seen.found}, with {float(gpus[1]):g} GPUs")


GROUP = Group("Ray", (Check("ray", cluster, 60.0),))
