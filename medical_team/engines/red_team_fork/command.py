"""What the fork is started with: its command line, with its old flags and what it needs beyond them, and its data:
one row for each game of the run, all of them written as vanilla."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...config import RunConfig
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
    optimizer_deviations,
    options_of,
    save_interval,
)
from .custom_configs import custom_configs_of, custom_configs_problems


def write_fork_dataset(run: RunFolder) -> Path:
    """Write the fork's prompts for all steps of ``run``: the notes of the local trainer's games, in its order.

    The fork shuffles them, and plays each once. Writing them again changes nothing.

    Raises:
        UsageError: no record is left to play with.
        OutputError: the file can't be written.
    """
    path = EngineFiles(run.path).prompts
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
    engine, training, rollout, checkpoints = config.engine, config.training, config.rollout, config.checkpoints
    options = {
        "--actor_num_nodes": engine.nodes,
        "--actor_num_gpus_per_node": engine.gpus_per_node,
        "--ref_num_nodes": engine.nodes,
        "--ref_num_gpus_per_node": engine.gpus_per_node,
        "--colocate_all_models": True,
        "--vllm_num_engines": engine.vllm_engines,
        "--vllm_tensor_parallel_size": engine.tensor_parallel_size,
        "--vllm_gpu_memory_utilization": engine.vllm_memory_fraction,
        "--vllm_sync_backend": "nccl",
        "--enforce_eager": engine.enforce_eager,
        "--vllm_enable_sleep": engine.sleep,
        "--deepspeed_enable_sleep": engine.sleep,
        "--pretrain": model_argument(config.policy.model),
        "--zero_stage": engine.zero_stage,
        "--bf16": True,
        "--flash_attn": engine.attention == "flash_attention_2",
        "--packing_samples": True,
        "--gradient_checkpointing": config.policy.gradient_checkpointing,
        "--remote_rm_url": judge_url.rstrip("/") + "/classify",
        "--prompt_data": str(files.prompts),
        "--max_samples": training.steps * training.games_per_step,
        "--prompt_max_len": rollout.max_prompt_tokens,
        "--generate_max_len": max(rollout.max_revision_tokens, rollout.max_verdict_tokens),
        # Its spaces matter: `ray job submit` only quotes what has one, and a shell would take bare braces apart.
        "--custom_configs": json.dumps(custom_configs_of(config.game, config.policy.prompt_date)),
        "--n_samples_per_prompt": 1,
        "--rollout_batch_size": training.games_per_step,
        "--micro_rollout_batch_size": engine.micro_rollout_batch_size,
        "--temperature": rollout.temperature,
        # Log-probs are those of the whole distribution.
        "--top_p": 1.0,
        "--train_batch_size": training.games_per_step // training.minibatches_per_step,
        "--micro_train_batch_size": engine.micro_train_batch_size,
        "--advantage_estimator": "reinforce",
        "--kl_estimator": "k1",
        "--init_kl_coef": training.kl_coefficient,
        "--actor_learning_rate": config.learning_rate,
        "--actor_loss_coef": 1.0,
        "--l2": training.weight_decay,
        "--max_norm": training.max_gradient_norm,
        "--eps_clip": training.clip_epsilon,
        # The data file holds every game of the run, so that one episode over it is the whole run.
        "--num_episodes": 1,
        "--max_epochs": training.epochs_per_step,
        "--seed": training.seed,
        # Never: its diversity metrics divide by zero where a role is absent from a batch.
        "--diversity_score_steps": 100000,
        "--save_path": str(files.final),
        "--ckpt_path": str(files.checkpoints),
        "--save_steps": save_interval(training.steps, checkpoints.save_every),
        "--save_hf_ckpt": True,
        "--disable_ds_ckpt": not engine.save_optimizer,
        "--max_ckpt_num": engine.save_optimizer and checkpoints.keep_last,
        "--load_checkpoint": is_resuming,
        # Of diversity, on prompts that --eval_data would name: without effect else.
        "--eval_steps": checkpoints.evaluate_every,
        "--use_tensorboard": str(files.tensorboard),
        "--wandb_run_name": "red-team-fork",
    }
    # What the fork's README asks for, and where its `red_team` lies.
    environment = {
        RUN_VARIABLE: str(files.run),
        "VLLM_USE_V1": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    if engine.fork is not None:
        environment["PYTHONPATH"] = str(Path(engine.fork).expanduser().resolve())
    return EngineCommand(options_of(options, engine.extra_arguments), environment)


def red_team_fork_problems(config: RunConfig) -> list[str]:
    """What in ``config`` contradicts the fork, which would notice after minutes of loading, or not at all."""
    problems = [*common_problems(config), *custom_configs_problems(config.game), *_batch_problems(config)]
    engine, model = config.engine, config.policy.model
    gpus = engine.nodes * engine.gpus_per_node
    if config.opponents.are_there:
        problems.append("the fork plays no opponents: set opponents.add_every to 0 and unset opponents.fixed")
    if config.training.assessor_samples_per_step is not None:
        problems.append("the fork learns from all samples: unset training.assessor_samples_per_step")
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
    # Rotary positions stand elsewhere in a folder of transformers 5.
    model_settings = model_config(model)
    if "rope_parameters" in model_settings and "rope_theta" not in model_settings:
        problems.append(
            f"policy.model {model} was written by transformers 5, and the fork's transformers 4.50 would open it as "
            "another model, without its base of rotary positions: write it anew with `medical-team export "
            f"{model} -o DIR --transformers-4`, and name that folder"
        )
    problems.extend(
        f"engine.extra_arguments holds {word}, an option of upstream OpenRLHF: the fork's options have no dots"
        for word in engine.extra_arguments
        if _UPSTREAM_OPTION.match(word)
    )
    return problems


def red_team_fork_deviations(config: RunConfig) -> list[str]:
    """Where the fork does something else than the local trainer does for the same ``config``."""
    training, game, engine = config.training, config.game, config.engine
    # What it does always, the option that says so, and what that option is set to.
    fixed = (
        ("normalises advantages by role", "training.normalization", training.normalization, "role"),
        (
            "averages over the tokens of a sample, then over samples",
            "training.loss_averaging",
            training.loss_averaging,
            "seq-mean-token-mean",
        ),
        (
            "drops a revision that its judge can't decide, as Self-RedTeam does",
            "game.undecidable",
            game.undecidable,
            "void",
        ),
        ("lets attackers rewrite whole notes", "game.revision", game.revision, "note"),
        ("lets assessors say Safe or Harmful and nothing else", "game.assessor", game.assessor, "verdict"),
    )
    deviations = [
        f"the fork {does}: {option} = {value} is not followed" for does, option, value, only in fixed if value != only
    ]
    if game.no_defender_turn:
        extra = engine.vllm_engines * engine.tensor_parallel_size
        deviations.append(
            f"for the frozen assessor of game.no_defender_turn the fork takes {extra} more GPU(s) than "
            "engine.nodes x engine.gpus_per_node; it waits for ever where there are none"
        )
    return [
        *deviations,
        "the fork decides itself which half of the notes an attacker rewrites, and plays records under its own labels",
        "the fork writes no games: what it leaves are checkpoints, TensorBoard curves and its log",
        *optimizer_deviations("the fork", config),
    ]


def _batch_problems(config: RunConfig) -> Iterator[str]:
    training, engine = config.training, config.engine
    gpus = engine.nodes * engine.gpus_per_node
    games, minibatches = training.games_per_step, training.minibatches_per_step
    if games % gpus:
        yield f"training.games_per_step is {games}, and the fork shares it out evenly on {gpus} GPUs: take a multiple"
    elif games % minibatches:
        yield from must_divide("training.minibatches_per_step", minibatches, 1, games, "training.games_per_step")
    else:
        yield from must_divide(
            "engine.micro_train_batch_size", engine.micro_train_batch_size, gpus, games // minibatches,
            "the fork's training batch, training.games_per_step over training.minibatches_per_step",
        )  # fmt: skip
