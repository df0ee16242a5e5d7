"""From demonstrations to token ids, as the learner takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ..config import RunConfig
from ..demonstrations.draw import Demonstration, DemonstrationDraw
from ..errors import UsageError
from ..policy.chat import encode_prompt, without_control_tokens
from ..policy.policy import Policy
from ..records import Role, TrainingRecord


@dataclass(frozen=True)
class TokenizedDemonstration:
    """A demonstration as token ids; ``token_ids`` ends with the end-of-sequence token."""

    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]


class DemonstrationBatches:
    """The demonstrations that are mixed into the steps of a self-play run; none where they have no weight.

    Args:
        records: what the run plays with.
        policy: whose tokenizer and chat template are used.
        config: the run's configuration.
    """

    def __init__(self, records: Sequence[TrainingRecord], policy: Policy, config: RunConfig) -> None:
        self._policy = policy
        self._config = config
        self._draw: DemonstrationDraw | None = None
        if config.training.demonstration_coefficient > 0:
            self._draw = DemonstrationDraw(
                records, config.game, seed=config.training.seed, attacker_share=config.warmstart.attacker_share
            )

    def of_step(self, step: int) -> list[TokenizedDemonstration]:
        """Those of ``step``."""
        if self._draw is None:
            return []
        demonstrations = self._draw.demonstrations(step, self._config.training.demonstrations_per_step)
        return [tokenized(demonstration, self._policy, self._config) for demonstration in demonstrations]


def tokenized(demonstration: Demonstration, policy: Policy, config: RunConfig) -> TokenizedDemonstration:
    """``demonstration`` as the policy would read and write it.

    Raises:
        UsageError: the reply is longer than the limit on replies, so it could never be given.
    """
    tokenizer = policy.tokenizer
    reply = without_control_tokens(tokenizer, demonstration.reply)
    reply_ids = cast("list[int]", tokenizer(reply, add_special_tokens=False)["input_ids"])
    limit, option = config.rollout.max_verdict_tokens, "rollout.max_verdict_tokens"
    if demonstration.role is Role.ATTACKER:
        limit, option = config.rollout.max_revision_tokens, "rollout.max_revision_tokens"
    if len(reply_ids) >= limit:
        raise UsageError(
            f"the demonstrated reply for record {demonstration.record_id} has {len(reply_ids)} tokens and an end, more "
            f"than {option} ({limit}) allows. Set it to at least {len(reply_ids) + 1}."
        )
    return TokenizedDemonstration(
        prompt_token_ids=encode_prompt(tokenizer, demonstration.prompt, demonstration.reply_prefix, policy.day),
        token_ids=(*reply_ids, policy.reply_end_token_id),
    )
