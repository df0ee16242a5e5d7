"""Learning from the samples of a step: log-probs, advantages, clipped steps of AdamW; or from demonstrations. How
far the engine that draws replies is from the learner is measured here, and what a resumed run needs is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError

from ..config import RunConfig
from ..errors import TrainingError
from ..game.rollout import REFERENCE
from ..metrics.step_metrics import BYTES_PER_GIB
from ..policy.devices import gpu_memory_share, peak_memory_bytes
from ..policy.forward_pass import reply_log_probs, token_batch
from ..policy.policy import Policy
from ..policy.transformers_inside import read_tensors, write_tensors
from ..records import LIVING, Role
from ..runs.checkpoints import POLICY_FOLDER, optimizer_file
from ..samples import Mismatch, Sample, Update
from ..seeds import derived_random
from .batch import Batch, SupervisedBatch, microbatch_rows, padded_to, reply_mask, tokenized
from .protocols import Experience
from .reinforce import clipped_token_losses, kl_estimates, reinforce_advantages, token_weights

TRUNCATION = 2.0
"""The largest weight of a token."""

EXACT_BOUND = 1e-3
"""Mean difference, nats, that fp32 on both sides never reaches: 1e-5 is usual. An output layer that keeps its old
weights, or a cache of the old policy's keys, exceeds it after a few updates."""

ROUNDED_BOUND = 0.05
"""The same where either side computes in bf16: 0.01 is usual."""


def measured_mismatch(
    engine_NR: torch.Tensor,
    learner_NR: torch.Tensor,
    mask_NR: torch.Tensor,
    *,
    is_exact: bool,
    weights_NR: torch.Tensor | None = None,
) -> Mismatch:
    """How far the engine's log-probs are from the learner's.

    Args:
        mask_NR: True at action tokens; there is at least one.
        is_exact: both sides compute in fp32.
        weights_NR: the weights in force, of :func:`truncated_weights`.
    """
    log_ratios = (learner_NR - engine_NR)[mask_NR].double()
    differences = log_ratios.abs()
    truncated = None if weights_NR is None else float((weights_NR[mask_NR] >= TRUNCATION).double().mean())
    return Mismatch(
        largest=float(differences.max()),
        mean=float(differences.mean()),
        kl=float((log_ratios.exp() - 1 - log_ratios).mean()),
        bound=EXACT_BOUND if is_exact else ROUNDED_BOUND,
        truncated_share=truncated,
    )


def truncated_weights(engine_NR: torch.Tensor, learner_NR: torch.Tensor) -> torch.Tensor:
    """The weight of each token's loss, min(pi_learner / pi_engine, 2), without a gradient; 1 at padding."""
    return (learner_NR - engine_NR).detach().exp().clamp(max=TRUNCATION)


_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_optimizer(optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter], path: Path) -> None:
    """Write AdamW's state by parameter name. A parameter that never had a gradient has none."""
    tensors = {
        f"{name}/{moment}": optimizer.state[parameter][moment].detach().cpu().contiguous()
        for name, parameter in parameters.items()
        if parameter in optimizer.state
        for moment in _MOMENTS
    }
    write_tensors(tensors, path)


def load_optimizer(optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter], path: Path) -> None:
    """Take over the state that :func:`save_optimizer` wrote.

    Raises:
        TrainingError: the file can't be read or belongs to other parameters.
    """
    try:
        tensors = read_tensors(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(
            f"can't read the optimizer's state in {path}: {error}. Bring the file back, or delete the folder "
            f"{path.parent} to go on from another checkpoint."
        ) from error
    unknown = {key.rpartition("/")[0] for key in tensors} - set(parameters)
    if unknown:
        raise TrainingError(f"{path} belongs to another policy: it has a state for {sorted(unknown)[0]}")
    for name, parameter in parameters.items():
        if f"{name}/step" in tensors:
            optimizer.state[parameter] = {
                # AdamW keeps its step count on the CPU, whatever the parameter's device.
                moment: tensors[f"{name}/{moment}"].to("cpu" if moment == "step" else parameter.device)
                for moment in _MOMENTS
            }


@dataclass(frozen=True)
class _OptimizerUpdate:
    loss: float
    clip_fraction: float
    sft_loss: float
    gradient_norm: float


class ReinforceLearner:
    """REINFORCE++ over one policy, for both roles or for one.

    Args:
        policy: what learns.
        config: the run's configuration, with the rollout engine that was chosen.
        part: of a pair: the folder of this policy inside of the other one's.
    """

    def __init__(self, policy: Policy, config: RunConfig, *, part: str = "") -> None:
        self._policy = policy
        self._part = part
        self._config = config
        self._parameters = dict(policy.trainable_parameters())
        self.optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=config.learning_rate, weight_decay=config.training.weight_decay
        )

    @property
    def _is_corrected(self) -> bool:
        return self._config.rollout.correction == "truncated"

    @property
    def _recomputes(self) -> bool:
        return not self._policy.is_exact or self._config.rollout.engine == "vllm" or self._is_corrected

    def learn(self, experience: Experience, step: int) -> Update:
        """Take the optimizer updates of one step.

        Args:
            experience: samples for REINFORCE++; demonstrations, weighted by their coefficient, are part of each
                update, or all that is learnt from.
            step: the step, counted from 0.

        Raises:
            TrainingError: a loss or gradient is not finite; the weights are as before that update.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = experience.learning_rate
        batch = self._batch(experience.samples) if experience.samples else None
        if batch is not None:
            _check_is_finite(batch, step)
        sft = SupervisedBatch(
            [tokenized(demonstration, self._policy, self._config) for demonstration in experience.demonstrations],
            experience.demonstration_coefficient,
        )
        updates = [self._optimize(batch, rows, step, sft) for rows in self._minibatches(batch, step, sft)]
        return _update(step, batch, updates, sft, experience.learning_rate)

    def save(self, folder: Path) -> None:
        """Write the policy, as a Hugging Face folder, and the optimizer's state."""
        self.save_policy(folder / POLICY_FOLDER)
        save_optimizer(self.optimizer, self._parameters, folder / self._optimizer_file)

    def save_policy(self, folder: Path) -> None:
        """Write the policy alone, as :meth:`save` does into its folder."""
        self._policy.save(folder / self._part)

    def restore(self, folder: Path) -> None:
        """Take over what :meth:`save` wrote; the reference stays what it is.

        Raises:
            PolicyError: the weights can't be read.
            TrainingError: they, or the optimizer's state, belong to another policy.
        """
        self._policy.load_weights(folder / POLICY_FOLDER / self._part)
        load_optimizer(self.optimizer, self._parameters, folder / self._optimizer_file)

    def export(self, folder: Path, *, is_last: bool = True) -> None:
        """Write the trained model as one Hugging Face folder. Nothing can be learnt afterwards.

        Args:
            folder: where it goes; of a pair: where the pair goes.
            is_last: whether no other policy on the same base is exported after it.
        """
        self._policy.save_merged(folder / self._part, is_last=is_last)

    @property
    def _optimizer_file(self) -> str:
        return optimizer_file(self._part)

    def device_metrics(self) -> dict[str, float]:
        """The peak memory of the step, and the GPU's share of it, where that is known."""
        metrics = {"memory/peak_gib": peak_memory_bytes(self._policy.device) / BYTES_PER_GIB}
        if (share := gpu_memory_share(self._policy.device)) is not None:
            metrics["memory/gpu_share"] = share
        return metrics

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
        drawn_NR = padded_to(mask_NR, [sample.old_log_probs for sample in samples])
        # In fp32 the built-in engine's log-probs are the learner's. Others differ by enough to disturb the ratio.
        old_NR = self.log_probs(samples) if self._recomputes else drawn_NR
        weights_NR = truncated_weights(drawn_NR, old_NR) if self._is_corrected else None
        mismatch = None
        if self._recomputes:
            is_exact = self._policy.is_exact and self._config.rollout.precision != "bf16"
            mismatch = measured_mismatch(drawn_NR, old_NR, mask_NR, is_exact=is_exact, weights_NR=weights_NR)
        kl_NR = kl_estimates(old_NR, self.log_probs(samples, REFERENCE), mask_NR)
        advantages = reinforce_advantages(
            torch.tensor([sample.reward.total for sample in samples]),
            kl_NR,
            mask_NR,
            [sample.role for sample in samples],
            kl_coefficient=self._config.training.kl_coefficient,
            normalization=self._config.training.normalization,
        )
        return Batch(tuple(samples), mask_NR, old_NR, kl_NR, advantages, weights_NR, mismatch)

    def _minibatches(self, batch: Batch | None, step: int, sft: SupervisedBatch) -> Iterator[list[int]]:
        """The rows of each optimizer update; none where demonstrations alone are learnt from."""
        if batch is None:
            yield from [[]] if sft.demonstrations else []
            return
        training = self._config.training
        rows = batch.learnt_rows
        for epoch in range(training.epochs_per_step):
            derived_random(training.seed, "minibatches", step, epoch).shuffle(rows)
            for place in range(training.minibatches_per_step):
                if minibatch := sorted(rows[place :: training.minibatches_per_step]):
                    yield minibatch

    def _optimize(self, batch: Batch | None, rows: Sequence[int], step: int, sft: SupervisedBatch) -> _OptimizerUpdate:
        self.optimizer.zero_grad(set_to_none=True)
        loss = clip_fraction = 0.0
        if batch is not None:
            loss, clip_fraction = self._backward_samples(batch, rows)
        sft_loss = self._sft_step(sft) if sft.demonstrations else 0.0
        norm = self._apply_gradients(step, loss + sft_loss)
        return _OptimizerUpdate(loss, clip_fraction, sft_loss, norm)

    def _apply_gradients(self, step: int, loss: float) -> float:
        """Clip and apply the gradients. Returns their norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._config.training.max_gradient_norm)
        if not bool(torch.isfinite(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise TrainingError(
                f"step {step}: the gradient is {norm.item()} (loss {loss:.4g}). The weights are as before this update. "
                "Lower training.learning_rate (in a warm start: warmstart.learning_rate), or take policy.precision = "
                '"fp32"; the games are saved.'
            )
        cast("Any", self.optimizer).step()
        return float(norm)

    def _sft_step(self, sft: SupervisedBatch) -> float:
        """Add the gradient of the supervised loss, times its coefficient. Returns the loss."""
        weights_NR = sft.token_weights
        loss = 0.0
        for rows in microbatch_rows(sft.demonstrations, self._config.training.tokens_per_microbatch):
            chosen = [sft.demonstrations[row] for row in rows]
            tokens = token_batch(chosen, self._policy.pad_token_id, self._policy.device)
            with self._policy.learning() as model:
                log_probs_BR = reply_log_probs(model, tokens, temperature=1.0)
            weights_BR = weights_NR[rows, : log_probs_BR.shape[1]].to(self._policy.device)
            part = -(log_probs_BR * weights_BR).sum()
            torch.autograd.backward(sft.coefficient * part)
            loss += part.item()
        return loss

    def _backward_samples(self, batch: Batch, rows: Sequence[int]) -> tuple[float, float]:
        """Add the gradient of the policy loss over ``rows``. Returns the loss and the share of clipped tokens."""
        weights_NR = token_weights(batch.mask_NR[rows], self._config.training.loss_averaging)
        samples = [batch.samples[row] for row in rows]
        loss = clip_fraction = 0.0
        for chosen in microbatch_rows(samples, self._config.training.tokens_per_microbatch):
            weights_BR = weights_NR[chosen].to(self._policy.device)
            part_loss, part_clipped = self._backward(batch, [rows[place] for place in chosen], weights_BR)
            loss += part_loss
            clip_fraction += part_clipped
        return loss, clip_fraction

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
        if batch.loss_weights_NR is not None:
            losses_BR = losses_BR * batch.loss_weights_NR[rows, :width].to(device)
        loss = (losses_BR * weights_BR).sum()
        torch.autograd.backward(loss)
        return loss.item(), (is_clipped_BR * tokens.reply_mask_BR * weights_BR).sum().item()


def _check_is_finite(batch: Batch, step: int) -> None:
    """Raises TrainingError where the policy or its reference gave no finite log-probs: nothing was learnt yet."""
    is_bad_NR = batch.mask_NR & ~torch.isfinite(batch.kl_NR)
    if samples := int(is_bad_NR.any(dim=1).sum()):
        value = batch.kl_NR[is_bad_NR][0].item()
        raise TrainingError(
            f"step {step}: the KL of {samples} of {len(batch.samples)} samples is {value}: the policy or its reference "
            "gives no finite probabilities for what was said. The weights are as before this step. Go back to an "
            'earlier checkpoint with a lower training.learning_rate, or take policy.precision = "fp32"; the games are '
            "saved."
        )


def _update(
    step: int,
    batch: Batch | None,
    updates: Sequence[_OptimizerUpdate],
    sft: SupervisedBatch,
    learning_rate: float,
) -> Update:
    """What the optimizer updates of a step did, as means over them."""

    def mean(values: Iterable[float]) -> float:
        return sum(values) / (len(updates) or 1)

    return Update(
        step=step,
        samples=len(batch.samples) if batch else 0,
        action_tokens=int(batch.mask_NR.sum()) if batch else 0,
        loss=mean(item.loss for item in updates),
        kl=batch.token_mean(batch.kl_NR) if batch else 0.0,
        attacker_kl=batch.role_mean(batch.kl_NR, Role.ATTACKER) if batch else None,
        assessor_kl=batch.role_mean(batch.kl_NR, Role.ASSESSOR) if batch else None,
        entropy=-batch.token_mean(batch.old_log_probs_NR) if batch else 0.0,
        clip_fraction=mean(item.clip_fraction for item in updates),
        demonstrations=len(sft.demonstrations),
        demonstration_loss=mean(item.sft_loss for item in updates) if sft.demonstrations else None,
        gradient_norm=mean(item.gradient_norm for item in updates),
        learning_rate=learning_rate,
        zero_variance_roles=batch.advantages.zero_variance_roles if batch else (),
        mismatch=batch.mismatch if batch else None,
    )
