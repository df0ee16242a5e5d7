"""What is learnt from and what learning did: the last two types of the map in ``records.py``.

Only the standard library, and Python 3.10: the Self-RedTeam fork imports it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .records import Closed, Reward, Role, Turn


@dataclass(frozen=True)
class Sample(Closed):
    """One trained turn and its reward. The action tokens are the reply's, end-of-sequence included."""

    game_id: str
    turn: Turn
    reward: Reward

    @property
    def role(self) -> Role:
        """Who spoke."""
        return self.turn.role

    @property
    def prompt_token_ids(self) -> tuple[int, ...]:
        """The context, which nothing is learnt about."""
        return self.turn.prompt_token_ids

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The action tokens."""
        return self.turn.token_ids

    @property
    def old_log_probs(self) -> tuple[float, ...]:
        """Of the action tokens, under the policy that drew them."""
        return self.turn.log_probs


@dataclass(frozen=True)
class Mismatch(Closed):
    """How far the log-probs of the engine that drew the replies are from the learner's own, over action tokens."""

    largest: float
    mean: float
    kl: float
    """k3 estimate of the divergence of the learner's policy from the engine's, nats a token."""
    bound: float
    """The mean that rounding explains at the precisions in force."""
    truncated_share: float | None = None
    """Share of the tokens whose weight was cut; None where none is corrected."""


@dataclass(frozen=True)
class Update(Closed):
    """What one update of the policy did. Means are over action tokens."""

    step: int
    samples: int
    action_tokens: int
    loss: float
    kl: float
    """k1 estimate against the reference policy, nats a token."""
    entropy: float
    """Minus the mean log-probability of the sampled tokens, nats a token: an estimate of the policy's entropy."""
    clip_fraction: float
    """Share of the tokens whose probability ratio was clipped."""
    gradient_norm: float
    """Before clipping; the mean where a step has several optimizer updates."""
    learning_rate: float
    zero_variance_roles: tuple[Role, ...]
    """Roles skipped in this step because all their rewards were equal, which leaves nothing to learn from."""
    attacker_kl: float | None = None
    """The same over one role's tokens, against the reference that this role's policy started from."""
    assessor_kl: float | None = None
    demonstrations: int = 0
    """Those that were learnt from, alone or mixed into self-play."""
    demonstration_loss: float | None = None
    """Mean over the demonstrations of the mean cross-entropy of a reply's tokens, nats; None without any."""
    mismatch: Mismatch | None = None
    """None where the engine's log-probs are taken for the learner's: the built-in engine's in fp32."""
