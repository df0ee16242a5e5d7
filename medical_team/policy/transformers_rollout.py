"""The embedded rollout engine over transformers: requests to replies, by the fastest of the ways that a model's
cache allows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import torch

from ..callbacks import Notify, Progress
from ..config import RolloutConfig
from ..game.rollout import PromptTooLong, Reply, RolloutRequest
from ..records import Role
from .chat import EncodedRequest, encode_requests, groups_by_voice
from .decoding import DecodingRules, decode
from .decoding_model import DecodingModel, PrefixCache, common_prefix_length
from .pair import Policies, set_past_versions


class RolloutPath(StrEnum):
    """How replies are drawn, from fast to slow. The value is the name among the metrics."""

    FULL = "full"
    """Rows come and go."""
    DRAINED = "drained"
    """Rows leave when they are done, and none comes in before all are."""
    HELD = "held"
    """Prompts of one length speak together; rows that are done run on until the last is."""
    REREAD = "reread"
    """Everything is read again for each token."""


def path_of(model: DecodingModel) -> RolloutPath:
    """How replies of ``model`` are drawn."""
    if model.reads_again:
        return RolloutPath.REREAD
    if not (model.can_pad and model.can_select_rows):
        return RolloutPath.HELD
    return RolloutPath.FULL if model.can_pad_anywhere else RolloutPath.DRAINED


def announcement(model: DecodingModel) -> str | None:
    """How replies of ``model`` are drawn, what that costs and what helps; None if all is well."""
    path = path_of(model)
    if path is RolloutPath.REREAD:
        return (
            f"{model.name} keeps no cache that could be used: for each token of a reply the prompt and all of the "
            "reply are read again, so a reply of 100 tokens takes about 100 times as much work as it should. Take a "
            "policy.model of another architecture, or lower rollout.max_revision_tokens and max_verdict_tokens."
        )
    if path is RolloutPath.HELD:
        at_once = "one prompt is" if model.max_rows == 1 else "only prompts of one length are"
        return (
            f"{model.name} keeps its cache in a way of its own, so {at_once} answered at a time, and a reply that is "
            "done runs on until the last of its batch. Drawing replies takes up to rollout.batch_size times as long as "
            "with plain keys and values (Llama, Qwen): take a policy.model of such an architecture if that is too slow."
        )
    if path is RolloutPath.DRAINED:
        return (
            f"{model.name} keeps more than plain keys and values (sliding windows, recurrent states, shared layers): "
            "no prompt can take the place of a reply that is done: each batch waits for its longest reply. Drawing "
            "replies takes a sixth to a third longer where their lengths are spread evenly, and more than half as long "
            "again where a few are far longer than the rest. A larger rollout.batch_size helps where memory allows it."
        )
    return None


class RolloutWork:
    """Counts what drawing replies took."""

    def __init__(self) -> None:
        self._tokens_read = 0
        self._tokens_needed = 0
        self._replies = Counter[RolloutPath]()

    def add(self, model: DecodingModel, *, replies: int, tokens: int) -> None:
        """Count ``replies`` that ``model``, which read nothing else, has drawn.

        Args:
            model: it tells what went through it.
            replies: how many.
            tokens: of their prompts and of the replies themselves.
        """
        self._tokens_read += model.tokens_read
        self._tokens_needed += tokens
        self._replies[path_of(model)] += replies

    def take_metrics(self) -> dict[str, float]:
        """What was counted since the last call, under the names of :mod:`..metrics.step_metrics`; none for nothing."""
        metrics = {f"rollout_path/{path}": count / self._replies.total() for path, count in self._replies.items()}
        if self._tokens_needed:
            metrics["speed/reads_per_token"] = self._tokens_read / self._tokens_needed
        self._tokens_read = self._tokens_needed = 0
        self._replies.clear()
        return metrics


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
        self._work = RolloutWork()

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
        return self._work.take_metrics()

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
        done = len(refusals)
        for (policy, version, is_greedy), group in groups_by_voice(self._policies, fitting).items():
            rules = DecodingRules(
                temperature=self._config.temperature,
                is_greedy=is_greedy,
                eos_token_ids=self._policy.eos_token_ids,
                pad_token_id=self._policy.pad_token_id,
                text_of=self._policy.reply_text,
            )
            with policy.inference_context(version) as model:
                decoding_model = DecodingModel(model)
                self._announce(decoding_model)
                speaker = _Speaker(decoding_model, rules, group, self._config.batch_size)
                tokens = 0
                for batch in speaker.batches(group):
                    drawn = speaker.draw(batch, lambda count, before=done: on_progress(before + count, len(requests)))
                    replies |= {encoded.index: reply for encoded, reply in zip(batch, drawn, strict=True)}
                    done += len(batch)
                    tokens += sum(len(encoded.prompt_token_ids) for encoded in batch)
                    tokens += sum(len(reply.token_ids) for reply in drawn)
                self._work.add(decoding_model, replies=len(group), tokens=tokens)
        return [replies[index] for index in range(len(requests))]

    def _announce(self, model: DecodingModel) -> None:
        if not self._is_announced and (sentence := announcement(model)) is not None:
            self._warn(sentence)
        self._is_announced = True


class _Speaker:
    """One model with the weights of this moment, and the beginning that all prompts of this call share."""

    def __init__(
        self, model: DecodingModel, rules: DecodingRules, group: Sequence[EncodedRequest], batch_size: int
    ) -> None:
        self._model = model
        self._rules = rules
        self._batch_size = batch_size
        prompts = [encoded.prompt_token_ids for encoded in group]
        # Each prompt keeps a token of its own, whose logits begin the reply.
        length = min(common_prefix_length(prompts), min(map(len, prompts)) - 1)
        is_worth_it = model.can_share_prefix and len(group) > 1 and length >= _SHORTEST_SHARED_PREFIX
        self._shared = prompts[0][:length] if is_worth_it else ()
        self._prefix: PrefixCache | None = None

    def batches(self, group: Sequence[EncodedRequest]) -> Iterator[Sequence[EncodedRequest]]:
        """What is drawn together: all at once where a request can take the place of one that is done.

        Prompts of similar lengths stand together. The longest come first, so that memory runs out early or never.
        """
        ordered = sorted(group, key=lambda encoded: (-len(encoded.prompt_token_ids), encoded.index))
        # Without any padding, too, the prompts of one length are found while decoding.
        is_fixed = self._model.can_pad and not self._model.can_pad_anywhere
        size = self._batch_size if is_fixed else len(ordered)
        for start in range(0, len(ordered), size):
            yield ordered[start : start + size]

    def draw(self, batch: Sequence[EncodedRequest], on_done: Callable[[int], None]) -> list[Reply]:
        return decode(
            self._model, batch, self._rules, self._prefix_for(batch), batch_size=self._batch_size, on_done=on_done
        )

    def _prefix_for(self, batch: Sequence[EncodedRequest]) -> PrefixCache | None:
        lengths = {len(encoded.prompt_token_ids) for encoded in batch}
        if not self._shared or (len(lengths) > 1 and not self._model.can_pad_anywhere):
            return None
        if self._prefix is None:
            self._prefix = PrefixCache(self._model, self._shared)
        return self._prefix
