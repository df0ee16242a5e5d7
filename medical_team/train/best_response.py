"""Training best-response attackers: against one frozen assessor, with nothing else to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..callbacks import Notify
from ..config import DataConfig, RunConfig
from ..errors import UsageError
from ..game_config import GameConfig, OpponentConfig
from ..records import DataType, Game, TrainingRecord
from ..rl.protocols import Listener
from ..runs.folder import RunFolder
from ..runs.places import is_run, settled
from .session import resume_run, start_run


def best_response_config(base: RunConfig, *, start: str, assessor: str, data: Path, steps: int, seed: int) -> RunConfig:
    """The configuration of one attacker's training.

    The attacker learns by the usual rules, whatever the run of ``base`` had: undecidable and unfaithful revisions don't
    pay, and nobody else learns. Model size, learning rate and limits are those of ``base``.

    Args:
        base: of the run whose assessor is attacked.
        start: the model that the attacker starts from.
        assessor: the model that is attacked.
        data: adversarial records.
        steps: how long it learns.
        seed: of everything random.
    """
    usual = GameConfig()
    return replace(
        base,
        data=DataConfig(train=str(data)),
        game=replace(
            base.game,
            no_attacker_turn=False,
            no_defender_turn=True,
            undecidable=usual.undecidable,
            reward_type=usual.reward_type,
            coefficients=usual.coefficients,
        ),
        policy=replace(base.policy, model=start, roles="shared"),
        training=replace(
            base.training,
            steps=steps,
            seed=seed,
            normalization="role",
            demonstration_coefficient=0.0,
            assessor_samples_per_step=None,
        ),
        opponents=OpponentConfig(fixed=assessor),
        engine=RunConfig().engine,
    )


def attacker_settings(config: RunConfig) -> dict[str, object]:
    """How attackers learn by ``config``, by the names of the options: where a value differs, it is another attacker."""
    policy, training = config.policy, config.training
    return {
        "policy.adaptation": policy.adaptation,
        "policy.lora_rank": policy.lora_rank if policy.adaptation == "lora" else None,
        "rollout.temperature": config.rollout.temperature,
        "training.games_per_step": training.games_per_step,
        "training.learning_rate": config.learning_rate,
        "training.learning_rate_schedule": training.learning_rate_schedule,
        "training.kl_coefficient": training.kl_coefficient,
        "training.clip_epsilon": training.clip_epsilon,
        "training.loss_averaging": training.loss_averaging,
        "training.minibatches_per_step": training.minibatches_per_step,
        "training.epochs_per_step": training.epochs_per_step,
        "training.max_gradient_norm": training.max_gradient_norm,
        "training.weight_decay": training.weight_decay,
    }


def all_attacked(records: Sequence[TrainingRecord]) -> list[TrainingRecord]:
    """``records`` with an attacker in every one."""
    kinds = {True: DataType.ADVERSARIAL_HARMFUL, False: DataType.ADVERSARIAL_BENIGN}
    return [replace(record, data_type=kinds[record.data_type.is_harmful]) for record in records]


def trained_attacker(config: RunConfig, path: Path, listeners: Sequence[Listener] = ()) -> Path | None:
    """The attacker of the run at ``path``, which is made, gone on with, or taken as it is if it is complete.

    Returns:
        The folder of its model; None if somebody asked it to stop.

    Raises:
        UsageError: another attacker lies there.
        MedicalTeamError: something else that the user can mend.
    """
    if not is_run(path):
        is_finished = start_run(config, path, listeners).is_finished
    else:
        run = RunFolder.open(path)
        if _asked(run.config) != _asked(settled(config)):
            raise UsageError(f"{path} holds an attacker that was trained otherwise: name another folder with -o")
        is_finished = run.final_path.is_dir() or resume_run(path, listeners).is_finished
    return RunFolder.open(path).final_path if is_finished else None


def _asked(config: RunConfig) -> tuple[object, ...]:
    """What tells one attacker from another. Models that moved together with their run are found again there."""
    return (
        config.policy.model,
        config.opponents.fixed,
        config.game,
        config.training.steps,
        config.training.seed,
        attacker_settings(config),
    )


class StepRemarks(Listener):
    """Says now and then how far an attacker is.

    Args:
        name: of the attacker.
        steps: how many there are.
        say: takes a sentence.
    """

    def __init__(self, name: str, steps: int, say: Notify) -> None:
        self._name = name
        self._steps = steps
        self._say = say
        self._every = max(1, steps // 5)

    def warn(self, text: str) -> None:
        """Say it."""
        self._say(f"warning: {self._name}: {text}")

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Say how often the attacker wins, every fifth of the way."""
        if (step + 1) % self._every == 0:
            rate = metrics.get("win_rate/attacker")
            wins = "" if rate is None else f", wins {rate:.0%} of the decided games"
            self._say(f"{self._name}: step {step + 1} of {self._steps}{wins}")
