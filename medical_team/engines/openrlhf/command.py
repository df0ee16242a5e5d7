"""The command line of upstream OpenRLHF 0.11.2 for a run: all models share the GPUs, and REINFORCE++ without a
critic. What ``engine.extra_arguments`` may pass on is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ...config import RunConfig
from ..command import (
    RUN_VARIABLE,
    EngineCommand,
    EngineFiles,
    common_problems,
    model_argument,
    must_divide,
    split_options,
    value_of,
)

_LORA = "and OpenRLHF can't send an adapter's weights to its rollout engines (OpenRLHF issue 1349)"
_SIBLINGS = (
    "which compares the samples of one prompt, and those are the two roles of a game: leave it at reinforce; "
    "engine.role_baselines subtracts each role's own mean"
)
_COMPARING_ESTIMATORS = ("rloo", "reinforce_baseline", "group_norm", "dr_grpo")


def passed_on_problems(arguments: tuple[str, ...]) -> Iterator[str]:
    """What in ``arguments``, which come last on OpenRLHF's command line, can't work with our games."""
    if (rank := value_of(arguments, "--ds.lora.rank")) not in (None, "0"):
        yield f"engine.extra_arguments has --ds.lora.rank {rank}, {_LORA}: leave it out, and train the full weights"
    if (backend := value_of(arguments, "--vllm.sync_backend")) not in (None, "nccl"):
        yield (
            f"engine.extra_arguments has --vllm.sync_backend {backend}, and OpenRLHF 0.11.2 sends weights to its "
            "rollout engines by nothing but nccl: leave it out"
        )
    if (estimator := value_of(arguments, "--algo.advantage.estimator")) in _COMPARING_ESTIMATORS:
        yield f"engine.extra_arguments has --algo.advantage.estimator {estimator}, {_SIBLINGS}"
    if _is_among("--algo.dynamic_filtering_enable", arguments):
        yield (
            "engine.extra_arguments has --algo.dynamic_filtering_enable, which keeps games by the mean of both roles' "
            "rewards, zero in every decided adversarial one: leave it out"
        )
    samples = value_of(arguments, "--rollout.n_samples_per_prompt")
    if samples is not None and samples.isdecimal() and int(samples) % 2:
        yield (
            f"engine.extra_arguments has --rollout.n_samples_per_prompt {samples}, and a game is two samples: leave it "
            "out, or name an even number"
        )


def _is_among(option: str, arguments: Iterable[str]) -> bool:
    return any(argument.partition("=")[0] == option for argument in arguments)


SAMPLES_PER_GAME = 2
AGENT_FILE = Path(__file__).resolve().with_name("agent_file.py")
"""The file whose AgentExecutor plays the games. OpenRLHF loads it by its path, on every machine."""

_NEVER = "-1"


def openrlhf_command(
    config: RunConfig, files: EngineFiles, *, has_heldout: bool, is_resuming: bool = False
) -> EngineCommand:
    """OpenRLHF's command line for ``config``. What contradicts itself is told by :func:`openrlhf_problems`.

    Args:
        config: the run's configuration.
        files: where the engine reads and writes.
        has_heldout: whether there are held-out notes to evaluate on.
        is_resuming: whether it goes on from its own last checkpoint.
    """
    options = [
        *_machines(config),
        *_models(config),
        *_data(config, files, has_heldout=has_heldout),
        *_rollouts(config),
        *_algorithm(config),
        *_checkpoints(config, files, is_resuming=is_resuming),
        *split_options(config.engine.extra_arguments),
    ]
    return EngineCommand(tuple(options), {RUN_VARIABLE: str(files.run)})


def openrlhf_problems(config: RunConfig) -> list[str]:
    """What in ``config`` contradicts OpenRLHF, which would notice after minutes of loading, or not at all."""
    return [*common_problems(config), *_batch_problems(config), *passed_on_problems(config.engine.extra_arguments)]


def openrlhf_deviations(config: RunConfig) -> list[str]:
    """Where OpenRLHF does something else than the local trainer does for the same ``config``."""
    deviations: list[str] = []
    if config.training.normalization == "role":
        baselines = " after engine.role_baselines subtracts each role's mean" if config.engine.role_baselines else ""
        deviations.append(
            f"OpenRLHF normalises advantages over both roles together{baselines}, not by role: "
            "training.normalization = role is not followed"
        )
    if config.training.learning_rate_schedule != "cosine":
        deviations.append(
            "OpenRLHF warms the learning rate up and lets it fall to a tenth along a cosine: "
            "training.learning_rate_schedule = constant is not followed"
        )
    deviations.append("in OpenRLHF AdamW's betas are 0.9 and 0.95")
    return deviations


def samples_per_step(config: RunConfig) -> int:
    """What OpenRLHF trains on in one step."""
    return SAMPLES_PER_GAME * config.training.games_per_step


def _machines(config: RunConfig) -> Iterator[tuple[str, ...]]:
    engine = config.engine
    for model in ("actor", "ref"):
        yield f"--{model}.num_nodes", str(engine.nodes)
        yield f"--{model}.num_gpus_per_node", str(engine.gpus_per_node)
    yield ("--train.colocate_all",)
    yield "--vllm.num_engines", str(engine.vllm_engines)
    yield "--vllm.tensor_parallel_size", str(engine.tensor_parallel_size)
    yield "--vllm.gpu_memory_utilization", str(engine.vllm_memory_fraction)
    yield "--vllm.sync_backend", engine.weight_sync
    if engine.enforce_eager:
        yield ("--vllm.enforce_eager",)
    if engine.sleep:
        yield ("--vllm.enable_sleep",)
        yield ("--ds.enable_sleep",)


def _models(config: RunConfig) -> Iterator[tuple[str, ...]]:
    engine = config.engine
    yield "--actor.model_name_or_path", model_argument(config.policy.model)
    yield "--ds.zero_stage", str(engine.zero_stage)
    yield "--ds.param_dtype", "bf16"
    yield "--ds.attn_implementation", engine.attention
    if engine.packing:
        yield ("--ds.packing_samples",)
    if config.policy.gradient_checkpointing:
        yield ("--actor.gradient_checkpointing_enable",)


def _data(config: RunConfig, files: EngineFiles, *, has_heldout: bool) -> Iterator[tuple[str, ...]]:
    training = config.training
    yield "--train.agent_func_path", str(AGENT_FILE)
    yield "--data.prompt_dataset", str(files.prompts)
    yield "--data.input_key", "input"
    yield "--data.label_key", "label"
    yield "--data.max_samples", str(training.steps * training.games_per_step)
    yield "--data.max_len", str(config.rollout.max_prompt_tokens + _max_reply_tokens(config))
    if has_heldout:
        yield "--eval.dataset", str(files.heldout)
        yield "--eval.steps", str(config.checkpoints.evaluate_every)
        yield "--eval.n_samples_per_prompt", "1"
        yield "--eval.temperature", str(config.rollout.temperature)
    else:
        yield "--eval.steps", _NEVER


def _rollouts(config: RunConfig) -> Iterator[tuple[str, ...]]:
    training = config.training
    yield "--rollout.n_samples_per_prompt", str(SAMPLES_PER_GAME)
    yield "--rollout.batch_size", str(training.games_per_step)
    yield "--rollout.micro_batch_size", str(config.engine.micro_rollout_batch_size)
    yield "--rollout.max_new_tokens", str(_max_reply_tokens(config))
    yield "--rollout.temperature", str(config.rollout.temperature)
    # Log-probs are those of the whole distribution.
    yield "--rollout.top_p", "1.0"
    yield "--train.batch_size", str(samples_per_step(config) // training.minibatches_per_step)
    yield "--train.micro_batch_size", str(config.engine.micro_train_batch_size)


def _algorithm(config: RunConfig) -> Iterator[tuple[str, ...]]:
    training = config.training
    yield "--algo.advantage.estimator", "reinforce"
    yield "--algo.kl.estimator", "k1"
    yield "--algo.kl.init_coef", str(training.kl_coefficient)
    yield "--actor.adam.lr", str(config.learning_rate)
    yield "--actor.adam.weight_decay", str(training.weight_decay)
    yield "--actor.max_norm", str(training.max_gradient_norm)
    yield "--actor.eps_clip", str(training.clip_epsilon)
    yield "--actor.loss_agg_mode", training.loss_averaging
    # The data file holds every game of the run, so that one episode over it is the whole run.
    yield "--train.num_episodes", "1"
    yield "--train.max_epochs", str(training.epochs_per_step)
    yield "--train.seed", str(training.seed)


def _checkpoints(config: RunConfig, files: EngineFiles, *, is_resuming: bool) -> Iterator[tuple[str, ...]]:
    checkpoints = config.checkpoints
    is_due_before_the_end = checkpoints.save_every < config.training.steps
    yield "--ckpt.output_dir", str(files.final)
    yield "--ckpt.path", str(files.checkpoints)
    # The model of the last step goes to output_dir in any case.
    yield "--ckpt.save_steps", str(checkpoints.save_every) if is_due_before_the_end else _NEVER
    yield ("--ckpt.save_hf",)
    if config.engine.save_optimizer:
        yield "--ckpt.max_num", str(checkpoints.keep_last)
    else:
        yield ("--ckpt.disable_ds",)
    if is_resuming:
        yield ("--ckpt.load_enable",)
    # Else the best checkpoint follows the mean reward of both roles, which is about zero.
    yield "--ckpt.best_metric_key", "none"
    yield "--logger.tensorboard_dir", str(files.tensorboard)
    yield "--logger.wandb.run_name", "openrlhf"


def _max_reply_tokens(config: RunConfig) -> int:
    return max(config.rollout.max_revision_tokens, config.rollout.max_verdict_tokens)


def _batch_problems(config: RunConfig) -> Iterator[str]:
    training, engine = config.training, config.engine
    gpus = engine.nodes * engine.gpus_per_node
    samples = samples_per_step(config)
    yield from must_divide(
        "engine.micro_rollout_batch_size", engine.micro_rollout_batch_size, gpus, samples,
        "the samples of a step, two for each of training.games_per_step",
    )  # fmt: skip
    if samples % training.minibatches_per_step:
        yield from must_divide(
            "training.minibatches_per_step", training.minibatches_per_step, 1, samples,
            "the samples of a step, two for each of training.games_per_step",
        )  # fmt: skip
        return
    yield from must_divide(
        "engine.micro_train_batch_size", engine.micro_train_batch_size, gpus, samples // training.minibatches_per_step,
        "the samples of an optimizer update, two for each of training.games_per_step over "
        "training.minibatches_per_step",
    )  # fmt: skip
