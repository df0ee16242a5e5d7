"""OpenRLHF's command line: its own parser takes that of every preset, and contradictions are told in our words."""

from __future__ import annotations

import importlib.util
import re
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medical_team.config import RunConfig
from medical_team.engines.command import EngineFiles
from medical_team.engines.installed import ParserVerdict, check_with_parser
from medical_team.engines.openrlhf.command import openrlhf_command, openrlhf_deviations, openrlhf_problems
from medical_team.game_config import OpponentConfig
from medical_team.runs.config_file import load_config, load_preset, preset_names
from needs import OPENRLHF

FILES = EngineFiles(Path("/runs/a run"))

needs_openrlhf = pytest.mark.skipif(
    importlib.util.find_spec("openrlhf") is None,
    reason=OPENRLHF.reason(),
)


def launchable(**engine: object) -> RunConfig:
    """The checklist's run, with some settings of the engine changed."""
    config = load_preset("checklist")
    return replace(config, engine=replace(config.engine, kind="openrlhf", **engine))


def with_training(config: RunConfig, **training: object) -> RunConfig:
    return replace(config, training=replace(config.training, **training))


def words_of(config: RunConfig, *, has_heldout: bool = False, is_resuming: bool = False) -> list[str]:
    return openrlhf_command(config.resolved, FILES, has_heldout=has_heldout, is_resuming=is_resuming).arguments


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def parsed(words: list[str]) -> ParserVerdict:
    return check_with_parser(sys.executable, words)


@needs_openrlhf
@pytest.mark.parametrize("name", preset_names())
def test_openrlhfs_own_parser_takes_the_command_of_every_preset(name: str) -> None:
    verdict = parsed(words_of(load_preset(name), has_heldout=True, is_resuming=True))

    assert verdict.is_accepted, verdict.problem
    assert not verdict.remarks, "it would change a setting by itself"


@needs_openrlhf
def test_openrlhf_understands_what_is_meant() -> None:
    settings = parsed(words_of(launchable())).settings

    assert settings["rollout.n_samples_per_prompt"] == 2
    assert settings["rollout.batch_size"] == 64
    assert settings["train.batch_size"] == 32
    assert settings["data.max_len"] == 2048 + 2048
    assert settings["algo.advantage.estimator"] == "reinforce"
    assert settings["actor.loss_agg_mode"] == "seq-mean-token-mean"
    assert settings["actor.adam.lr"] == 5e-7
    assert settings["ckpt.best_metric_key"] == "none"
    assert settings["vllm.enable_sleep"] is True
    assert settings["ds.enable_sleep"] is True
    assert settings["data.apply_chat_template"] is False
    assert settings["algo.dynamic_filtering_enable"] is False
    assert settings["algo.kl.target"] is None


@needs_openrlhf
@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (["--rollout.unheard_of", "1"], "unrecognized arguments: --rollout.unheard_of 1"),
        (["--rollout.batch", "4"], "no option --rollout.batch"),
        (["--train.partial_rollout_enable"], "requires --train.async_enable"),
        (["--ds.param_dtype", "fp32"], "invalid choice: 'fp32'"),
    ],
    ids=["unknown", "abbreviated", "asserted", "choice"],
)
def test_openrlhfs_own_parser_refuses_what_is_broken(broken: list[str], problem: str) -> None:
    verdict = parsed(words_of(launchable(extra_arguments=tuple(broken))))

    assert not verdict.is_accepted
    assert problem in (verdict.problem or "")


def test_the_agent_file_is_there() -> None:
    assert Path(value(words_of(launchable()), "--train.agent_func_path")).is_file()


def test_the_checklists_run_contradicts_nothing() -> None:
    assert openrlhf_problems(launchable()) == []


def test_a_model_is_written_though_the_checklists_interval_never_comes() -> None:
    words = words_of(launchable())

    assert value(words, "--ckpt.save_steps") == "-1"
    assert value(words, "--ckpt.output_dir") == "/runs/a run/engine/final"


def test_checkpoints_before_the_end_keep_their_interval() -> None:
    assert value(words_of(with_training(launchable(), steps=250)), "--ckpt.save_steps") == "100"


def test_evaluation_follows_the_held_out_notes() -> None:
    assert value(words_of(launchable()), "--eval.steps") == "-1"
    words = words_of(launchable(), has_heldout=True)
    assert value(words, "--eval.steps") == "10"
    assert value(words, "--eval.n_samples_per_prompt") == "1"


def test_a_folder_of_a_model_is_passed_on_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    config = launchable()
    config = replace(config, policy=replace(config.policy, model="model"))

    assert value(words_of(config), "--actor.model_name_or_path") == str(tmp_path / "model")


def test_what_is_passed_on_comes_last_and_so_decides() -> None:
    command = openrlhf_command(
        launchable(extra_arguments=("--train.seed", "7")).resolved, FILES, has_heldout=False
    )  # fmt: skip

    assert command.arguments[-2:] == ["--train.seed", "7"]
    # Python's argument parser takes the last of two.
    assert command.arguments.count("--train.seed") == 2


def test_machines_pass_through() -> None:
    words = words_of(launchable(nodes=2, gpus_per_node=8, vllm_engines=4, tensor_parallel_size=4))

    assert value(words, "--actor.num_nodes") == value(words, "--ref.num_nodes") == "2"
    assert value(words, "--actor.num_gpus_per_node") == value(words, "--ref.num_gpus_per_node") == "8"
    assert value(words, "--vllm.tensor_parallel_size") == "4"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (launchable(gpus_per_node=8), "engine.vllm_engines x engine.tensor_parallel_size is 1, and there are 8 GPUs"),
        (launchable(micro_train_batch_size=5), "engine.micro_train_batch_size is 5, which doesn't divide"),
        (launchable(micro_rollout_batch_size=3), "engine.micro_rollout_batch_size is 3, which doesn't divide"),
        (with_training(launchable(), minibatches_per_step=3), "training.minibatches_per_step is 3"),
        (with_training(launchable(), demonstration_coefficient=0.1), "training.demonstration_coefficient is above 0"),
        (launchable(attention="sdpa"), "engine.packing needs engine.attention flash_attention_2, not sdpa"),
        (launchable(vllm_memory_fraction=0.7, judge_memory_fraction=0.4), "together are 1.1 of a GPU"),
    ],
    ids=["gpus", "micro-train", "micro-rollout", "minibatches", "demonstrations", "packing", "memory"],
)
def test_a_contradiction_is_told_in_our_words(config: RunConfig, told: str) -> None:
    [problem] = openrlhf_problems(config)

    assert told in problem


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--ds.lora.rank", "16"), "OpenRLHF issue 1349"),
        (("--vllm.sync_backend", "gloo"), "by nothing but nccl"),
        (("--vllm.sync_backend=gloo",), "by nothing but nccl"),
        (("--algo.advantage.estimator", "rloo"), "the two roles of a game"),
        (("--algo.dynamic_filtering_enable",), "the mean of both roles' rewards"),
        (("--rollout.n_samples_per_prompt", "3"), "a game is two samples"),
    ],
)
def test_what_is_passed_on_and_cant_work_is_told_before_the_start(words: tuple[str, ...], told: str) -> None:
    [problem] = openrlhf_problems(launchable(extra_arguments=words))

    assert told in problem


@pytest.mark.parametrize(
    "words",
    [
        ("--algo.advantage.estimator", "reinforce"),
        ("--rollout.n_samples_per_prompt", "4"),
        ("--vllm.sync_backend", "nccl"),
        ("--algo.advantage.is_correction_level", "token"),
    ],
)
def test_other_options_are_passed_on(words: tuple[str, str]) -> None:
    assert openrlhf_problems(launchable(extra_arguments=words)) == []


@pytest.mark.parametrize(
    ("section", "changes", "told"),
    [
        ("game", {"no_defender_turn": True}, "game.no_defender_turn lets the frozen reference policy assess"),
        ("judge", {"kind": "model"}, 'judge.kind is "model"'),
        ("judge", {"kind": "hybrid", "fallback": "model"}, 'judge.fallback is "model"'),
        ("opponents", {"fixed": "some/model"}, "serve it (vllm serve MODEL --port 8001) and set opponents.url"),
        ("opponents", {"add_every": 5}, "opponents.add_every makes past selves"),
        ("training", {"assessor_samples_per_step": 8}, "training.assessor_samples_per_step chooses among samples"),
    ],
)
def test_what_can_not_be_played_inside_is_told(section: str, changes: dict[str, Any], told: str) -> None:
    config = launchable()

    [problem] = openrlhf_problems(replace(config, **{section: replace(getattr(config, section), **changes)}))

    assert told in problem


def test_a_frozen_opponent_plays_where_it_is_served() -> None:
    served = OpponentConfig(fixed="some/model", url="http://127.0.0.1:8001/v1")

    assert openrlhf_problems(replace(launchable(), opponents=served)) == []


def test_adapters_and_separate_roles_are_refused_with_the_way_out() -> None:
    config = launchable()
    config = replace(config, policy=replace(config.policy, adaptation="lora", roles="separate"))

    lora, roles = openrlhf_problems(config)

    assert "OpenRLHF issue 1349" in lora
    assert "policy.adaptation to full" in lora
    assert "policy.roles is separate" in roles
    assert all("--engine local" in problem for problem in (lora, roles))


def test_the_run_of_the_page_for_the_first_gpu_contradicts_nothing(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "first_gpu_run.md").read_text(encoding="utf-8")
    (settings,) = re.findall(r"cat > gpu.toml <<'END'\n(.*?)\n +END", page, re.DOTALL)
    (tmp_path / "gpu.toml").write_text(textwrap.dedent(settings))

    config = load_config(tmp_path / "gpu.toml")

    assert openrlhf_problems(config) == []
    assert config.engine.save_optimizer, "step 9 resumes"


def test_a_problem_of_batches_names_values_that_work() -> None:
    [problem] = openrlhf_problems(launchable(micro_train_batch_size=5))
    offered = [int(number) for number in problem.rpartition("one of ")[2].split(", ")]

    assert offered == [1, 2, 4, 8, 16, 32]
    assert all(not openrlhf_problems(launchable(micro_train_batch_size=number)) for number in offered)


def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    config = launchable()
    config = replace(config, policy=replace(config.policy, model=str(tmp_path)))

    [problem] = openrlhf_problems(config)
    assert "brings code of its own" in problem


def test_what_openrlhf_does_otherwise_is_said() -> None:
    told = " ".join(openrlhf_deviations(with_training(launchable(), normalization="role")))

    assert "training.normalization = role is not followed" in told
    assert "training.learning_rate_schedule = constant is not followed" in told
    assert "learning_rate_schedule" not in " ".join(
        openrlhf_deviations(with_training(launchable(), learning_rate_schedule="cosine"))
    )
