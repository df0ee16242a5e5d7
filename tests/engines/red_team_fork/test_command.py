"""The fork's command line: options that it has, a model that is written, and contradictions in our words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import synthetic_records
from medical_team.config import RunConfig
from medical_team.engines.command import EngineCommand, EngineFiles
from medical_team.engines.installed import ParserVerdict, check_with_parser
from medical_team.engines.red_team_fork.command import (
    red_team_fork_command,
    red_team_fork_deviations,
    red_team_fork_problems,
    write_fork_dataset,
)
from medical_team.runs.config_file import load_preset, preset_names
from medical_team.runs.folder import RunFolder
from needs import FORK

FILES = EngineFiles(Path("/runs/a run"))

# What the fork's parser (commit 3ecba20f) knows of the options that are used here, by whether a value follows.
FLAGS = re.findall(
    r"\w+",
    """
    colocate_all_models enforce_eager vllm_enable_sleep deepspeed_enable_sleep bf16 flash_attn packing_samples
    gradient_checkpointing save_hf_ckpt disable_ds_ckpt load_checkpoint
    """,
)
VALUED = re.findall(
    r"\w+",
    """
    actor_num_nodes actor_num_gpus_per_node ref_num_nodes ref_num_gpus_per_node vllm_num_engines
    vllm_tensor_parallel_size vllm_gpu_memory_utilization vllm_sync_backend pretrain zero_stage remote_rm_url
    prompt_data max_samples prompt_max_len generate_max_len custom_configs n_samples_per_prompt rollout_batch_size
    micro_rollout_batch_size temperature top_p train_batch_size micro_train_batch_size advantage_estimator kl_estimator
    init_kl_coef actor_learning_rate actor_loss_coef l2 max_norm eps_clip num_episodes max_epochs seed
    diversity_score_steps save_path ckpt_path save_steps max_ckpt_num eval_steps use_tensorboard wandb_run_name
    """,
)


def launchable(**engine: object) -> RunConfig:
    config = load_preset("checklist")
    return replace(config, engine=replace(config.engine, kind="red-team-fork", **engine))


def command_of(config: RunConfig, *, is_resuming: bool = False) -> EngineCommand:
    return red_team_fork_command(
        config.resolved, FILES, judge_url="http://127.0.0.1:8000/", is_resuming=is_resuming
    )  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("is_resuming", [False, True])
def test_the_fork_has_every_option_that_is_used(name: str, is_resuming: bool) -> None:
    config = load_preset(name)
    # What a preset passes on as it is belongs to upstream.
    config = replace(config, engine=replace(config.engine, extra_arguments=()))
    options = command_of(config, is_resuming=is_resuming).options
    assert len(options) > 30
    for option, *values in options:
        assert option.startswith("--")
        assert option[2:] in (VALUED if values else FLAGS)
        assert len(values) <= 1


def values_of(command: EngineCommand, option: str) -> tuple[str, ...] | None:
    return next((words[1:] for words in command.options if words[0] == option), None)


def test_the_checklists_run_keeps_the_users_settings_and_gets_what_was_missing() -> None:
    command = command_of(launchable())

    theirs = {
        "--actor_num_nodes": "1", "--vllm_num_engines": "1", "--vllm_gpu_memory_utilization": "0.7",
        "--pretrain": "Qwen/Qwen2.5-3B-Instruct", "--micro_train_batch_size": "4", "--train_batch_size": "16",
        "--micro_rollout_batch_size": "4", "--rollout_batch_size": "64", "--max_epochs": "1",
        "--prompt_max_len": "2048", "--generate_max_len": "2048", "--zero_stage": "3", "--num_episodes": "1",
        "--seed": "42", "--top_p": "1.0", "--actor_learning_rate": "5e-07", "--init_kl_coef": "0.01",
        "--advantage_estimator": "reinforce", "--actor_loss_coef": "1.0", "--eval_steps": "10",
        "--vllm_sync_backend": "nccl",
    }  # fmt: skip
    assert {option: (values_of(command, option) or ("",))[0] for option in theirs} == theirs
    for flag in ("--colocate_all_models", "--save_hf_ckpt", "--disable_ds_ckpt", "--flash_attn", "--bf16",
                 "--packing_samples", "--gradient_checkpointing", "--enforce_eager"):  # fmt: skip
        assert values_of(command, flag) == ()
    ours = {
        "--n_samples_per_prompt": "1", "--diversity_score_steps": "100000", "--save_steps": "10",
        "--max_samples": "640", "--remote_rm_url": "http://127.0.0.1:8000/classify",
    }  # fmt: skip
    assert {option: (values_of(command, option) or ("",))[0] for option in ours} == ours
    assert values_of(command, "--vllm_enable_sleep") == values_of(command, "--deepspeed_enable_sleep") == ()


def test_the_rules_of_the_game_survive_a_shell() -> None:
    words = command_of(launchable()).words("python")
    # As `ray job submit` writes them, and as a shell then reads them.
    line = f"printf '%s\\n' {subprocess.list2cmdline(words)}"

    seen = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True).stdout.splitlines()

    rules = json.loads(seen[seen.index("--custom_configs") + 1])
    assert rules["max_turns"] == 2
    assert rules["reward_type"] == "medical_general_sum"
    assert "error_types" not in rules, "the fork filters nothing and would warn of the key"


@pytest.mark.parametrize("steps", [1, 7, 10, 101, 640])
@pytest.mark.parametrize("save_every", [1, 10, 100, 1000])
def test_the_last_step_is_always_saved(steps: int, save_every: int) -> None:
    config = launchable()
    config = replace(
        config, training=replace(config.training, steps=steps),
        checkpoints=replace(config.checkpoints, save_every=save_every),
    )  # fmt: skip

    [interval] = list(values_of(command_of(config), "--save_steps") or ())

    assert steps % int(interval) == 0
    assert steps // int(interval) <= max(1, 2 * -(-steps // save_every)), "and not much more often than asked"


def test_the_checklists_run_contradicts_nothing() -> None:
    assert red_team_fork_problems(launchable()) == []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (launchable(packing=False), "engine.packing is false"),
        (launchable(role_baselines=True), "engine.role_baselines is for upstream"),
        (launchable(micro_train_batch_size=3), "engine.micro_train_batch_size is 3, which doesn't divide"),
        (launchable(extra_arguments=("--ds.adam_offload",)), "--ds.adam_offload, an option of upstream OpenRLHF"),
    ],
    ids=["packing", "baselines", "batch", "upstream"],
)
def test_a_contradiction_is_told_in_our_words(config: RunConfig, told: str) -> None:
    [problem] = red_team_fork_problems(config)

    assert told in problem


def test_it_is_said_that_the_fork_leaves_no_games() -> None:
    assert any("writes no games" in deviation for deviation in red_team_fork_deviations(launchable()))


def test_it_is_said_that_the_forks_attackers_rewrite_whole_notes() -> None:
    config = launchable()
    sentences = replace(config, game=replace(config.game, revision="sentences"))

    assert any("game.revision = sentences is not followed" in told for told in red_team_fork_deviations(sentences))
    assert not any("game.revision" in told for told in red_team_fork_deviations(config))


def test_it_is_said_that_the_forks_assessors_name_no_sentence() -> None:
    config = launchable()
    locating = replace(config, game=replace(config.game, assessor="locate"))

    assert any("game.assessor = locate is not followed" in told for told in red_team_fork_deviations(locating))
    assert not any("game.assessor" in told for told in red_team_fork_deviations(config))


def test_the_forks_readme_and_its_checkout_are_in_its_environment(tmp_path: Path) -> None:
    environment = command_of(launchable(fork=str(tmp_path))).environment

    assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert environment["PYTHONPATH"] == str(tmp_path)


def test_the_forks_data_have_a_row_for_each_game_all_vanilla_and_half_of_them_harmful(tmp_path: Path) -> None:
    config = replace(launchable(), training=replace(launchable().training, steps=3, games_per_step=8))
    run = RunFolder.create(tmp_path / "run", config, synthetic_records(6))

    path = write_fork_dataset(run)

    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert Counter(row["data_type"] for row in rows) == {"vanilla_harmful": 12, "vanilla_benign": 12}
    assert all(row["vanilla"] == row["adversarial"] and isinstance(row["completion"], str) for row in rows)
    first = path.read_bytes()
    assert write_fork_dataset(run).read_bytes() == first


@pytest.mark.parametrize(("written", "is_told"), [("rope_parameters", True), ("rope_theta", False)])
def test_a_model_that_the_forks_transformers_would_misread_is_refused(
    tmp_path: Path, written: str, is_told: bool
) -> None:
    config = {"rope_parameters": {"rope_type": "default", "rope_theta": 100000.0}, written: 100000.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    run = launchable()

    problems = red_team_fork_problems(replace(run, policy=replace(run.policy, model=str(tmp_path))))

    assert any("--transformers-4" in problem for problem in problems) == is_told


@pytest.fixture(scope="module")
def fork() -> Path:
    """A checkout of the fork, which is no part of the project."""
    checkout = Path(os.environ.get("MEDICAL_TEAM_FORK") or "/nowhere")
    if not (checkout / "openrlhf" / "trainer" / "ppo_utils" / "language_game.py").is_file():
        FORK.skip()
    return checkout


def parsed(fork: Path, command: EngineCommand, *more: str) -> ParserVerdict:
    return check_with_parser(sys.executable, [*command.arguments, *more], [str(fork)])


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("is_resuming", [False, True])
def test_the_forks_own_parser_takes_the_command_of_every_preset(fork: Path, name: str, is_resuming: bool) -> None:
    config = load_preset(name)
    config = replace(config, engine=replace(config.engine, extra_arguments=()))

    verdict = parsed(fork, command_of(config, is_resuming=is_resuming))

    assert verdict.is_accepted, verdict.problem
    # It passes on the keys of ours that it doesn't know, and says so.
    unknown = {re.findall(r"Unexpected key in custom_configs: '(\w+)'", remark)[0] for remark in verdict.remarks}
    assert unknown <= {"prompt_style", "reward_coeff_config"}


def test_the_fork_understands_what_is_meant(fork: Path) -> None:
    settings = parsed(fork, command_of(launchable())).settings

    assert settings["n_samples_per_prompt"] == 1
    assert settings["remote_rm_url"] == ["http://127.0.0.1:8000/classify"]
    assert settings["actor_learning_rate"] == 5e-7
    assert settings["save_steps"] == 10
    custom_configs: Any = settings["custom_configs"]
    assert custom_configs["reward_type"] == "medical_general_sum"
    assert settings["vllm_enable_sleep"]
    assert settings["deepspeed_enable_sleep"]


def test_the_forks_own_parser_refuses_an_option_that_it_lacks(fork: Path) -> None:
    verdict = parsed(fork, command_of(launchable()), "--engine.sleep")

    assert not verdict.is_accepted
    assert "--engine.sleep" in (verdict.problem or "")
