"""``medical-team train``: self-play on this machine, or launched on an engine; and ``--plan``, what a run would cost,
before anything starts, and what a step of it takes here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypeVar

import tyro

from ..config import RunConfig
from ..engines.openrlhf.command import openrlhf_problems
from ..engines.red_team_fork.command import red_team_fork_problems
from ..errors import MissingDependencyError, UsageError
from ..planning.memory import is_local_on_gpu
from ..planning.plan import GIB, Measurement, MemoryPlan, Plan, Unknown
from ..planning.planner import plan_json, plan_of, plan_text
from ..report.display import make_display, void_summary
from ..report.listeners import usual_listeners
from ..runs.config_file import check_config, load_config, load_preset
from ..runs.folder import RunFolder, RunKind, saved_config
from ..terminal_text import shell_word
from ..this_machine import free_memory_bytes, has_nvidia_driver
from .arguments import parse, say, with_judge_spelled_out
from .main import EXIT_INTERRUPTED
from .train_engine import launch_again, launch_new, with_engine_spelled_out


@dataclass(frozen=True)
class PlanArguments:
    """Planning instead of training."""

    plan: bool = False
    """Print what the run would take (steps, samples, tokens, memory by part, disk, time), and start nothing."""
    plan_json: bool = False
    """The same as JSON."""
    plan_without_probe: bool = False
    """Only reckon: load no model, and measure no step of it."""

    @property
    def is_wanted(self) -> bool:
        """Whether to plan instead of training."""
        return self.plan or self.plan_json or self.plan_without_probe


NO_PLAN = PlanArguments()
"""Train."""


@dataclass(frozen=True)
class TrainArguments:
    """Train an attacker and an assessor against each other.

    Give a TOML file, a preset, dotted options, or nothing at all: then SmolLM2-135M-Instruct plays with the synthetic
    notes that ship. Options come on top of the file or the preset.
    """

    config_file: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN.toml")] = None
    """The run's TOML file."""
    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Values that ship: checklist (the OpenRLHF recipe's), demo (the quickstart's), smoke (a tiny random model),
    medec-cpu (SmolLM2 on MEDEC, which rewrites sentences), or for OpenRLHF on GPUs: gpu-24gb, gpu-80gb, gpu-8x80gb."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the new run; without it, runs/ and the time."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of a run to go on with from its last checkpoint; of the options only --training.steps may change."""
    planning: Annotated[PlanArguments, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff] = NO_PLAN
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """With an engine: print the exact command and its environment, after all checks that start nothing."""
    config: Annotated[RunConfig, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff] = field(default_factory=RunConfig)


TrainingT = TypeVar("TrainingT", bound=TrainArguments)


@dataclass(frozen=True)
class WarmStartArguments(TrainArguments):
    """Teach a model to play from demonstrations, before self-play.

    Takes what `train` takes, the same file included; [warmstart] holds its steps and learning rate. Self-play then
    starts from the folder `final` of the run.
    """

    # Plans and engines are for self-play.
    planning: Annotated[PlanArguments, tyro.conf.arg(name=""), tyro.conf.Suppress, tyro.conf.Fixed] = NO_PLAN
    dry_run: Annotated[bool, tyro.conf.Suppress, tyro.conf.Fixed] = False


def main(arguments: Sequence[str]) -> int:
    """Run the command ``train``."""
    return run_command(TrainArguments, "train", "self-play", arguments)


def run_command(arguments_type: type[TrainArguments], command: str, kind: RunKind, arguments: Sequence[str]) -> int:
    """Make or resume a run of ``kind``, as ``arguments`` say."""
    chosen = read_arguments(arguments_type, command, arguments)
    if chosen.planning.is_wanted:
        return show_plan(chosen.config, chosen.planning)
    if kind == "self-play" and chosen.config.engine.kind != "local":
        return _launch(chosen)
    if chosen.dry_run:
        raise UsageError("--dry-run prints what is launched on an engine: add --engine openrlhf or red-team-fork")
    session = training_session()
    if chosen.resume is not None:
        path, steps = chosen.resume, _changed_steps(chosen.resume, chosen, kind)
        with make_display() as display:
            result = session.resume_run(path, usual_listeners(display), kind=kind, steps=steps)
    else:
        path = chosen.run or _new_path()
        with make_display() as display:
            result = session.start_run(chosen.config, path, usual_listeners(display), kind=kind)
    return conclude(path, is_finished=result.is_finished, completed_steps=result.completed_steps)


def read_arguments(arguments_type: type[TrainingT], command: str, arguments: Sequence[str]) -> TrainingT:
    """The arguments of ``command``, with the configuration that they, a file or a preset make together."""
    arguments = with_engine_spelled_out(with_judge_spelled_out(arguments))
    # The file or preset gives the defaults that the options change: read once to find it, and again on top of it.
    source = parse(arguments_type, command, arguments, use_underscores=True)
    defaults = arguments_type(config=_base_config(source))
    return parse(arguments_type, command, arguments, default=defaults, use_underscores=True)


def _launch(chosen: TrainArguments) -> int:
    if chosen.resume is None:
        return launch_new(chosen.config, chosen.run or _new_path(), is_dry=chosen.dry_run)
    if chosen.config != saved_config(chosen.resume) or chosen.run is not None:
        raise UsageError(
            "a run on an engine is resumed as it is, without any other option. For other values start a new run from "
            f"its file: medical-team train {shell_word(chosen.resume / 'config.toml')} --your.option ..."
        )
    return launch_again(chosen.resume, is_dry=chosen.dry_run)


def _new_path() -> Path:
    return Path("runs") / datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")


def training_session() -> ModuleType:
    """The module that trains.

    Raises:
        MissingDependencyError: the libraries that it needs are not installed.
    """
    try:
        from ..train import session
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] in ("torch", "transformers", "peft", "safetensors"):
            raise MissingDependencyError(error.name, "train") from error
        raise
    return session


def conclude(path: Path, *, is_finished: bool, completed_steps: int) -> int:
    """Say what the judge could not decide, where everything lies and how to go on. Returns the exit status."""
    run = RunFolder.open(path)
    is_self_play = run.info.kind == "self-play"
    command, section = ("train", "training") if is_self_play else ("warmstart", "warmstart")
    if is_self_play:
        say(f"\n{void_summary(run.games())}\n")
    if not is_finished:
        say(
            f"\nStopped after {completed_steps} steps; everything is saved in {path}\n"
            f"Go on with: medical-team {command} --resume {shell_word(path)}\n"
        )
        return EXIT_INTERRUPTED
    is_pair = run.config.policy.roles == "separate"
    own_attacker = f"  its attacker        {path / 'final' / 'attacker'}\n" if is_pair else ""
    every_game = f"  every game          {path / 'games.jsonl'}\n" if is_self_play else ""
    curves = shell_word(path / "tensorboard")
    say(
        f"\nDone: {completed_steps} steps. The run is in {path}\n"
        f"  the trained model   {path / 'final'}\n"
        f"{own_attacker}"
        f"{every_game}"
        f"  metrics             {path / 'metrics.jsonl'} (or: tensorboard --logdir {curves})\n"
        f"  the configuration   {path / 'config.toml'}\n"
    )
    if is_self_play:
        doubled = f"--{section}.steps {2 * completed_steps}"
        say(f"Train on with: medical-team {command} --resume {shell_word(path)} {doubled}\n")
    else:
        start = f"{shell_word(path / 'config.toml')} --policy.model {shell_word(path / 'final')}"
        say(f"Self-play from here: medical-team train {start}\n")
    return 0


def _base_config(source: TrainArguments) -> RunConfig:
    named = [source.config_file is not None, source.preset is not None, source.resume is not None]
    if sum(named) > 1:
        raise UsageError("name one of these, not several: a TOML file, --preset, --resume")
    if source.config_file is not None:
        return load_config(source.config_file)
    if source.preset is not None:
        return load_preset(source.preset)
    if source.resume is not None:
        return saved_config(source.resume)
    return RunConfig()


def _changed_steps(path: Path, chosen: TrainArguments, kind: RunKind) -> int:
    """The steps that the resumed run at ``path`` should have.

    Raises:
        UsageError: another option was given.
    """
    section = "training" if kind == "self-play" else "warmstart"
    saved = saved_config(path)
    steps: int = getattr(chosen.config, section).steps
    unchanged = replace(saved, **{section: replace(getattr(saved, section), steps=steps)})
    if chosen.config != unchanged or chosen.run is not None:
        raise UsageError(
            f"a resumed run keeps its configuration, so that its numbers mean one thing: only --{section}.steps may be "
            "given. For other values start a new run from its file: "
            f"medical-team {'train' if kind == 'self-play' else 'warmstart'} {shell_word(path / 'config.toml')} "
            "--your.option ..."
        )
    return steps


def show_plan(config: RunConfig, arguments: PlanArguments) -> int:
    """Print the plan of ``config``. Returns the exit status: 0 also where it doesn't fit, which is said.

    Raises:
        ConfigError: the configuration can't be used.
    """
    check_config(config)
    plan = plan_of(config)
    measured = Unknown("--plan-without-probe") if arguments.plan_without_probe else _measured(plan)
    plan = replace(plan, measured=measured, problems=(*plan.problems, *_engine_problems(config)))
    if arguments.plan_json:
        sys.stdout.write(plan_json(plan))
    else:
        say(plan_text(plan))
    return 0


def _engine_problems(config: RunConfig) -> list[str]:
    if config.engine.kind == "openrlhf":
        return openrlhf_problems(config)
    return red_team_fork_problems(config) if config.engine.kind == "red-team-fork" else []


def _measured(plan: Plan) -> Measurement | Unknown:
    """A step of the plan on this machine, where it can be taken here."""
    config, memory = plan.config, plan.memory
    if config.engine.kind != "local":
        return Unknown(f"the engine {config.engine.kind} has processes of its own; a run of a few steps measures them")
    if config.policy.device == "cuda" and not has_nvidia_driver():
        return Unknown("this machine has no GPU")
    if isinstance(memory, MemoryPlan) and not is_local_on_gpu(config):
        free = free_memory_bytes()
        if free is not None and memory.peak_bytes > free:
            return Unknown(f"the peak of {memory.peak_bytes / GIB:.1f} GiB is more than the {free / GIB:.1f} GiB free")
    try:
        from ..train.measurement import measure_step
    except ModuleNotFoundError as error:
        return Unknown(f"{error.name} is not installed here: pip install 'medical-team[train]'")
    sys.stderr.write("Measuring a step with the longest notes (--plan-without-probe leaves that out) ...\n")
    return measure_step(config)
