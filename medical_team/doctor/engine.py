"""The training engine: installed, in the right version, the fork's package replaced, its Ray cluster there, the
command line understood."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..engines.installed import (
    OPENRLHF_VERSION,
    PACKAGE_FOLDER,
    check_with_parser,
    copy_problems,
    engine_paths,
    engine_warnings,
    import_problems,
    missing_engine,
    playing_problem,
)
from ..engines.launch import Launch, prepare
from ..errors import ConfigError, EngineError, PolicyError
from ..network.proxies import is_on_this_machine
from ..policy.vllm_room import planned_engine, vllm_version
from ..runs.config_file import check_config
from .findings import Check, Group, Seen, Status, failed, ok, skipped, warning
from .judge import ask
from .machine import RUNS
from .subject import TORCH_SECONDS, Subject, run_command

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
    answer = ask(address, "/api/version", token=None, seconds=subject.limits.service)
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
    ended = run_command([program, "status"], subject.limits.ray, environment=subject.environment)
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


RAY_CLUSTER = Group("Ray", (Check("ray", cluster, 60.0),))


_NAME_FORK = "--engine.fork selfplay-redteaming-reference   (the fork's checkout)"
_OWN = "the local engine is this package"


def installed(subject: Subject) -> Seen:
    """The engine is installed in the Python that the run names."""
    if subject.is_local:
        return ok(_OWN)
    try:
        found = subject.engine_python
    except EngineError as error:
        return failed(str(error), "--engine-python PATH/TO/ENVIRONMENT/bin/python")
    kind = subject.config.engine.kind
    problem = missing_engine(found, kind)
    if problem is not None:
        return failed(problem, "install it there, or name another Python with --engine-python")
    version = found.distributions.get("openrlhf") or "without a version"
    name = "the Self-RedTeam fork, openrlhf" if kind == "red-team-fork" else "OpenRLHF"
    seen = f"{name} {version} for Python {found.version}, {found.executable}"
    if missing := found.missing_libraries:
        install = f"{found.executable} -m pip install {' '.join(missing)}"
        return failed(f"{seen}; it doesn't train without {', '.join(missing)}", install)
    if kind == "openrlhf" and (problem := playing_problem(found)):
        return failed(problem, "do so, or name another Python with --engine-python")
    # What concerns red_team has a check of its own.
    told = [text for text in engine_warnings(found, kind) if "red_team" not in text]
    if told:
        install = f"{found.executable} -m pip install 'openrlhf[vllm]=={OPENRLHF_VERSION}'"
        return warning(f"{seen}. {'; '.join(told)}", install)
    return ok(seen)


def red_team(subject: Subject) -> Seen:
    """The fork's ``red_team`` is this package."""
    if subject.config.engine.kind != "red-team-fork":
        return skipped("only the Self-RedTeam fork has a red_team to replace")
    fork = _fork(subject)
    if fork is None:
        return failed("engine.fork is not set", _NAME_FORK)
    problems = copy_problems(fork)
    if problems:
        found, _, mend = problems[0].rpartition(": ")
        is_command = mend.startswith("rm -rf ")
        return failed(found if is_command else problems[0], mend if is_command else _NAME_FORK)
    return ok(f"{fork / 'red_team'} is this package")


def red_team_imports(subject: Subject) -> Seen:
    """The fork's Python imports every name that the fork needs."""
    fork = _fork(subject)
    if subject.config.engine.kind != "red-team-fork" or fork is None:
        return skipped("only the Self-RedTeam fork imports red_team")
    problems = import_problems(fork, subject.python)
    if problems:
        copied = fork / "red_team"
        return failed("; ".join(problems), f"rm -rf {copied} && cp -r {PACKAGE_FOLDER} {copied}")
    return ok("red_team is imported by the fork's Python, with every name that the fork needs")


def _fork(subject: Subject) -> Path | None:
    fork = subject.config.engine.fork
    return None if fork is None else Path(fork).expanduser()


def options(subject: Subject) -> Seen:
    """Nothing in the configuration contradicts the engine."""
    try:
        if subject.is_local:
            check_config(subject.config)
            return ok("no option contradicts another")
        _prepared(subject)
    except ConfigError as error:
        return failed("\n".join(error.problems), "set the options that are named")
    return ok("no option contradicts the engine")


def command(subject: Subject) -> Seen:
    """The engine's own parser accepts the command that will be launched."""
    config = subject.config
    if subject.is_local:
        return skipped(_OWN)
    try:
        launch = _prepared(subject)
    except ConfigError:
        return skipped("can't be checked: the check 'engine_options' failed")
    told = check_with_parser(launch.python, launch.command.arguments, engine_paths(config.engine))
    if not told.is_accepted:
        return failed(
            f"{config.engine.kind} refuses the command: {told.problem}",
            "change the option that it names; `medical-team train RUN.toml --dry-run` prints the command",
        )
    changed = f" ({len(told.remarks)} remarks: {told.remarks[0]})" if told.remarks else ""
    return ok(f"the engine's parser accepts the command{changed}")


def _prepared(subject: Subject) -> Launch:
    path = subject.run_folder or RUNS / "doctor"
    return prepare(subject.config, path, has_heldout=subject.config.data.heldout is not None)


def rollout(subject: Subject) -> Seen:
    """What draws the replies of the local engine can be had, and is asked for nothing that it can't do."""
    if not subject.is_local:
        return skipped(f"the engine {subject.config.engine.kind} draws replies itself")
    config = subject.config.rollout
    # Only what is chosen by itself depends on the device.
    has_gpu = config.engine == "auto" and not subject.avoids_gpu and bool(subject.torch.gpus)
    try:
        planned = planned_engine(config, "cuda" if has_gpu else "cpu")
    except PolicyError as error:
        return failed(str(error), "set what the line names")
    name = f"{vllm_version()}, if it starts with this model" if planned.is_vllm else "the built-in engine"
    return ok(f"replies are drawn by {name}: {planned.why}")


GROUP = Group(
    "Engine",
    (
        Check("engine", installed, 90.0),
        Check("rollout_engine", rollout, TORCH_SECONDS + 30),
        Check("red_team", red_team),
        Check("red_team_imports", red_team_imports, 90.0, after="red_team"),
        Check("engine_options", options),
        Check("engine_command", command, 150.0, after="engine"),
    ),
)
