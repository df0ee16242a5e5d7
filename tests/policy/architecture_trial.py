"""One architecture tried from beginning to end: loaded, probed, trained for a step, exported, loaded again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from tiny_architectures import save_tiny_architecture

from learning import a_config, drawn_samples, experience
from medical_team.config import Adaptation, PolicyConfig, RolloutConfig
from medical_team.errors import PolicyError
from medical_team.game.rollout import Reply, RolloutRequest, Speaker
from medical_team.policy.decoding_model import DecodingModel
from medical_team.policy.export import export_model
from medical_team.policy.forward_pass import reply_log_probs, token_batch
from medical_team.policy.pair import FrozenPolicy
from medical_team.policy.policy import Policy
from medical_team.policy.probe import probe_policy
from medical_team.policy.transformers_rollout import TransformersRollout, path_of
from medical_team.records import Role
from medical_team.rl.learner import ReinforceLearner
from medical_team.samples import Sample

SAME = 1e-4
"""By how much log-probs may differ that should be the same."""

_STEP = 1e-2


@dataclass(frozen=True)
class Trial:
    """How it went."""

    refusal: str = ""
    """The one message with which the model was refused; empty where it was not."""
    replies: str = ""
    """How replies are drawn (:class:`medical_team.policy.transformers_rollout.RolloutPath`)."""
    sampler: float = math.nan
    """Mean difference between the sampler's log-probs and the learner's."""
    learnt: float = math.nan
    """By how much the step has changed a log-prob."""
    reloaded: float = math.nan
    """Largest difference of a log-prob between the trained policy and its export, loaded again."""
    is_same_greedy: bool = False
    """Whether the export, loaded again, says the same."""

    @property
    def works(self) -> bool:
        """Whether everything is as it should be."""
        return not self.refusal and self.learnt > SAME >= self.reloaded and self.is_same_greedy


def try_architecture(
    model_type: str,
    adaptation: Adaptation,
    folder: Path,
    *,
    gradient_checkpointing: bool = False,
    is_verified: bool = False,
) -> Trial:
    """Try the tiny model of this ``model_type``.

    Args:
        model_type: one of :data:`tiny_architectures.SHAPES`.
        adaptation: what is trained.
        folder: for models; empty or absent.
        gradient_checkpointing: recompute activations.
        is_verified: let the export compare what it wrote itself, too.
    """
    save_tiny_architecture(folder / "base", model_type)
    config = PolicyConfig(
        model=str(folder / "base"),
        adaptation=adaptation,
        lora_rank=4,
        device="cpu",
        gradient_checkpointing=gradient_checkpointing,
    )
    try:
        policy = Policy(config, seed=0)
        probed = probe_policy(policy)
    except PolicyError as error:
        return Trial(refusal=str(error).replace(str(folder / "base"), model_type))
    samples = drawn_samples(policy, count=4)
    before_N = _log_probs(policy, samples)
    learner = ReinforceLearner(policy, a_config(config))
    learner.learn(experience(samples, learning_rate=_STEP), 0)
    after_N = _log_probs(policy, samples)
    said = _greedy(policy)
    policy.save(folder / "checkpoint")
    try:
        export_model(str(folder / "checkpoint"), folder / "exported", lambda unfinished: None, is_verified=is_verified)
        again = FrozenPolicy(str(folder / "exported"), device="cpu", day=date(2026, 1, 1))
    except PolicyError as error:
        return Trial(refusal=str(error).replace(str(folder), model_type))
    return Trial(
        replies=path_of(DecodingModel(policy.model)).value,  # type: ignore[arg-type] - any causal model will do
        sampler=probed.sampler if probed else math.nan,
        learnt=float((after_N - before_N).abs().max()),
        reloaded=float((_log_probs(again, samples) - after_N).abs().max()),
        is_same_greedy=_greedy(again) == said,
    )


def _log_probs(policy: Policy, samples: Sequence[Sample]) -> torch.Tensor:
    batch = token_batch(samples, policy.pad_token_id, policy.device)
    with torch.inference_mode(), policy.inference_context() as model:
        return reply_log_probs(model, batch, temperature=1.0)[batch.reply_mask_BR]


def _greedy(policy: Policy) -> list[tuple[int, ...]]:
    requests = [
        RolloutRequest(Speaker(Role.ASSESSOR), f"note {number}" * number, "", max_tokens=6, seed=0, is_greedy=True)
        for number in (1, 3)
    ]
    rollout = TransformersRollout(policy, RolloutConfig(), warn=lambda text: None)
    return [reply.token_ids for reply in rollout.generate(requests) if isinstance(reply, Reply)]
