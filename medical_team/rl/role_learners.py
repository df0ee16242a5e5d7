"""Learning where each role has a policy of its own: each learns from its role's samples alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def _merged_mismatch(updates: Sequence[Update]) -> Mismatch | None:
    """The mismatch over the tokens of all ``updates``; None where none was measured."""
    measured = [(update.action_tokens, update.mismatch) for update in updates if update.mismatch is not None]
    tokens = sum(count for count, _ in measured)
    if not tokens:
        return None

    def mean(value: Callable[[Mismatch], float]) -> float:
        return fsum(count * value(mismatch) for count, mismatch in measured) / tokens

    is_corrected = all(mismatch.truncated_share is not None for _, mismatch in measured)
    return Mismatch(
        largest=max(mismatch.largest for _, mismatch in measured),
        mean=mean(lambda mismatch: mismatch.mean),
        kl=mean(lambda mismatch: mismatch.kl),
        bound=mean(lambda mismatch: mismatch.bound),
        truncated_share=mean(lambda mismatch: mismatch.truncated_share or 0.0) if is_corrected else None,
    )


def _of_role(experience: Experience, role: Role) -> Experience:
    return replace(
        experience,
        samples=tuple(sample for sample in experience.samples if sample.role is role),
        demonstrations=tuple(shown for shown in experience.demonstrations if shown.role is role),
    )


def _merged(updates: Sequence[Update], step: int, learning_rate: float) -> Update:
    """What the updates did together: means over their tokens, and the norm of all gradients."""

    def mean(value: Callable[[Update], float], weight: Callable[[Update], int]) -> float:
        total = sum(map(weight, updates))
        return fsum(value(update) * weight(update) for update in updates) / total if total else 0.0

    def token_mean(value: Callable[[Update], float]) -> float:
        return mean(value, lambda update: update.action_tokens)

    attacker, assessor = updates
    demonstrations = sum(update.demonstrations for update in updates)
    return Update(
        step=step,
        samples=sum(update.samples for update in updates),
        action_tokens=sum(update.action_tokens for update in updates),
        loss=token_mean(lambda update: update.loss),
        kl=token_mean(lambda update: update.kl),
        attacker_kl=attacker.attacker_kl,
        assessor_kl=assessor.assessor_kl,
        entropy=token_mean(lambda update: update.entropy),
        clip_fraction=token_mean(lambda update: update.clip_fraction),
        gradient_norm=sqrt(fsum(update.gradient_norm**2 for update in updates)),
        learning_rate=learning_rate,
        mismatch=_merged_mismatch(updates),
        zero_variance_roles=tuple(role for update in updates for role in update.zero_variance_roles),
        demonstrations=demonstrations,
        demonstration_loss=mean(lambda update: update.demonstration_loss or 0.0, lambda update: update.demonstrations)
        if demonstrations
        else None,
    )
