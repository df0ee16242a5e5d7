"""The embedded rollout engine over transformers: requests to replies, by the fastest of the ways that a model's
cache allows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import torch

from ..callbacks import Notify, Progress
from ..config import RolloutConfig
from ..game.rollout import PromptTooLong, Reply, RolloutRequest
from ..records import Role
from .chat import EncodedRequest, encode_requests, groups_by_voice
from .decoding import DecodingRules, decode
from .decoding_model import DecodingModel, PrefixCache
from .pair import Policies, set_past_versions


class RolloutPath(StrEnum):
    """How replies are drawn, from fast to slow. The value is the name among the metrics."""

    FULL = "full"
    """Rows come and go."""
    DRAINED = "drained"
    """Rows leave when they are done, and none comes in before all are."""
    REREAD = "reread"
    """Everything is read again for each token."""


def path_of(model: DecodingModel) -> RolloutPath:
    """How replies of ``model`` are drawn."""
    if model.reads_again:
        return RolloutPath.REREAD
    return RolloutPath.FULL if model.can_join else RolloutPath.DRAINED


def announcement(model: DecodingModel) -> str | None:
    """How replies of ``model`` are drawn, what that costs and what helps; None if all is well."""
    path = path_of(model)
    if path is RolloutPath.REREAD:
        return (
            f"{model.name} keeps no cache that could be used: for each token of a reply the prompt and all of the "
            "reply are read again, so a reply of 100 tokens takes about 100 times as much work as it should. Take a "
            "policy.model of another architecture, or lower rollout.max_revision_tokens and max_verdict_tokens."
        )
    if path is RolloutPath.DRAINED:
        return (
            f"{model.name} keeps more than plain keys and values (recurrent states, shared layers): no prompt can take "
            "the place of a reply that is done: each batch waits for its longest reply. Drawing replies takes a sixth "
            "to a third longer where their lengths are spread evenly, and more than half as long again where a few are "
            "far longer than the rest. A larger rollout.batch_size helps where memory allows it."
        )
    return None


_SHORTEST_SHARED_PREFIX = 8
"""Tokens; to share fewer saves less than the extra pass over them costs."""


class TransformersRollout:
    """The :class:`..game.rollout.Rollout` over policies of ours.

    Args:
        policies: who plays which role, with its reference and past selves.
        config: temperature, limits, batch size.
        warn: told, once, that the model's architecture makes drawing slow.
    """

    def __init__(self, policies: Policies, config: RolloutConfig, *, warn: Notify = warnings.warn) -> None:
        self._policies = policies
        # What the roles' policies read and write tokens with is the same.
        self._policy = policies.policy_of(Role.ASSESSOR)
        self._config = config
        self._warn = warn
        self._is_announced = False
        self._tokens_read = self._tokens_needed = 0
        self._replies = Counter[RolloutPath]()

    def follow(self) -> None:
        """Nothing: the policy that learns is the one that speaks."""

    def set_past_versions(self, folders: Mapping[str, Path]) -> None:
        """Let exactly these past selves speak under their names from now on.

        Raises:
            PolicyError: a folder doesn't hold weights of the policies.
        """
        set_past_versions(self._policies, folders)

    def take_metrics(self) -> dict[str, float]:
        """What drawing replies took since the last call, under the names of :mod:`..metrics.step_metrics`."""
        metrics = {f"rollout_path/{path}": count / self._replies.total() for path, count in self._replies.items()}
        if self._tokens_needed:
            metrics["speed/reads_per_token"] = self._tokens_read / self._tokens_needed
        self._tokens_read = self._tokens_needed = 0
        self._replies.clear()
        return metrics

    def rest(self) -> None:
        """Nothing: it has no memory of its own."""

    def close(self) -> None:
        """Nothing: the policy goes on."""

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Progress = lambda done, total: None
    ) -> list[Reply | PromptTooLong]:
        """One reply for each request, in order; none for none.

        Raises:
            PolicyError: the model's probabilities are not numbers.
        """
        fitting, refusals = encode_requests(self._policy, self._config, requests)
        replies: dict[int, Reply | PromptTooLong] = dict(refusals)
        for (policy, version, is_greedy), group in groups_by_voice(self._policies, fitting).items():
            rules = DecodingRules(
                temperature=self._config.temperature,
                is_greedy=is_greedy,
                eos_token_ids=self._policy.eos_token_ids,
                pad_token_id=self._policy.pad_token_id,
                text_of=self._policy.reply_text,
            )
            with policy.inference_context(version) as weights:
                model = DecodingModel(weights)
                self._announce(model)
                for batch, prefix in _batches(model, group, self._config.batch_size):

                    def on_done(count: int, before: int = len(replies)) -> None:
                        on_progress(before + count, len(requests))

                    drawn = decode(model, batch, rules, prefix, batch_size=self._config.batch_size, on_done=on_done)
                    for encoded, reply in zip(batch, drawn, strict=True):
                        replies[encoded.index] = reply
                        self._tokens_needed += len(encoded.prompt_token_ids) + len(reply.token_ids)
                self._tokens_read += model.tokens_read
                self._replies[path_of(model)] += len(group)
        return [replies[index] for index in range(len(requests))]

    def _announce(self, model: DecodingModel) -> None:
        if not self._is_announced and (sentence := announcement(model)) is not None:
            self._warn(sentence)
        self._is_announced = True


def _batches(
    model: DecodingModel, group: Sequence[EncodedRequest], batch_size: int
) -> Iterator[tuple[Sequence[EncodedRequest], PrefixCache | None]]:
    """What is drawn together, and the read beginning that its prompts share, where that pays.

    All is drawn at once where a request can take the place of one that is done. Prompts of similar lengths stand
    together. The longest come first, so that memory runs out early or never.
    """
    ordered = sorted(group, key=lambda encoded: (-len(encoded.prompt_token_ids), encoded.index))
    if model.can_join:
        yield ordered, _shared_beginning(model, [encoded.prompt_token_ids for encoded in ordered])
        return
    # Without any padding, too, the prompts of one length are found while decoding.
    size = batch_size if model.can_pad else len(ordered)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size], None


def _shared_beginning(model: DecodingModel, prompts: Sequence[tuple[int, ...]]) -> PrefixCache | None:
    shortest = len(prompts[-1])
    if len(prompts) == 1 or (shortest < len(prompts[0]) and not model.can_pad_behind_prefix):
        return None
    # Whatever the first and the last in lexical order share lies between them in all others too. Each prompt keeps a
    # token of its own, whose logits begin the reply.
    pairs = enumerate(zip(min(prompts), max(prompts), strict=False))
    length = min(next((place for place, (one, other) in pairs if one != other), shortest), shortest - 1)
    return PrefixCache(model, prompts[0][:length]) if length >= _SHORTEST_SHARED_PREFIX else None
