"""The command line of upstream OpenRLHF 0.11.2 for a run: all models share the GPUs, and REINFORCE++ without a
critic. What it can't do is found before it starts: every problem names our option."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...config import RunConfig
from ..command import (
    RUN_VARIABLE,
    EngineCommand,
    EngineFiles,
    common_problems,
    model_argument,
    must_divide,
    optimizer_deviations,
    options_of,
    value_of,
)

_COMPARING_ESTIMATORS = ("rloo", "reinforce_baseline", "group_norm", "dr_grpo")
_SAMPLES_OF_A_STEP = "the samples of a step, two for each of training.games_per_step"

SAMPLES_PER_GAME = 2
AGENT_FILE = Path(__file__).resolve().with_name("agent_file.py")
"""The file whose AgentExecutor plays the games. OpenRLHF loads it by its path, on every machine."""

_NEVER = -1


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
    engine, training, rollout, checkpoints = config.engine, config.training, config.rollout, config.checkpoints
    max_reply_tokens = max(rollout.max_revision_tokens, rollout.max_verdict_tokens)
    evaluation: dict[str, str | float] = {"--eval.steps": _NEVER}
    if has_heldout:
        evaluation = {
            "--eval.dataset": str(files.heldout),
            "--eval.steps": checkpoints.evaluate_every,
            "--eval.n_samples_per_prompt": 1,
            "--eval.temperature": rollout.temperature,
        }
    options = {
        "--actor.num_nodes": engine.nodes,
        "--actor.num_gpus_per_node": engine.gpus_per_node,
        "--ref.num_nodes": engine.nodes,
        "--ref.num_gpus_per_node": engine.gpus_per_node,
        "--train.colocate_all": True,
        "--vllm.num_engines": engine.vllm_engines,
        "--vllm.tensor_parallel_size": engine.tensor_parallel_size,
        "--vllm.gpu_memory_utilization": engine.vllm_memory_fraction,
        # It sends weights to its rollout engines by nothing else that works.
        "--vllm.sync_backend": "nccl",
        "--vllm.enforce_eager": engine.enforce_eager,
        "--vllm.enable_sleep": engine.sleep,
        "--ds.enable_sleep": engine.sleep,
        "--actor.model_name_or_path": model_argument(config.policy.model),
        "--ds.zero_stage": engine.zero_stage,
        "--ds.param_dtype": "bf16",
        "--ds.attn_implementation": engine.attention,
        "--ds.packing_samples": engine.packing,
        "--actor.gradient_checkpointing_enable": config.policy.gradient_checkpointing,
        "--train.agent_func_path": str(AGENT_FILE),
        "--data.prompt_dataset": str(files.prompts),
        "--data.input_key": "input",
        "--data.label_key": "label",
        "--data.max_samples": training.steps * training.games_per_step,
        "--data.max_len": rollout.max_prompt_tokens + max_reply_tokens,
        **evaluation,
        "--rollout.n_samples_per_prompt": SAMPLES_PER_GAME,
        "--rollout.batch_size": training.games_per_step,
        "--rollout.micro_batch_size": engine.micro_rollout_batch_size,
        "--rollout.max_new_tokens": max_reply_tokens,
        "--rollout.temperature": rollout.temperature,
        # Log-probs are those of the whole distribution.
        "--rollout.top_p": 1.0,
        "--train.batch_size": SAMPLES_PER_GAME * training.games_per_step // training.minibatches_per_step,
        "--train.micro_batch_size": engine.micro_train_batch_size,
        "--algo.advantage.estimator": "reinforce",
        "--algo.kl.estimator": "k1",
        "--algo.kl.init_coef": training.kl_coefficient,
        "--actor.adam.lr": config.learning_rate,
        "--actor.adam.weight_decay": training.weight_decay,
        "--actor.max_norm": training.max_gradient_norm,
        "--actor.eps_clip": training.clip_epsilon,
        "--actor.loss_agg_mode": training.loss_averaging,
        # The data file holds every game of the run, so that one episode over it is the whole run.
        "--train.num_episodes": 1,
        "--train.max_epochs": training.epochs_per_step,
        "--train.seed": training.seed,
        "--ckpt.output_dir": str(files.final),
        "--ckpt.path": str(files.checkpoints),
        # The model of the last step goes to output_dir in any case.
        "--ckpt.save_steps": checkpoints.save_every if checkpoints.save_every < training.steps else _NEVER,
        "--ckpt.save_hf": True,
        "--ckpt.disable_ds": not engine.save_optimizer,
        "--ckpt.max_num": engine.save_optimizer and checkpoints.keep_last,
        "--ckpt.load_enable": is_resuming,
        # Else the best checkpoint follows the mean reward of both roles, which is about zero.
        "--ckpt.best_metric_key": "none",
        "--logger.tensorboard_dir": str(files.tensorboard),
        "--logger.wandb.run_name": "openrlhf",
    }
    return EngineCommand(options_of(options, engine.extra_arguments), {RUN_VARIABLE: str(files.run)})


def openrlhf_problems(config: RunConfig) -> list[str]:
    """What in ``config`` contradicts OpenRLHF, which would notice after minutes of loading, or not at all."""
    passed_on = config.engine.extra_arguments
    return [
        *common_problems(config), *_batch_problems(config), *_passed_on_problems(passed_on), *_playing_problems(config)
    ]  # fmt: skip


def openrlhf_deviations(config: RunConfig) -> list[str]:
    """Where OpenRLHF does something else than the local trainer does for the same ``config``."""
    deviations: list[str] = []
    if config.training.normalization == "role":
        baselines = " after engine.role_baselines subtracts each role's mean" if config.engine.role_baselines else ""
        deviations.append(
            f"OpenRLHF normalises advantages over both roles together{baselines}, not by role: "
            "training.normalization = role is not followed"
        )
    return [*deviations, *optimizer_deviations("OpenRLHF", config)]


def _batch_problems(config: RunConfig) -> Iterator[str]:
    training, engine = config.training, config.engine
    gpus = engine.nodes * engine.gpus_per_node
    samples = SAMPLES_PER_GAME * training.games_per_step
    micro_rollout, micro_train = engine.micro_rollout_batch_size, engine.micro_train_batch_size
    yield from must_divide("engine.micro_rollout_batch_size", micro_rollout, gpus, samples, _SAMPLES_OF_A_STEP)
    minibatches = training.minibatches_per_step
    if samples % minibatches:
        yield from must_divide("training.minibatches_per_step", minibatches, 1, samples, _SAMPLES_OF_A_STEP)
        return
    yield from must_divide(
        "engine.micro_train_batch_size", micro_train, gpus, samples // minibatches,
        "the samples of an optimizer update, two for each of training.games_per_step over "
        "training.minibatches_per_step",
    )  # fmt: skip


def _passed_on_problems(arguments: tuple[str, ...]) -> Iterator[str]:
    """What in ``arguments``, which come last on OpenRLHF's command line, can't work with our games."""
    told = "engine.extra_arguments has"
    if (rank := value_of(arguments, "--ds.lora.rank")) not in (None, "0"):
        yield (
            f"{told} --ds.lora.rank {rank}, and OpenRLHF can't send an adapter's weights to its rollout engines "
            "(OpenRLHF issue 1349): leave it out, and train the full weights"
        )
    if (backend := value_of(arguments, "--vllm.sync_backend")) not in (None, "nccl"):
        yield (
            f"{told} --vllm.sync_backend {backend}, and OpenRLHF 0.11.2 sends weights to its rollout engines by "
            "nothing but nccl: leave it out"
        )
    if (estimator := value_of(arguments, "--algo.advantage.estimator")) in _COMPARING_ESTIMATORS:
        yield (
            f"{told} --algo.advantage.estimator {estimator}, which compares the samples of one prompt, and those are "
            "the two roles of a game: leave it at reinforce; engine.role_baselines subtracts each role's own mean"
        )
    if value_of(arguments, "--algo.dynamic_filtering_enable") is not None:
        yield (
            f"{told} --algo.dynamic_filtering_enable, which keeps games by the mean of both roles' rewards, zero in "
            "every decided adversarial one: leave it out"
        )
    samples = value_of(arguments, "--rollout.n_samples_per_prompt")
    if samples is not None and samples.isdecimal() and int(samples) % 2:
        yield (
            f"{told} --rollout.n_samples_per_prompt {samples}, and a game is two samples: leave it out, or name an "
            "even number"
        )


def _playing_problems(config: RunConfig) -> Iterator[str]:
    """What in ``config`` can't be played inside OpenRLHF's rollout engines, which hold the model that learns alone."""
    if config.game.no_defender_turn:
        yield (
            "game.no_defender_turn lets the frozen reference policy assess, and OpenRLHF's rollout engines hold no "
            "other model than the one that learns: set it to false, or train with --engine local"
        )
    if config.opponents.add_every > 0:
        yield (
            "opponents.add_every makes past selves, and OpenRLHF's rollout engines hold no weights but those that "
            "learn: set it to 0, or train with --engine local"
        )
    if config.opponents.fixed is not None and config.opponents.url is None:
        yield (
            "opponents.fixed is a model of its own, and OpenRLHF's rollout engines hold no other than the one that "
            "learns: serve it (vllm serve MODEL --port 8001) and set opponents.url to http://127.0.0.1:8001/v1, or "
            "train with --engine local"
        )
    if config.training.assessor_samples_per_step is not None:
        yield (
            "training.assessor_samples_per_step chooses among samples, and OpenRLHF learns from all that it gets: "
            "unset it, or train with --engine local"
        )
    is_hybrid = config.judge.kind == "hybrid"
    if (config.judge.fallback if is_hybrid else config.judge.kind) == "model":
        option = "judge.fallback" if is_hybrid else "judge.kind"
        yield (
            f'{option} is "model", which would load the judge into each rollout engine: serve it with `medical-team '
            f'judge serve`, and set {option} to "remote" and judge.url to its address'
        )
