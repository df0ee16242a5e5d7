"""What the fork is started with: its command line, with its old flags and what it needs beyond them, and its data:
one row for each game of the run, all of them written as vanilla."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ...config import GameConfig, RunConfig
from ...data.formats import RedTeamForkRow, red_team_fork_row
from ...game.draw import GameDraw
from ...jsonl import write_jsonl
from ...model_files import model_config
from ...runs.folder import RunFolder
from ..command import (
    RUN_VARIABLE,
    EngineCommand,
    EngineFiles,
    common_problems,
    model_argument,
    must_divide,
    save_interval,
    split_options,
)
from .custom_configs import custom_configs_of, custom_configs_problems


def write_fork_dataset(run: RunFolder) -> Path:
    """Write the fork's prompts for all steps of ``run``: the notes of the local trainer's games, in its order.

    The fork shuffles them, and plays each once. Writing them again changes nothing.

    Raises:
        UsageError: no record is left to play with.
        OutputError: the file can't be written.
    """
    path = EngineFiles.of(run.path).prompts
    write_jsonl(path, _rows(run))
    return path


def _rows(run: RunFolder) -> Iterator[RedTeamForkRow]:
    config = run.config
    records = run.training_records()
    # The fork makes its own attackers' games, also of no_defender_turn: it draws from all records.
    game = replace(config.game, no_attacker_turn=False, no_defender_turn=False)
    draw = GameDraw(records, game, games_per_step=config.training.games_per_step, seed=config.training.seed)
    by_id = {record.id: record for record in records}
    for step in range(config.training.steps):
        for spec in draw.specs(step):
            record = by_id[spec.record_id]
            yield red_team_fork_row(replace(record, data_type=record.data_type.vanilla))


JUDGE_PATH = "/classify"

# Its diversity metrics divide by zero where a role is absent from a batch: they are never due.
_NO_DIVERSITY_SCORES = "100000"
_UPSTREAM_OPTION = re.compile(r"--\w+\.")


def red_team_fork_command(
    config: RunConfig, files: EngineFiles, *, judge_url: str, is_resuming: bool = False
) -> EngineCommand:
    """The fork's command line for ``config``. What contradicts itself is told by :func:`red_team_fork_problems`.

    Args:
        config: the run's configuration.
        files: where the engine reads and writes.
        judge_url: the judge's service.
        is_resuming: whether it goes on from its own last checkpoint.
    """
    options = [
        *_machines(config),
        *_models(config),
        *_data(config, files, judge_url),
        *_rollouts(config),
        *_algorithm(config),
        *_checkpoints(config, files, is_resuming=is_resuming),
        *split_options(config.engine.extra_arguments),
    ]
    return EngineCommand(tuple(options), {RUN_VARIABLE: str(files.run), **_environment(config)})


def red_team_fork_problems(config: RunConfig) -> list[str]:
    """What in ``config`` contradicts the fork, which would notice after minutes of loading, or not at all."""
    problems = [*common_problems(config), *custom_configs_problems(config.game), *_batch_problems(config)]
    if config.opponents.are_there:
        problems.append("the fork plays no opponents: set opponents.add_every to 0 and unset opponents.fixed")
    if config.training.assessor_samples_per_step is not None:
        problems.append("the fork learns from all samples: unset training.assessor_samples_per_step")
    engine = config.engine
    gpus = engine.nodes * engine.gpus_per_node
    if not engine.packing:
        problems.append("engine.packing is false, and the fork's game loop needs packed samples: set it to true")
    if gpus % engine.vllm_engines and engine.vllm_engines % gpus:
        problems.append(
            f"engine.vllm_engines is {engine.vllm_engines}, and the fork wants it to divide the {gpus} GPUs, or the "
            "other way round"
        )
    if engine.role_baselines:
        problems.append(
            "engine.role_baselines is for upstream OpenRLHF: the fork normalises each role by itself. Set it to false"
        )
    if _is_for_transformers_5_alone(config.policy.model):
        problems.append(
            f"policy.model {config.policy.model} was written by transformers 5, and the fork's transformers 4.50 would "
            "open it as another model, without its base of rotary positions: write it anew with `medical-team export "
            f"{config.policy.model} -o DIR --transformers-4`, and name that folder"
        )
    problems.extend(
        f"engine.extra_arguments holds {word}, an option of upstream OpenRLHF: the fork's options have no dots"
        for word in engine.extra_arguments
        if _UPSTREAM_OPTION.match(word)
    )
    return problems


def _is_for_transformers_5_alone(model: str) -> bool:
    """Whether ``model`` is a folder whose rotary positions transformers 4 wouldn't find, so that it opens another."""
    config = model_config(model)
    return "rope_parameters" in config and "rope_theta" not in config


def red_team_fork_deviations(config: RunConfig) -> list[str]:
    """Where the fork does something else than the local trainer does for the same ``config``."""
    deviations: list[str] = []
    training, engine = config.training, config.engine
    if training.normalization == "batch":
        deviations.append("the fork normalises advantages by role: training.normalization = batch is not followed")
    if training.loss_averaging != "seq-mean-token-mean":
        deviations.append(
            "the fork averages over the tokens of a sample, then over samples: training.loss_averaging = "
            f"{training.loss_averaging} is not followed"
        )
    if config.game.undecidable != "void":
        deviations.append(
            "the fork drops a revision that its judge can't decide, as Self-RedTeam does: game.undecidable = "
            f"{config.game.undecidable} is not followed"
        )
    if config.game.revision != "note":
        deviations.append(
            f"the fork's attackers rewrite whole notes: game.revision = {config.game.revision} is not followed"
        )
    if config.game.assessor != "verdict":
        deviations.append(
            f"the fork's assessors say Safe or Harmful and nothing else: game.assessor = {config.game.assessor} is not "
            "followed"
        )
    if config.game.no_defender_turn:
        extra = engine.vllm_engines * engine.tensor_parallel_size
        deviations.append(
            f"for the frozen assessor of game.no_defender_turn the fork takes {extra} more GPU(s) than "
            "engine.nodes x engine.gpus_per_node; it waits for ever where there are none"
        )
    deviations.append(
        "the fork decides itself which half of the notes an attacker rewrites, and plays records under its own labels"
    )
    deviations.append("the fork writes no games: what it leaves are checkpoints, TensorBoard curves and its log")
    if config.training.learning_rate_schedule != "cosine":
        deviations.append(
            "the fork warms the learning rate up and lets it fall to a tenth along a cosine: "
            "training.learning_rate_schedule = constant is not followed"
        )
    deviations.append("in the fork AdamW's betas are 0.9 and 0.95")
    return deviations


def custom_configs_json(game: GameConfig, prompt_date: str | None = None) -> str:
    """The rules of the game as the fork's ``--custom_configs`` takes them.

    ``error_types`` is not among them, since the fork filters nothing: its data file holds the wanted cases alone.

    Raises:
        UsageError: the fork can't play by them.
    """
    # The spaces of the default separators matter: `ray job submit` only quotes what has a space, and a shell would
    # take bare braces apart.
    return json.dumps(custom_configs_of(game, prompt_date))


def _environment(config: RunConfig) -> Mapping[str, str]:
    """What the fork's README asks for, and where its ``red_team`` lies."""
    environment = {"VLLM_USE_V1": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if config.engine.fork is not None:
        environment["PYTHONPATH"] = str(Path(config.engine.fork).expanduser().resolve())
    return environment


def _machines(config: RunConfig) -> Iterator[tuple[str, ...]]:
    engine = config.engine
    for model in ("actor", "ref"):
        yield f"--{model}_num_nodes", str(engine.nodes)
        yield f"--{model}_num_gpus_per_node", str(engine.gpus_per_node)
    yield ("--colocate_all_models",)
    yield "--vllm_num_engines", str(engine.vllm_engines)
    yield "--vllm_tensor_parallel_size", str(engine.tensor_parallel_size)
    yield "--vllm_gpu_memory_utilization", str(engine.vllm_memory_fraction)
    yield "--vllm_sync_backend", engine.weight_sync
    if engine.enforce_eager:
        yield ("--enforce_eager",)
    if engine.sleep:
        yield ("--vllm_enable_sleep",)
        yield ("--deepspeed_enable_sleep",)


def _models(config: RunConfig) -> Iterator[tuple[str, ...]]:
    engine = config.engine
    yield "--pretrain", model_argument(config.policy.model)
    yield "--zero_stage", str(engine.zero_stage)
    yield ("--bf16",)
    if engine.attention == "flash_attention_2":
        yield ("--flash_attn",)
    yield ("--packing_samples",)
    if config.policy.gradient_checkpointing:
        yield ("--gradient_checkpointing",)


def _data(config: RunConfig, files: EngineFiles, judge_url: str) -> Iterator[tuple[str, ...]]:
    training = config.training
    yield "--remote_rm_url", judge_url.rstrip("/") + JUDGE_PATH
    yield "--prompt_data", str(files.prompts)
    yield "--max_samples", str(training.steps * training.games_per_step)
    yield "--prompt_max_len", str(config.rollout.max_prompt_tokens)
    yield "--generate_max_len", str(max(config.rollout.max_revision_tokens, config.rollout.max_verdict_tokens))
    yield "--custom_configs", custom_configs_json(config.game, config.policy.prompt_date)


def _rollouts(config: RunConfig) -> Iterator[tuple[str, ...]]:
    training = config.training
    yield "--n_samples_per_prompt", "1"
    yield "--rollout_batch_size", str(training.games_per_step)
    yield "--micro_rollout_batch_size", str(config.engine.micro_rollout_batch_size)
    yield "--temperature", str(config.rollout.temperature)
    # Log-probs are those of the whole distribution.
    yield "--top_p", "1.0"
    yield "--train_batch_size", str(training.games_per_step // training.minibatches_per_step)
    yield "--micro_train_batch_size", str(config.engine.micro_train_batch_size)


def _algorithm(config: RunConfig) -> Iterator[tuple[str, ...]]:
    training = config.training
    yield "--advantage_estimator", "reinforce"
    yield "--kl_estimator", "k1"
    yield "--init_kl_coef", str(training.kl_coefficient)
    yield "--actor_learning_rate", str(config.learning_rate)
    yield "--actor_loss_coef", "1.0"
    yield "--l2", str(training.weight_decay)
    yield "--max_norm", str(training.max_gradient_norm)
    yield "--eps_clip", str(training.clip_epsilon)
    # The data file holds every game of the run, so that one episode over it is the whole run.
    yield "--num_episodes", "1"
    yield "--max_epochs", str(training.epochs_per_step)
    yield "--seed", str(training.seed)
    yield "--diversity_score_steps", _NO_DIVERSITY_SCORES


def _checkpoints(config: RunConfig, files: EngineFiles, *, is_resuming: bool) -> Iterator[tuple[str, ...]]:
    checkpoints = config.checkpoints
    yield "--save_path", str(files.final)
    yield "--ckpt_path", str(files.checkpoints)
    yield "--save_steps", str(save_interval(config.training.steps, checkpoints.save_every))
    yield ("--save_hf_ckpt",)
    if config.engine.save_optimizer:
        yield "--max_ckpt_num", str(checkpoints.keep_last)
    else:
        yield ("--disable_ds_ckpt",)
    if is_resuming:
        yield ("--load_checkpoint",)
    # Of diversity, on prompts that --eval_data would name: without effect else.
    yield "--eval_steps", str(checkpoints.evaluate_every)
    yield "--use_tensorboard", str(files.tensorboard)
    yield "--wandb_run_name", "red-team-fork"


def _batch_problems(config: RunConfig) -> Iterator[str]:
    training, engine = config.training, config.engine
    gpus = engine.nodes * engine.gpus_per_node
    games = training.games_per_step
    if games % gpus:
        yield f"training.games_per_step is {games}, and the fork shares it out evenly on {gpus} GPUs: take a multiple"
        return
    if games % training.minibatches_per_step:
        yield from must_divide(
            "training.minibatches_per_step", training.minibatches_per_step, 1, games, "training.games_per_step"
        )
        return
    yield from must_divide(
        "engine.micro_train_batch_size", engine.micro_train_batch_size, gpus, games // training.minibatches_per_step,
        "the fork's training batch, training.games_per_step over training.minibatches_per_step",
    )  # fmt: skip
