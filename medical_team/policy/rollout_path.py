"""The ways in which replies are drawn, by what a model lets be done to its cache: the slower ones are announced."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from .decoding_model import DecodingModel


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
