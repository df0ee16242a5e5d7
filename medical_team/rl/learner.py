"""Learning from the samples of a step: log-probs, advantages, clipped steps of AdamW; and from demonstrations.

Every mean is a weighted sum over tokens, so neither gradients nor figures depend on how micro-batches are cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..config import RunConfig
from ..errors import TrainingError
from ..game.rollout import REFERENCE
from ..policy.log_probs import PromptAndReply, reply_log_probs, token_batch
from ..policy.policy import Policy
from ..records import LIVING, Imitation, Sample, Update
from ..seeds import derived_random
from .batch import Batch, microbatch_rows, padded_to, reply_mask
from .reinforce import clipped_token_losses, kl_estimates, reinforce_advantages, token_weights


@dataclass(frozen=True)
class _OptimizerStep:
    loss: float
    clip_fraction: float
    demonstration_loss: float
    gradient_norm: float


class Learner:
    """REINFORCE++ over one policy for both roles.

    Args:
        policy: what learns.
        config: the run's configuration.
    """

    def __init__(self, policy: Policy, config: RunConfig) -> None:
        self._policy = policy
        self._config = config
        self._parameters = dict(policy.trainable_parameters())
        self.optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=config.learning_rate, weight_decay=config.training.weight_decay
        )

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What learns, by name, in the optimizer's order."""
        return self._parameters

    def learn(self, samples: Sequence[Sample], step: int, demonstrations: Sequence[PromptAndReply] = ()) -> Update:
        """Take the optimizer updates of one step.

        Args:
            samples: the trained turns of the step's games.
            step: the step, counted from 0.
            demonstrations: mixed into each update, at ``training.demonstration_coefficient``.

        Raises:
            TrainingError: a loss or gradient is not finite; the weights are as before that update.
        """
        if not samples:
            return self._update(step, None, [])
        batch = self._batch(samples)
        steps = [self._optimize(batch, rows, step, demonstrations) for rows in self._minibatches(batch, step)]
        return self._update(step, batch, steps, has_demonstrations=bool(demonstrations))

    def imitate(self, demonstrations: Sequence[PromptAndReply], step: int, learning_rate: float) -> Imitation:
        """One supervised update: the mean over demonstrations of their tokens' mean cross-entropy, at temperature 1.

        Raises:
            TrainingError: the loss or gradient is not finite; the weights are as before.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward_demonstrations(demonstrations, 1.0)
        norm = self._apply_gradients(step, loss, "warmstart")
        return Imitation(len(demonstrations), loss, norm, learning_rate)

    def log_probs(self, samples: Sequence[Sample], version: str = LIVING) -> torch.Tensor:
        """Log-probs of the action tokens, [N, R] on the CPU, under a version of the policy; 0 at padding."""
        log_probs_NR = torch.zeros(reply_mask(samples).shape)
        with torch.inference_mode(), self._policy.inference_context(version) as model:
            for rows in microbatch_rows(samples, self._config.training.tokens_per_microbatch):
                tokens = token_batch([samples[row] for row in rows], self._policy.pad_token_id, self._policy.device)
                values_BR = reply_log_probs(model, tokens, self._config.rollout.temperature)
                values_BR = torch.where(tokens.reply_mask_BR, values_BR, 0.0).cpu()
                log_probs_NR[rows, : values_BR.shape[1]] = values_BR
        return log_probs_NR

    def _batch(self, samples: Sequence[Sample]) -> Batch:
        mask_NR = reply_mask(samples)
        # In fp32 the sampler's log-probs are the learner's; in bf16 they differ by enough to disturb the ratio.
        old_NR = (
            padded_to(mask_NR, [sample.old_log_probs for sample in samples])
            if self._policy.is_exact
            else self.log_probs(samples)
        )
        kl_NR = kl_estimates(old_NR, self.log_probs(samples, REFERENCE), mask_NR)
        advantages = reinforce_advantages(
            torch.tensor([sample.reward.total for sample in samples]),
            kl_NR,
            mask_NR,
            [sample.role for sample in samples],
            kl_coefficient=self._config.training.kl_coefficient,
            normalization=self._config.training.normalization,
        )
        return Batch(tuple(samples), mask_NR, old_NR, kl_NR, advantages)

    def _minibatches(self, batch: Batch, step: int) -> Iterator[list[int]]:
        training = self._config.training
        rows = batch.learnt_rows
        for epoch in range(training.epochs_per_step):
            derived_random(training.seed, "minibatches", step, epoch).shuffle(rows)
            for place in range(training.minibatches_per_step):
                if minibatch := sorted(rows[place :: training.minibatches_per_step]):
                    yield minibatch

    def _optimize(
        self, batch: Batch, rows: Sequence[int], step: int, demonstrations: Sequence[PromptAndReply]
    ) -> _OptimizerStep:
        weights_NR = token_weights(batch.mask_NR[rows], self._config.training.loss_averaging)
        samples = [batch.samples[row] for row in rows]
        self.optimizer.zero_grad(set_to_none=True)
        loss = clip_fraction = 0.0
        for chosen in microbatch_rows(samples, self._config.training.tokens_per_microbatch):
            weights_BR = weights_NR[chosen].to(self._policy.device)
            part_loss, part_clipped = self._backward(batch, [rows[place] for place in chosen], weights_BR)
            loss += part_loss
            clip_fraction += part_clipped
        demonstration_loss = 0.0
        if demonstrations:
            demonstration_loss = self._backward_demonstrations(
                demonstrations, self._config.training.demonstration_coefficient
            )
        norm = self._apply_gradients(step, loss + demonstration_loss)
        return _OptimizerStep(loss, clip_fraction, demonstration_loss, norm)

    def _apply_gradients(self, step: int, loss: float, section: str = "training") -> float:
        """Clip and apply the gradients. Returns their norm before clipping; ``section`` holds the learning rate."""
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._config.training.max_gradient_norm)
        if not bool(torch.isfinite(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise TrainingError(
                f"step {step}: the gradient is {norm.item()} (loss {loss:.4g}). The weights are as before this update. "
                f'Lower {section}.learning_rate, or take policy.precision = "fp32"; the games are saved.'
            )
        self.optimizer.step()
        return float(norm)

    def _backward_demonstrations(self, demonstrations: Sequence[PromptAndReply], coefficient: float) -> float:
        """Add the gradient of ``coefficient`` times the mean loss of the demonstrations. Returns the mean loss.

        Each demonstration weighs the same: over all tokens alike, a verdict's few would drown in a revision's hundred.
        """
        weights_NR = token_weights(reply_mask(demonstrations), "seq-mean-token-mean")
        loss = 0.0
        for rows in microbatch_rows(demonstrations, self._config.training.tokens_per_microbatch):
            tokens = token_batch([demonstrations[row] for row in rows], self._policy.pad_token_id, self._policy.device)
            with self._policy.learning() as model:
                log_probs_BR = reply_log_probs(model, tokens, temperature=1.0)
            weights_BR = weights_NR[rows, : log_probs_BR.shape[1]].to(self._policy.device)
            part = -(log_probs_BR * weights_BR).sum()
            (coefficient * part).backward()
            loss += part.item()
        return loss

    def _backward(self, batch: Batch, rows: Sequence[int], weights_BR: torch.Tensor) -> tuple[float, float]:
        device = self._policy.device
        tokens = token_batch([batch.samples[row] for row in rows], self._policy.pad_token_id, device)
        width = tokens.reply_ids_BR.shape[1]
        with self._policy.learning() as model:
            new_BR = reply_log_probs(model, tokens, self._config.rollout.temperature)
        losses_BR, is_clipped_BR = clipped_token_losses(
            new_BR,
            batch.old_log_probs_NR[rows, :width].to(device),
            batch.advantages.values_NR[rows, :width].to(device),
            self._config.training.clip_epsilon,
        )
        weights_BR = weights_BR[:, :width]
        loss = (losses_BR * weights_BR).sum()
        loss.backward()
        return loss.item(), (is_clipped_BR * tokens.reply_mask_BR * weights_BR).sum().item()

    def _update(
        self,
        step: int,
        batch: Batch | None,
        optimizer_steps: Sequence[_OptimizerStep],
        *,
        has_demonstrations: bool = False,
    ) -> Update:
        count = len(optimizer_steps) or 1
        return Update(
            step=step,
            samples=len(batch.samples) if batch else 0,
            action_tokens=int(batch.mask_NR.sum()) if batch else 0,
            loss=sum(item.loss for item in optimizer_steps) / count,
            kl=batch.token_mean(batch.kl_NR) if batch else 0.0,
            entropy=-batch.token_mean(batch.old_log_probs_NR) if batch else 0.0,
            clip_fraction=sum(item.clip_fraction for item in optimizer_steps) / count,
            demonstration_loss=(
                sum(item.demonstration_loss for item in optimizer_steps) / count if has_demonstrations else None
            ),
            gradient_norm=sum(item.gradient_norm for item in optimizer_steps) / count,
            learning_rate=self._config.learning_rate,
            zero_variance_roles=batch.advantages.zero_variance_roles if batch else (),
        )
