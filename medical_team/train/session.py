"""Starting a new run and resuming an old one: what stands around the loop.

A run folder is made only when data, policy and configuration are known to work together, so that a start that fails
leaves nothing behind.
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from ..callbacks import Notify
from ..chat_template import today
from ..config import JudgeConfig, RunConfig
from ..data.load import load_sets
from ..errors import MedicalTeamError, UsageError
from ..evaluation.model_choice import choose_model
from ..game.rollout import FIXED, RoutedRollout, TrainingRollout
from ..judge.protocol import Judge
from ..judging import make_judge
from ..policy.answer_scoring import load_answer_scorer
from ..policy.devices import cpu_only_torch_warning, hardware
from ..policy.pair import Policies, load_policies
from ..policy.probe import Probed, choose_precision, probe_policy
from ..policy.rollout_engines import ChosenEngine, choose_engine, speaking_policies, speaking_rollout
from ..policy.vllm_room import PACKAGES as VLLM_PACKAGES
from ..records import Role, TrainingRecord
from ..rl.loop import TrainingResult, train
from ..rl.protocols import Listener, ListenerGroup
from ..rl.role_learners import make_learner
from ..rl.surroundings import stop_on_signal
from ..runs.config_file import check_config
from ..runs.folder import RunFolder, RunKind
from ..runs.info import check_is_free
from ..runs.places import settled
from ..terminal_text import shell_word
from .preflight import beginning_again, check_data_fits, check_folders

STOP_NOTICE = "Stopping after this step, then saving. Once more to stop at once."

_LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors")


def start_run(
    config: RunConfig, path: Path, listeners: Sequence[Listener] = (), *, kind: RunKind = "self-play"
) -> TrainingResult:
    """Make a new run at ``path`` and train it: by self-play, or with the demonstrations of a warm start.

    Args:
        listeners: told of everything, from the loading of the model on.
        kind: which of the two.

    Raises:
        MedicalTeamError: something that the user can mend. Before the first step nothing is left at ``path``.
    """
    told = ListenerGroup(listeners)
    check_is_free(path)
    begun = prepare_run(config, told, kind=kind)
    policies = begun.policies
    judge = _judge(begun.config.judge, begun.records, told)
    engine = choose_engine(policies, begun.config.rollout, told.notice, told.warn)
    config = replace(begun.config, rollout=engine.config)
    # Before there is a run: an opponent that can't be loaded must leave none behind, which would keep its name.
    rollout = with_fixed_opponent(engine.rollout, config, told)
    parts = hardware(policies.policy_of(Role.ASSESSOR).device)
    run = RunFolder.create(path, config, begun.records, begun.heldout, _versions(), parts, kind=kind)
    with run.locked():
        return _train(run, policies, engine, rollout, judge, told)


@dataclass(frozen=True)
class PreparedRun:
    """What a new run starts with, known to work together."""

    config: RunConfig
    """With its places, its day and its precision written out."""
    records: tuple[TrainingRecord, ...]
    heldout: tuple[TrainingRecord, ...]
    policies: Policies


def prepare_run(config: RunConfig, told: Listener, *, kind: RunKind = "self-play") -> PreparedRun:
    """Load and check what a run of ``config`` would start with, by which a step is measured too. Nothing is written.

    Raises:
        MedicalTeamError: the first reason why there can be no such run.
    """
    config = begun(config)
    records, heldout = load_sets(config)
    tried = try_policies(config, told)
    config, policies = tried.config, tried.policies
    demonstrates = kind == "warm-start" or config.training.demonstration_coefficient > 0
    check_data_fits(records, heldout, policies.policy_of(Role.ASSESSOR), config, demonstrates=demonstrates)
    return PreparedRun(config, records, heldout, policies)


def begun(config: RunConfig) -> RunConfig:
    """``config`` as a run keeps it that begins now: with its places and its day written out.

    Raises:
        ConfigError: values are out of bounds or contradict each other.
    """
    check_config(config)
    return settled(config.resolved.begun_on(today()))


@dataclass(frozen=True)
class TriedPolicies:
    """The policies of a new run, which can learn here."""

    config: RunConfig
    """With the precision written out that the run keeps."""
    policies: Policies
    probed: Probed | None
    """None where the context window is too short for a probe."""


def try_policies(config: RunConfig, told: Listener) -> TriedPolicies:
    """Load the policies of a new run in the precision that it keeps, and try whether they can learn.

    Raises:
        PolicyError: a model can't be loaded, used or trained here.
    """
    policies = _loaded(config, told)
    precision = choose_precision(policies.policy_of(Role.ASSESSOR), told.notice)
    if precision != config.policy.precision:
        config = replace(config, policy=replace(config.policy, precision=precision))
        # As a resumed run loads them.
        del policies
        policies = load_policies(config.policy, seed=config.training.seed, notify=told.notice)
    return TriedPolicies(config, policies, probe_policy(policies.policy_of(Role.ASSESSOR)))


def resume_run(
    path: Path, listeners: Sequence[Listener] = (), *, kind: RunKind = "self-play", steps: int | None = None
) -> TrainingResult:
    """Train the run at ``path`` on from its last checkpoint.

    Args:
        listeners: told of everything, from the loading of the model on.
        kind: what the caller takes the run for.
        steps: train to this many steps instead of the run's own number.

    Raises:
        MedicalTeamError: something that the user can mend; what was saved stays.
    """
    told = ListenerGroup(listeners)
    run = RunFolder.open(path)
    if run.info.kind != kind:
        command = "train" if run.info.kind == "self-play" else "warmstart"
        raise UsageError(
            f"{path} is a run of the kind {run.info.kind}: medical-team {command} --resume {shell_word(path)}"
        )
    run.check_model()
    with run.locked():
        check_folders(run)
        if text := beginning_again(run):
            told.warn(text)
        if steps is not None and steps != run.total_steps:
            _check_not_fewer(run, steps)
            run.change_steps(steps)
        if problem := run.data_problem():
            told.warn(problem)
        judge = _judge(run.config.judge, run.training_records(), told)
        policies = _policies(run.config, told)
        engine = choose_engine(policies, run.config.rollout, told.notice, told.warn)
        rollout = with_fixed_opponent(engine.rollout, replace(run.config, rollout=engine.config), told)
        return _train(run, policies, engine, rollout, judge, told)


def _check_not_fewer(run: RunFolder, steps: int) -> None:
    latest = run.checkpoints.latest()
    if latest is not None and steps < latest:
        raise UsageError(
            f"{run.path} has done {latest} steps, and {steps} are asked for: what was learnt can't be taken back. "
            f"Its earlier checkpoints, if they were kept, are in {run.checkpoints.folder}."
        )


def _train(
    run: RunFolder,
    policies: Policies,
    engine: ChosenEngine,
    rollout: TrainingRollout,
    judge: Judge,
    told: Listener,
) -> TrainingResult:
    told.notice(engine.reason)
    learner = make_learner(policies, replace(run.config, rollout=engine.config))
    try:
        with stop_on_signal(lambda: told.notice(STOP_NOTICE)) as stop:
            return train(run, learner, rollout, judge, [told], stop=stop)
    finally:
        rollout.close()


def _policies(config: RunConfig, told: Listener) -> Policies:
    policies = _loaded(config, told)
    probe_policy(policies.policy_of(Role.ASSESSOR))
    return policies


def _loaded(config: RunConfig, told: Listener) -> Policies:
    if warning := cpu_only_torch_warning():
        told.warn(warning)
    told.notice(f"Loading {config.policy.model} ...")
    return load_policies(config.policy, seed=config.training.seed, notify=told.notice)


def _judge(config: JudgeConfig, records: Sequence[TrainingRecord], told: Listener) -> Judge:
    return make_judge(config, (record.pair for record in records), told.notice, load_answer_scorer)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}}
    for name in VLLM_PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def with_fixed_opponent(rollout: TrainingRollout, config: RunConfig, told: Listener) -> TrainingRollout:
    """``rollout``, and beside it the replies of ``opponents.fixed``, where there is one.

    Raises:
        UsageError: it can't play.
    """
    if config.opponents.fixed is None:
        return rollout
    told.notice(f"Loading the opponent {config.opponents.fixed} ...")
    policies = load_opponent(config.opponents.fixed, config, told.notice)
    with _named(config.opponents.fixed):
        fixed = speaking_rollout(policies, config.rollout, beside=rollout, notify=told.notice)
    return RoutedRollout(rollout, {FIXED: fixed})


def load_opponent(name: str, config: RunConfig, notify: Notify = lambda text: None) -> Policies:
    """The model that ``name``, the ``opponents.fixed`` of ``config``, means: loaded, and tried whether it speaks.

    Raises:
        UsageError: it can't play.
    """
    policy = config.policy
    with _named(name):
        choice = choose_model(name)
        if choice.is_baseline:
            raise UsageError("it is a baseline of evaluations, not a model.")
        return speaking_policies(
            choice.location,
            device=policy.device,
            precision=policy.precision,
            day=policy.day,
            notify=notify,
        )


@contextmanager
def _named(name: str) -> Generator[None]:
    """Let errors tell which option names what can't play."""
    try:
        yield
    except MedicalTeamError as error:
        raise UsageError(
            f"opponents.fixed is {name!r}, which can't play: {error} For a run that has begun, write the "
            "place to which its opponent was moved into config.toml (opponents.fixed)."
        ) from error
