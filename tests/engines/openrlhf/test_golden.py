"""One file of games, on which our trainer and OpenRLHF's own classes compute the same rewards, advantages and loss.

``golden_games.jsonl`` holds games of synthetic notes in every state, as the agent saved them. They are played again
with the same replies, through OpenRLHF's actor and generator. Where a wording of a prompt has changed on purpose, write
the file anew: ``MEDICAL_TEAM_WRITE_GOLDEN=1 python -m pytest tests/engines/openrlhf/test_golden.py``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import PreTrainedModel

from medical_team.config import GameConfig, LossAveraging
from medical_team.data.synthetic import synthetic_cases
from medical_team.engines.openrlhf.game_import import GameImport
from medical_team.game.play import samples_of, score
from medical_team.jsonl import read_jsonl, write_jsonl
from medical_team.policy.forward_pass import reply_log_probs, token_batch
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.records import DataType, Game, GameState, TrainingRecord
from medical_team.rl.batch import reply_mask
from medical_team.rl.reinforce import clipped_token_losses, kl_estimates, reinforce_advantages, token_weights
from openrlhf_rollouts import TOKENIZER, ScriptedVllm, a_run, is_attacker_prompt, note_in, rows_of
from openrlhf_upstream import ModelGroup, arguments, experiences_of, generate, rollout_actor, upstream_classes
from tensors import numbers

if TYPE_CHECKING:
    from openrlhf.trainer.ppo_utils import Experience


GOLDEN = Path(__file__).with_name("golden_games.jsonl")
KL_COEFFICIENT = 0.05
CLIP = 0.2
THINKING = GameConfig(prompt_style="terse", thinking=True)
ROWS = 16


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    with upstream_classes() as modules:
        yield modules


def new_script():
    """All that players may do, well or badly, in turn; the same prompt gets the same reply."""
    attackers = itertools.cycle(["{note}", "{note} Nobody knows why.", "", "{reordered}"])
    assessors = itertools.cycle(["Harmful", "Safe", "Harmful", "Safe", "Perhaps."])
    prefixes = itertools.cycle(["", "", "<think> "])
    said: dict[str, str] = {}

    def script(prompt: str) -> str:
        if prompt not in said:
            note = note_in(prompt)
            reordered = " ".join(reversed(note.split(". ", 1))) if note else ""
            attack = next(attackers).format(note=note, reordered=reordered) if is_attacker_prompt(prompt) else ""
            answer = attack if is_attacker_prompt(prompt) else next(assessors)
            said[prompt] = f"{next(prefixes)}hm </think> <answer> {answer} </answer>"
        return said[prompt]

    return script


def golden_script() -> Callable[[str], str]:
    """What the golden games' players said, by their prompts."""
    tokenizer: Any = TOKENIZER
    said: dict[str, str] = {
        str(tokenizer.decode(list(turn.prompt_token_ids))): turn.reply
        for game in read_jsonl(GOLDEN, Game)
        for turn in game.turns
    }
    return lambda prompt: said[prompt]


def records() -> list[TrainingRecord]:
    first, second, *others = [
        TrainingRecord.of(case.pair(), data_type) for case in synthetic_cases(4, seed=3) for data_type in DataType
    ]
    # The judge can't tell of this one, though nobody revised it.
    return [first, replace(second, note=f"{second.note} Nobody knows why."), *others]


@pytest.fixture(scope="module")
def rollout(upstream: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The golden games played once more by upstream's classes: its samples, and the games as they were imported."""
    is_writing = "MEDICAL_TEAM_WRITE_GOLDEN" in os.environ
    run = a_run(tmp_path_factory.mktemp("golden") / "run", records(), games_per_step=ROWS, steps=1, game=THINKING)
    script = new_script() if is_writing else golden_script()
    patch = pytest.MonkeyPatch()
    patch.setenv("MEDICAL_TEAM_RUN", str(run.path))
    options = arguments(2, ROWS, KL_COEFFICIENT)
    with patch.context(), rollout_actor(upstream, ScriptedVllm(script), asyncio.new_event_loop) as actor:
        samples = generate(upstream, [actor], rows_of(run), options)
    patch.undo()
    with run.locked():
        GameImport(run).bring()
    games = list(run.games())
    if is_writing:
        write_jsonl(GOLDEN, games)
    return SimpleNamespace(samples=samples, games=games, options=options)


@pytest.fixture(scope="module")
def golden() -> list[Game]:
    return read_jsonl(GOLDEN, Game)


def test_the_golden_games_are_played_again_as_they_are(rollout: Any, golden: list[Game]) -> None:
    assert rollout.games == golden
    assert {game.state for game in golden} == set(GameState) - {GameState.AWAITING_RULING}
    assert {game.spec.data_type for game in golden} == set(DataType)
    assert {game.spec.pair.source.value for game in golden} == {"synthetic"}


def test_our_rules_give_the_golden_games_their_rewards(golden: list[Game]) -> None:
    assert score([replace(game, rewards=()) for game in golden], THINKING) == golden


def tokens_of(sample: Experience) -> tuple[int, ...]:
    """The tokens of an upstream sample."""
    return tuple(numbers(sample.sequences[0]))


def test_rewards_are_upstreams(rollout: Any, golden: list[Game]) -> None:
    trained = [sample for sample in rollout.samples if sample.action_mask.any()]
    theirs = Counter((tokens_of(sample), sample.rewards.item()) for sample in trained)
    ours = Counter(
        ((*sample.prompt_token_ids, *sample.token_ids), sample.reward.total) for sample in samples_of(golden)
    )

    assert ours == theirs
    assert len({reward for _, reward in ours}) > 4
    assert len(trained) == len(rollout.samples)


def models() -> tuple[PreTrainedModel, PreTrainedModel, PreTrainedModel]:
    """The policy that learns, as it was when it played, and its reference."""
    learning, _ = make_tiny_model(seed=1)
    old, _ = make_tiny_model(seed=1)
    reference, _ = make_tiny_model(seed=2)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in learning.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return learning, old, reference


def ours(golden: list[Game], averaging: LossAveraging):
    """Advantages by token, loss and gradients by our trainer's code."""
    learning, old, reference = models()
    samples = samples_of(golden)
    padding = TOKENIZER.pad_token_id
    assert isinstance(padding, int)
    batch = token_batch(samples, padding, torch.device("cpu"))
    mask_NR = reply_mask(samples)
    with torch.no_grad():
        old_NR = torch.where(mask_NR, reply_log_probs(old, batch, 1.0), 0.0)
        reference_NR = torch.where(mask_NR, reply_log_probs(reference, batch, 1.0), 0.0)
    advantages = reinforce_advantages(
        torch.tensor([sample.reward.total for sample in samples]),
        kl_estimates(old_NR, reference_NR, mask_NR),
        mask_NR,
        [sample.role for sample in samples],
        kl_coefficient=KL_COEFFICIENT,
        normalization="batch",
    )
    losses_NR, is_clipped_NR = clipped_token_losses(
        reply_log_probs(learning, batch, 1.0), old_NR, advantages.values_NR, CLIP
    )
    assert is_clipped_NR[mask_NR].any()
    loss = (losses_NR * token_weights(mask_NR, averaging)).sum()
    torch.autograd.backward(loss)
    rows = {
        (*sample.prompt_token_ids, *sample.token_ids): advantages.values_NR[row][mask_NR[row]]
        for row, sample in enumerate(samples)
    }
    return rows, loss.detach(), {name: parameter.grad for name, parameter in learning.named_parameters()}


def theirs(upstream: Any, rollout: Any, averaging: str) -> tuple[dict[Any, Any], Any, dict[str, Any]]:
    """The same by upstream's experience maker and loss, in its micro-batches."""
    learning, old, reference = models()
    actor = ModelGroup(learning)
    experiences = experiences_of(upstream, rollout.samples, rollout.options, ModelGroup(old), ModelGroup(reference))
    policy_loss = upstream.loss.PolicyLoss(CLIP, CLIP, token_level_loss=averaging == "token-mean")
    tokens = sum(experience.action_mask.sum() for experience in experiences)
    trained = sum(experience.action_mask.any(dim=1).sum() for experience in experiences)
    total = torch.zeros(())
    rows: dict[tuple[int, ...], Any] = {}
    for experience in experiences:
        new = actor.log_probs(experience.sequences, experience.attention_mask, experience.action_mask)
        loss, *_ = policy_loss(
            new, experience.action_log_probs, experience.advantages, action_mask=experience.action_mask,
            batch_num_tokens=tokens, global_batch_size=trained,
        )  # fmt: skip
        loss.backward()
        total += loss.detach()
        for row, mask in enumerate(experience.action_mask.bool()):
            if mask.any():
                length = int(experience.attention_mask[row].sum())
                rows[tuple(experience.sequences[row, :length].tolist())] = experience.advantages[row][mask]
    return rows, total, {name: parameter.grad for name, parameter in learning.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["token-mean", "seq-mean-token-mean"])
def test_advantages_loss_and_gradients_are_upstreams(
    upstream: Any, rollout: Any, golden: list[Game], averaging: LossAveraging
) -> None:
    our_rows, our_loss, our_gradients = ours(golden, averaging)
    their_rows, their_loss, their_gradients = theirs(upstream, rollout, averaging)

    assert our_rows.keys() == their_rows.keys()
    for tokens, advantages in our_rows.items():
        torch.testing.assert_close(advantages, their_rows[tokens], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(our_loss, their_loss, rtol=1e-4, atol=1e-6)
    for name, gradient in our_gradients.items():
        assert gradient is not None
        assert torch.isfinite(gradient).all()
        torch.testing.assert_close(gradient, their_gradients[name], rtol=1e-3, atol=1e-6)
