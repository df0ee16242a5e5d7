"""A policy tried before anything is played with it: can this very model, on this device, learn; and does it compute in
bf16 on this processor?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..callbacks import Notify
from ..config import Precision, RolloutConfig
from ..errors import PolicyError
from ..game.rollout import Reply, RolloutRequest, Speaker
from ..records import Role
from .devices import has_matrix_units
from .forward_pass import TokenBatch, reply_log_probs, token_batch
from .policy import Policy
from .transformers_inside import base_model_of, beginning
from .transformers_rollout import TransformersRollout

SMALLEST_IN_BF16 = 20_000_000
"""Parameters; a smaller policy stays in fp32 on a CPU: it gains little."""


def choose_precision(policy: Policy, notify: Notify) -> Precision:
    """What ``policy.precision`` should be from now on: itself, or bf16 where it is ``auto`` and the CPU has AMX.

    Args:
        policy: loaded as ``policy.precision`` says, which for ``auto`` on a CPU is fp32.
        notify: told of bf16.
    """
    if policy.config.precision != "auto" or policy.device.type != "cpu" or not has_matrix_units():
        return policy.config.precision
    if sum(parameter.numel() for parameter in policy.model.parameters()) < SMALLEST_IN_BF16:
        return policy.config.precision
    notify("The policy computes in bf16, for which this processor has matrix units (AMX). policy.precision settles it.")
    return "bf16"


_PROMPTS = (
    "A woman has a cough.",
    "A man of 54 years comes with pain in the chest, which began two hours ago.",
    "A child has a fever and a rash; the mother gave nothing against it so far.",
)
_REPLY_TOKENS = 6

_LIMITS = {True: (1e-3, 1e-2), False: (0.1, 0.25)}
"""By whether the policy is exact, as in fp32: how far two passes over the same tokens may be apart, in the log-prob of
a token, and how far the mean token of the sampler and of the learner. What is broken is apart by 0.1 and more in fp32.
"""

_FAILURES = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, NotImplementedError)


@dataclass(frozen=True)
class Probed:
    """How far what should be equal was apart, in log-probs of tokens."""

    passes: float
    """Largest difference between two passes over the same tokens."""
    sampler: float
    """Mean difference between the log-probs with which tokens were drawn, and those that the learner gives them."""


def probe_policy(policy: Policy) -> Probed | None:
    """Draw a few short replies, read them twice as the learner does, and see whether gradients arrive.

    Nothing is left of it: no weight changes and no global random state is touched. A policy without anything to train
    is only asked for its replies. None if even the probe's prompts don't fit into the context window.

    Raises:
        PolicyError: the model can't be trained here; it says what is wrong and what to do.
    """
    try:
        return _probed(policy)
    except torch.OutOfMemoryError as error:
        raise PolicyError(
            f"{policy.config.model} has no room on {policy.device} to learn from three short replies: take a smaller "
            "model, policy.adaptation lora, policy.precision bf16 or policy.gradient_checkpointing true."
        ) from error
    except PolicyError:
        raise
    except _FAILURES as error:
        raise _refusal(policy, f"it fails with {type(error).__name__}: {beginning(error)}") from error
    finally:
        for _, parameter in policy.trainable_parameters():
            parameter.grad = None


def _probed(policy: Policy) -> Probed | None:
    replies = _replies(policy)
    if not replies:
        return None
    batch = token_batch(replies, policy.pad_token_id, policy.device)
    is_learning = any(True for _ in policy.trainable_parameters())
    with torch.set_grad_enabled(is_learning):
        first_N = _log_probs(policy, batch)
    with torch.no_grad():
        second_N = _log_probs(policy, batch)
    drawn_N = torch.tensor([log_prob for reply in replies for log_prob in reply.log_probs], device=policy.device)
    found = Probed(
        passes=float((first_N.detach() - second_N).abs().max()),
        sampler=float((first_N.detach() - drawn_N).abs().mean()),
    )
    most_between_passes, most_to_sampler = _LIMITS[policy.is_exact]
    # A difference that is no number is none that can be accepted.
    if not found.passes <= most_between_passes:
        raise _refusal(policy, f"log-probs of the same tokens differ by {found.passes:.2g} from pass to pass")
    if not found.sampler <= most_to_sampler:
        raise _refusal(policy, f"the sampler's log-probs differ by {found.sampler:.2g} from the learner's")
    if is_learning:
        torch.autograd.backward(first_N.mean())
        _raise_if_gradients_fail(policy)
    return found


def _replies(policy: Policy) -> list[Reply]:
    """Of prompts of different lengths, so that padding matters."""
    config = RolloutConfig(temperature=1.0, max_prompt_tokens=policy.context_window or 2**20)
    # The rollout engine that plays has its own say about how slow the model is.
    rollout = TransformersRollout(policy, config, warn=lambda text: None)
    requests = [
        RolloutRequest(Speaker(Role.ASSESSOR), prompt, "", max_tokens=_REPLY_TOKENS, seed=number)
        for number, prompt in enumerate(_PROMPTS)
    ]
    return [reply for reply in rollout.generate(requests) if isinstance(reply, Reply)]


def _log_probs(policy: Policy, batch: TokenBatch) -> torch.Tensor:
    """Of all action tokens, one reply after the other."""
    with policy.learning() as model:
        return reply_log_probs(model, batch, temperature=1.0)[batch.reply_mask_BR]


def _raise_if_gradients_fail(policy: Policy) -> None:
    gradients = [(name, parameter.grad) for name, parameter in policy.trainable_parameters()]
    broken = [name for name, gradient in gradients if gradient is not None and not bool(gradient.isfinite().all())]
    if broken:
        raise _refusal(policy, f"gradients are not numbers, for example that of {broken[0]}")
    if not any(gradient is not None and bool(gradient.any()) for _, gradient in gradients):
        raise _refusal(policy, "no gradient reaches what is to be trained")


def _refusal(policy: Policy, what: str) -> PolicyError:
    config = policy.config
    is_learning = any(True for _ in policy.trainable_parameters())
    other_adaptation = "full" if config.adaptation == "lora" else "lora"
    tries: Sequence[str] = (
        *(["policy.gradient_checkpointing to false"] if config.gradient_checkpointing else []),
        *([f"policy.adaptation to {other_adaptation}"] if is_learning else []),
        *([] if policy.is_exact else ["the precision to fp32"]),
    )
    advice = f"Try to set {' or '.join(tries)}, or take" if tries else "Take"
    architecture = type(base_model_of(policy.model)).__name__
    return PolicyError(
        f"{config.model} ({architecture}) can't be {'trained' if is_learning else 'used'} here: {what}. {advice} a "
        "model of another architecture; docs/architectures.md lists what works."
    )
