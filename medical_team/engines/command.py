"""An engine's command line as data: built from a run's configuration, shown to a person, given to a process. What
no engine can do is found before its own assertions are: every problem names our option."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import DEMO_MODEL, TINY_RANDOM_MODEL, EngineConfig, RunConfig
from ..model_files import CONFIG_FILE, model_config
from ..network.secrets import secret_variables

TRAINER = "openrlhf.cli.train_ppo_ray"
LARGEST_GPU_SHARE = 0.95
"""Of a GPU's memory, for a rollout engine and a judge together; the rest is for what trains."""

# Options of the engines that take the key of a service, and what takes it from the environment instead.
_KEY_OPTIONS = ("--logger.wandb.key", "--use_wandb")
_HARMLESS_KEYS = frozenset({"", "true", "false", "1", "yes", "offline", "online"})


def model_argument(model: str) -> str:
    """A model's name as an engine takes it: a folder as an absolute path, since Ray's workers run elsewhere."""
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() else model


def common_problems(config: RunConfig) -> Iterator[str]:
    """What contradicts every engine of the OpenRLHF family."""
    yield from _model_problems(config)
    yield from _gpu_problems(config.engine)
    if config.training.demonstration_coefficient > 0:
        yield (
            "training.demonstration_coefficient is above 0, and the engines mix no demonstrations of ours into their "
            "updates: set it to 0; `medical-team warmstart` teaches from demonstrations before self-play"
        )
    yield from secret_problems(config.engine.extra_arguments)


def secret_problems(arguments: tuple[str, ...]) -> Iterator[str]:
    """Secrets in ``arguments``: a command line is seen by every user of a machine, and is written into the run."""
    secrets = {value: name for name, value in secret_variables(os.environ).items()}
    words = [word for argument in arguments for word in (argument, argument.partition("=")[2])]
    for name in sorted({secrets[word] for word in words if word in secrets}):
        yield (
            f"engine.extra_arguments holds the value of {name}: no secret goes on a command line; leave it in the "
            "environment variable, where the engine's libraries look for it"
        )
    for option in _KEY_OPTIONS:
        value = value_of(arguments, option)
        if value is not None and value.lower() not in _HARMLESS_KEYS and value not in secrets:
            yield (
                f"engine.extra_arguments gives a key to {option}: set the environment variable WANDB_API_KEY where the "
                f"engine runs, and pass {option} True"
            )


def value_of(arguments: tuple[str, ...], option: str) -> str | None:
    """The value of ``option`` among the words of a command line; None where it doesn't stand there."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == option:
            following = arguments[place + 1] if place + 1 < len(arguments) else ""
            return value if equals else following
    return None


def divisors(number: int) -> list[int]:
    """All whole numbers that divide ``number``."""
    return [candidate for candidate in range(1, number + 1) if number % candidate == 0]


def must_divide(option: str, value: int, times: int, total: int, what: str) -> Iterator[str]:
    """The problem that ``value`` of ``option``, ``times`` over, doesn't divide ``total``, with values that do."""
    if total % (value * times) == 0:
        return
    fitting = [number for number in divisors(total) if total % (number * times) == 0]
    on_gpus = f" on {times} GPUs" if times > 1 else ""
    if fitting:
        shown = ", ".join(map(str, fitting))
        yield f"{option} is {value}{on_gpus}, which doesn't divide {what} ({total}): take one of {shown}"
    else:
        yield f"{what} ({total}) can't be shared out evenly on {times} GPUs: change training.games_per_step"


def _model_problems(config: RunConfig) -> Iterator[str]:
    policy = config.policy
    if policy.model in (DEMO_MODEL, TINY_RANDOM_MODEL):
        yield (
            f"policy.model is {policy.model!r}, which only this package knows: name a Hugging Face model, for example "
            "--policy.model Qwen/Qwen2.5-3B-Instruct, or a folder"
        )
    if policy.adaptation == "lora":
        yield (
            "policy.adaptation is lora, and OpenRLHF can't send a LoRA adapter's weights to its rollout engines "
            "(OpenRLHF issue 1349): set policy.adaptation to full, or train with --engine local"
        )
    if policy.roles == "separate":
        yield (
            "policy.roles is separate, and the engines train one model for both roles: set it to shared, or train with "
            "--engine local"
        )
    if policy.device == "cpu":
        yield "policy.device is cpu, and OpenRLHF needs GPUs: set it to auto, or train with --engine local"
    if policy.precision == "fp32":
        yield "policy.precision is fp32, and OpenRLHF trains in bf16: set it to auto or bf16"
    if "auto_map" in model_config(policy.model):
        yield (
            f"policy.model {policy.model} brings code of its own (auto_map in {CONFIG_FILE}), which OpenRLHF would "
            "run: take a model whose architecture is part of transformers"
        )


def _gpu_problems(engine: EngineConfig) -> Iterator[str]:
    gpus = engine.nodes * engine.gpus_per_node
    for_rollouts = engine.vllm_engines * engine.tensor_parallel_size
    if gpus != for_rollouts:
        suggestion = max(1, gpus // engine.tensor_parallel_size)
        yield (
            f"engine.vllm_engines x engine.tensor_parallel_size is {for_rollouts}, and there are {gpus} GPUs "
            f"(engine.nodes x engine.gpus_per_node), which all models share: the two must be equal, for example "
            f"engine.vllm_engines {suggestion}"
        )
    if engine.packing and engine.attention != "flash_attention_2":
        yield (
            f"engine.packing needs engine.attention flash_attention_2, not {engine.attention}: set engine.packing to "
            "false, or engine.attention to flash_attention_2"
        )
    share = engine.vllm_memory_fraction + engine.judge_memory_fraction
    if share > LARGEST_GPU_SHARE:
        yield (
            f"engine.vllm_memory_fraction and engine.judge_memory_fraction together are {share:g} of a GPU: lower one, "
            f"so that they stay below {LARGEST_GPU_SHARE:g}"
        )


RUN_VARIABLE = "MEDICAL_TEAM_RUN"
"""The environment variable that names the run folder to what runs inside an engine."""


class EngineFiles:
    """Where an engine reads and writes: its own folder ``engine`` in ``run``, as absolute paths. None need exist."""

    def __init__(self, run: Path) -> None:
        self.run = run.expanduser().resolve()
        self.folder = self.run / "engine"
        """All that is the engine's."""
        self.job = self.folder / "job"
        """The working folder of the engine's process; Ray sends it to the cluster, so it stays small."""
        self.prompts = self.folder / "prompts.jsonl"
        """One row for each game of the run."""
        self.heldout = self.folder / "heldout.jsonl"
        """One row for each held-out note, where the run has any."""
        self.checkpoints = self.folder / "checkpoints"
        """What the engine saves on its way."""
        self.final = self.folder / "final"
        """What it saves at its end."""
        self.log = self.folder / "log.txt"
        """All that it says."""
        self.command = self.folder / "command.txt"
        """The command line that was launched, for a person to read."""
        self.tensorboard = self.run / "tensorboard"
        """Its curves."""


@dataclass(frozen=True)
class EngineCommand:
    """What ``python -m`` runs in the engine's environment: the same module of upstream and of the fork."""

    options: tuple[tuple[str, ...], ...]
    """Each option with its values, in order."""
    environment: Mapping[str, str]
    """Variables that it needs. Never a secret: they are shown."""

    @property
    def arguments(self) -> list[str]:
        """All that follows the module."""
        return [word for option in self.options for word in option]

    def words(self, python: str) -> list[str]:
        """The whole command for the engine's ``python``."""
        return [python, "-m", TRAINER, *self.arguments]


def shell_text(
    words: Sequence[str], options: Sequence[tuple[str, ...]] = (), environment: Mapping[str, str] | None = None
) -> str:
    """A command as a person can paste it into a shell: variables first, then ``words``, then each option on a line."""
    lines = [
        *(f"{name}={shlex.quote(value)}" for name, value in (environment or {}).items()),
        shlex.join(words),
        *(f"    {shlex.join(option)}" for option in options),
    ]
    return " \\\n".join(lines)


def options_of(values: Mapping[str, str | float], extra_arguments: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    """The options of a command line from their ``values``: True is a switch without a value, and False leaves it out.

    ``extra_arguments`` come last, and so decide.
    """
    given = [(name,) if value is True else (name, str(value)) for name, value in values.items() if value is not False]
    return (*given, extra_arguments) if extra_arguments else tuple(given)


def optimizer_deviations(engine: str, config: RunConfig) -> Iterator[str]:
    """Where the optimizer of ``engine``, as a person calls it, isn't the local trainer's."""
    if config.training.learning_rate_schedule != "cosine":
        yield (
            f"{engine} warms the learning rate up and lets it fall to a tenth along a cosine: "
            "training.learning_rate_schedule = constant is not followed"
        )
    yield f"in {engine} AdamW's betas are 0.9 and 0.95"


def save_interval(steps: int, save_every: int) -> int:
    """The steps between checkpoints of an engine that saves at multiples of it, and nothing when it ends.

    It divides ``steps``, so that the last step is saved: the largest divisor up to ``save_every``, unless that would
    save more than twice as often as asked; then the smallest divisor above it.
    """
    fitting = divisors(steps)
    below = max(number for number in fitting if number <= max(1, save_every))
    if 2 * below >= min(save_every, steps):
        return below
    return min(number for number in fitting if number > save_every)
