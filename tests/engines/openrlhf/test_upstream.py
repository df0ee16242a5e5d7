"""The agent in OpenRLHF 0.11.2's own classes: its rollout actor, samples generator, experience maker and loss."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import medical_team
from builders import a_record
from medical_team.config import RunConfig
from medical_team.engines.openrlhf.calls import LOG_KEYS
from medical_team.engines.openrlhf.dataset import EngineRow
from medical_team.engines.openrlhf.game_import import GameImport
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.records import DataType, GameState
from medical_team.runs.folder import RunFolder
from needs import UVLOOP
from openrlhf_rollouts import ScriptedVllm, a_run, copying, is_attacker_prompt, played_games, rows_of
from openrlhf_upstream import ModelGroup, arguments, experiences_of, generate, rollout_actor, upstream_classes
from stand_ins import always

if TYPE_CHECKING:
    from openrlhf.trainer.ppo_utils import Experience


def uvloop_or_skip():
    return UVLOOP.module("uvloop").new_event_loop()


LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop_or_skip, id="uvloop")]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    with upstream_classes() as modules:
        yield modules


@pytest.fixture
def play(upstream: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Experience]]:
    """Plays rows of a run through upstream's actor and generator; gives the samples as Experiences."""

    def play(
        run: RunFolder,
        rows: list[EngineRow],
        n: int = 2,
        *,
        script: Callable[..., Any] = copying,
        engines: int = 1,
        loop: Callable[..., Any] = asyncio.new_event_loop,
        **named: Any,
    ):
        monkeypatch.setenv("MEDICAL_TEAM_RUN", str(run.path))
        with contextlib.ExitStack() as stack:
            actors = [stack.enter_context(rollout_actor(upstream, ScriptedVllm(script), loop)) for _ in range(engines)]
            is_evaluation = named.pop("is_evaluation", False)
            options = arguments(n, len(rows), **named)
            return generate(upstream, actors, rows, options, is_evaluation=is_evaluation)

    return play


def flags(samples: list[Any], key: str) -> list[float]:
    return [sample.info[key].item() for sample in samples]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("n", [2, 4])
def test_siblings_pair_up_in_the_real_actor(
    play: Callable[..., list[Experience]], tmp_path: Path, n: int, loop: Callable[..., Any]
) -> None:
    run = a_run(tmp_path / "run", [a_record()], games_per_step=3)

    samples = play(run, rows_of(run)[:3], n, loop=loop)

    expected = [1.0, 0.0] * (n // 2) * 3
    assert flags(samples, "is_attacker") == expected
    assert all(sample.action_mask.any() for sample in samples)


def test_several_engines_share_the_count_of_games(play: Callable[..., list[Experience]], tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", [a_record()], games_per_step=6, steps=1)

    play(run, rows_of(run), engines=2)

    games = played_games(run)
    assert [item.game.spec.id for item in games] == [f"step-000000-game-{index:04d}" for index in range(6)]
    assert len(list((run.path / "engine").glob("games-*.jsonl"))) == 2


def test_an_exception_in_the_engine_ends_no_run(play: Callable[..., list[Experience]], tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", [a_record()], games_per_step=4)
    turns = itertools.count()

    def script(prompt: str):
        return RuntimeError("out of memory") if next(turns) % 3 == 1 else copying(prompt)

    samples = play(run, rows_of(run)[:4], script=script)

    assert len(samples) == 8
    states = {item.game.state for item in played_games(run)}
    assert states == {GameState.VOID, GameState.DECIDED}


def test_log_probs_fit_the_tokens_where_they_are_asked_for(
    play: Callable[..., list[Experience]], tmp_path: Path
) -> None:
    run = a_run(tmp_path / "run")

    samples = play(run, rows_of(run)[:4], is_correction_level="token")

    assert len(samples) == 8
    for sample in samples:
        assert sample.rollout_log_probs.shape == sample.action_mask.shape
        assert (sample.rollout_log_probs[sample.action_mask.bool()] < 0).all()


def test_an_evaluation_reports_the_assessors_accuracy(
    upstream: Any, play: Callable[..., list[Experience]], tmp_path: Path
) -> None:
    heldout = [a_record(kind, near_duplicate_group="h") for kind in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)]
    run = a_run(tmp_path / "run", heldout=heldout)

    samples = play(run, rows_of(run, "heldout"), 1, script=always("Harmful"), is_evaluation=True)

    assert sorted(sample.rewards.item() for sample in samples) == [0.0, 1.0]
    assert {sample.prompts[0] for sample in samples} == {row.input for row in rows_of(run, "heldout")}


def learn(upstream: Any, samples: list[Experience], options: Any):
    """Advantages and the gradient of the policy loss, all by upstream's own code, of a tiny model."""
    model, _ = make_tiny_model(seed=1)
    reference, _ = make_tiny_model(seed=2)
    actor = ModelGroup(model)
    experiences = experiences_of(upstream, samples, options, actor, ModelGroup(reference))
    policy_loss = upstream.loss.PolicyLoss(0.2, 0.2)
    tokens = sum(experience.action_mask.sum() for experience in experiences)
    for experience in experiences:
        new = actor.log_probs(experience.sequences, experience.attention_mask, experience.action_mask)
        loss, *_ = policy_loss(
            new, experience.action_log_probs, experience.advantages, action_mask=experience.action_mask,
            batch_num_tokens=tokens,
        )  # fmt: skip
        loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return experiences, gradients


def test_samples_become_advantages_and_a_loss_with_finite_gradients(
    upstream: Any, play: Callable[..., list[Experience]], tmp_path: Path
) -> None:
    run = a_run(tmp_path / "run", games_per_step=4)

    samples = play(run, rows_of(run)[:4])
    experiences, gradients = learn(upstream, samples, arguments(2, 4))

    assert len(samples) == 8
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert sum(gradient.abs().sum() for gradient in gradients.values()) > 0
    assert all(set(LOG_KEYS) <= set(experience.info) for experience in experiences)
    assert all(len(experience.info["is_attacker"]) == len(experience.sequences) for experience in experiences)


def test_no_sample_is_without_action_tokens_where_games_are_void(
    upstream: Any, play: Callable[..., list[Experience]], tmp_path: Path
) -> None:
    """OpenRLHF divides by the action tokens of a micro-batch, which may be a single sample."""
    run = a_run(tmp_path / "run", [a_record()], games_per_step=4)
    errors = iter([RuntimeError("out of memory")] * 2)

    def script(prompt: str):
        return (is_attacker_prompt(prompt) and next(errors, None)) or copying(prompt)

    samples = play(run, rows_of(run)[:4], script=script)

    assert len(samples) == 8
    assert all(sample.action_mask.any() for sample in samples)
    with run.locked():
        GameImport(run).bring(is_over=True)
    games = list(run.games())
    assert sum(game.state is GameState.VOID for game in games) == 2
    assert len(games) == 4 + 4
    (metrics,) = run.metrics()
    assert metrics.values["replacements/adversarial_harmful"] == 4.0


@pytest.mark.parametrize(("folder", "name"), [("red_team", "red_team"), ("medical_team", "medical_team_agent")])
def test_the_agent_is_that_of_the_package_it_lies_in_whatever_its_name(
    upstream: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, name: str
) -> None:
    copied = tmp_path / "elsewhere" / folder
    shutil.copytree(Path(medical_team.__file__).parent, copied)
    monkeypatch.setenv("MEDICAL_TEAM_RUN", str(a_run(tmp_path / "run").path))

    executor = upstream.vllm_engine._load_agent_executor(str(copied / "engines" / "openrlhf" / "agent_file.py"))

    assert type(executor._agent).__module__ == f"{name}.engines.openrlhf.agent"
    assert Path(str(sys.modules[name].__file__)).parent == copied
    assert str(copied.parent) not in sys.path


def test_a_missing_run_is_told_when_the_engine_starts(
    upstream: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDICAL_TEAM_RUN", raising=False)

    with (
        pytest.raises(Exception, match="MEDICAL_TEAM_RUN is not set"),
        rollout_actor(upstream, ScriptedVllm(), asyncio.new_event_loop),
    ):
        pass


def test_what_can_not_be_played_is_told_when_the_engine_starts(
    upstream: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path / "run")
    config = RunConfig()
    config = replace(config, judge=replace(config.judge, kind="hybrid"))
    RunFolder.create(tmp_path / "other", config, run.training_records())
    monkeypatch.setenv("MEDICAL_TEAM_RUN", str(tmp_path / "other"))

    with (
        pytest.raises(Exception, match="the judge 'model' was asked for where no model can be loaded"),
        rollout_actor(upstream, ScriptedVllm(), asyncio.new_event_loop),
    ):
        pass
