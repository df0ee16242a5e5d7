"""Learning where each role has a policy of its own: each learns from its role's samples alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import fsum, sqrt
from pathlib import Path

from ..config import RunConfig
from ..policy.pair import ATTACKER_FOLDER, Policies
from ..policy.policy import Policy
from ..records import Role
from ..samples import Mismatch, Update
from .learner import ReinforceLearner
from .protocols import Experience, Learner


def make_learner(policies: Policies, config: RunConfig) -> Learner:
    """What learns in a run of ``config``."""
    assessor = policies.policy_of(Role.ASSESSOR)
    if config.policy.roles == "shared":
        return ReinforceLearner(assessor, config)
    return RoleLearners(assessor, policies.policy_of(Role.ATTACKER), config)


class RoleLearners:
    """REINFORCE++ over a policy for each role, each with an optimizer of its own.

    Args:
        assessor: learns from the assessor's samples.
        attacker: learns from the attacker's.
        config: the run's configuration.
    """

    def __init__(self, assessor: Policy, attacker: Policy, config: RunConfig) -> None:
        # The attacker first: what is merged last may take the base along.
        self._learners: Mapping[Role, ReinforceLearner] = {
            Role.ATTACKER: ReinforceLearner(attacker, config, part=ATTACKER_FOLDER),
            Role.ASSESSOR: ReinforceLearner(assessor, config),
        }

    def learn(self, experience: Experience, step: int) -> Update:
        """Take the optimizer updates of one step, for each role by itself.

        Raises:
            TrainingError: a loss or gradient is not finite; the weights of its role are as before that update.
        """
        updates = [learner.learn(_of_role(experience, role), step) for role, learner in self._learners.items()]
        return _merged(updates, step, experience.learning_rate)

    def save(self, folder: Path) -> None:
        """Write both policies, the attacker's inside of the assessor's, and the optimizers' states."""
        for learner in self._learners.values():
            learner.save(folder)

    def save_policy(self, folder: Path) -> None:
        """Write both policies alone, as :meth:`save` does into its folder."""
        for learner in self._learners.values():
            learner.save_policy(folder)

    def restore(self, folder: Path) -> None:
        """Take over what :meth:`save` wrote.

        Raises:
            PolicyError: the weights can't be read.
            TrainingError: they, or an optimizer's state, belong to another policy.
        """
        for learner in self._learners.values():
            learner.restore(folder)

    def export(self, folder: Path) -> None:
        """Write the assessor as one Hugging Face folder, and the attacker inside of it."""
        for role, learner in self._learners.items():
            learner.export(folder, is_last=role is Role.ASSESSOR)

    def device_metrics(self) -> dict[str, float]:
        """What the step took of its device."""
        return self._learners[Role.ASSESSOR].device_metrics()


def _of_role(experience: Experience, role: Role) -> Experience:
    return replace(
        experience,
        samples=tuple(sample for sample in experience.samples if sample.role is role),
        demonstrations=tuple(shown for shown in experience.demonstrations if shown.role is role),
    )


def _merged(updates: Sequence[Update], step: int, learning_rate: float) -> Update:
    """What the updates did together: means over their tokens, and the norm of all gradients."""
    attacker, assessor = updates
    tokens = [update.action_tokens for update in updates]
    demonstrations = [update.demonstrations for update in updates]
    return Update(
        step=step,
        samples=sum(update.samples for update in updates),
        action_tokens=sum(tokens),
        loss=_mean([update.loss for update in updates], tokens),
        kl=_mean([update.kl for update in updates], tokens),
        attacker_kl=attacker.attacker_kl,
        assessor_kl=assessor.assessor_kl,
        entropy=_mean([update.entropy for update in updates], tokens),
        clip_fraction=_mean([update.clip_fraction for update in updates], tokens),
        gradient_norm=sqrt(fsum(update.gradient_norm**2 for update in updates)),
        learning_rate=learning_rate,
        mismatch=_merged_mismatch(updates),
        zero_variance_roles=tuple(role for update in updates for role in update.zero_variance_roles),
        demonstrations=sum(demonstrations),
        demonstration_loss=_mean([update.demonstration_loss or 0.0 for update in updates], demonstrations)
        if any(demonstrations)
        else None,
    )


def _merged_mismatch(updates: Sequence[Update]) -> Mismatch | None:
    """The mismatch over the tokens of all ``updates``; None where none was measured."""
    measured = [(update.action_tokens, update.mismatch) for update in updates if update.mismatch is not None]
    tokens = [count for count, _ in measured]
    mismatches = [mismatch for _, mismatch in measured]
    if not any(tokens):
        return None
    shares = [mismatch.truncated_share for mismatch in mismatches]
    return Mismatch(
        largest=max(mismatch.largest for mismatch in mismatches),
        mean=_mean([mismatch.mean for mismatch in mismatches], tokens),
        kl=_mean([mismatch.kl for mismatch in mismatches], tokens),
        bound=_mean([mismatch.bound for mismatch in mismatches], tokens),
        truncated_share=None if None in shares else _mean([share or 0.0 for share in shares], tokens),
    )


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    weighted = fsum(value * weight for value, weight in zip(values, weights, strict=True))
    return weighted / sum(weights) if any(weights) else 0.0
