"""Decoding: the prompts, then a token for each row at a time.

Rows that are done leave, and requests that wait take their places, so that the model always has a full batch: on a CPU
and a GPU alike, a step for few rows takes nearly as long as one for many.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from ..errors import PolicyError
from ..game.rollout import Reply
from .chat import EncodedRequest
from .decoding_model import DecodingModel, PrefixCache, drop_columns, join_rows
from .transformers_inside import keep_rows

if TYPE_CHECKING:
    from transformers.cache_utils import Cache

_MOST_PADDING = 1.1
"""Where others can follow, prompts are read together up to this ratio of all that is read to what isn't padding."""

_ROWS_FOR_ONE_TO_LEAVE = 8
"""Rows that leave or come have the cache copied: they do so when one in this many is done, not one by one."""


@dataclass(frozen=True)
class DecodingRules:
    """What holds for all replies of a batch."""

    temperature: float
    is_greedy: bool
    eos_token_ids: frozenset[int]
    pad_token_id: int
    text_of: Callable[[Sequence[int]], str]
    """What the tokens of a reply spell."""


def decode(
    model: DecodingModel,
    requests: Sequence[EncodedRequest],
    rules: DecodingRules,
    prefix: PrefixCache | None = None,
    *,
    batch_size: int | None = None,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Reply]:
    """One reply for each request, in order.

    Args:
        model: what speaks.
        requests: at least one. They begin in this order. A request's seed decides its reply, whatever else is in the
            batch; greedy decoding doesn't use it.
        rules: temperature, ends, padding.
        prefix: what all prompts begin with, each with at least one token more. Where the model can't have padding
            behind it, the prompts must be of one length.
        batch_size: how many speak at a time; None: all of them. Where the model can't join rows nobody comes in before
            all of them are done; where it can't have padding, prompts of one length speak together.
        on_done: told how many replies are done.

    Raises:
        PolicyError: the model's probabilities are not numbers.
    """
    rows = [_Row(request) for request in requests]
    waiting = deque(rows)
    size = min(batch_size or len(rows), len(rows))
    speaking: list[_Row] = []
    batch: _Batch | None = None
    while True:
        if batch is None or (model.can_join and waiting and len(speaking) < size):
            arriving = _next_to_arrive(waiting, size - len(speaking), _most_padding(model))
            arrived = _Batch(model, [row.prompt_token_ids for row in arriving], rules.pad_token_id, prefix)
            _decode_step(arrived, arriving, rules)
            batch = arrived if batch is None else batch.above(arrived)
            speaking = [*speaking, *arriving]
        else:
            _decode_step(batch, speaking, rules)
        going_on = [place for place, row in enumerate(speaking) if not row.is_done]
        done = len(speaking) - len(going_on)
        if done:
            on_done(len(rows) - len(waiting) - len(going_on))
        if not going_on:
            if not waiting:
                return [row.reply(rules.text_of) for row in rows]
            speaking, batch = [], None
        elif done * _ROWS_FOR_ONE_TO_LEAVE >= len(speaking):
            batch.select(going_on)
            speaking = [speaking[place] for place in going_on]


def _most_padding(model: DecodingModel) -> float:
    """Prompts are read together up to this ratio of all that is read to what isn't padding."""
    if not model.can_pad:
        return 1.0
    # Where nobody comes in later, a full batch is worth more than little padding.
    return _MOST_PADDING if model.can_join else math.inf


def _next_to_arrive(waiting: deque[_Row], places: int, most_padding: float) -> list[_Row]:
    """At most ``places`` rows, whose prompts are read together."""
    arriving: list[_Row] = []
    longest = total = 0
    while waiting and len(arriving) < places:
        length = len(waiting[0].prompt_token_ids)
        longest, total = max(longest, length), total + length
        if longest * (len(arriving) + 1) > most_padding * total:
            break
        arriving.append(waiting.popleft())
    return arriving


def _decode_step(batch: _Batch, speaking: Sequence[_Row], rules: DecodingRules) -> None:
    """The next token of each row."""
    draws = None if rules.is_greedy else [row.draw() for row in speaking]
    chosen_B, log_probs_B = choose_tokens(batch.next_logits(), rules.temperature, draws)
    for row, token_id, log_prob in zip(speaking, *_on_this_side(chosen_B, log_probs_B), strict=True):
        row.append_token(token_id, log_prob, rules.eos_token_ids)
    batch.append(chosen_B)


def choose_tokens(
    logits_BV: torch.Tensor, temperature: float, draws: Sequence[float] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row, [B], and its log-prob at ``temperature``, [B] in fp32.

    Args:
        logits_BV: the model's, at temperature 1.
        temperature: log-probs are taken at it, and draws made.
        draws: for each row the number from [0, 1) at which its cumulative distribution is inverted; None takes the
            likeliest tokens.
    """
    logits_BV = logits_BV.float()
    probabilities_BV = torch.softmax(logits_BV / temperature, dim=-1)
    if draws is None:
        chosen_B1 = logits_BV.argmax(dim=-1, keepdim=True)
    else:
        # In fp32 the sum over a large vocabulary would drift by more than its rare tokens weigh.
        cumulative_BV = probabilities_BV.cumsum(dim=-1, dtype=torch.float64)
        draws_B1 = torch.tensor(draws, dtype=torch.float64, device=logits_BV.device)[:, None]
        # The first token whose cumulative probability exceeds the draw: a token of probability 0 is never chosen.
        chosen_B1 = torch.searchsorted(cumulative_BV, draws_B1 * cumulative_BV[:, -1:], right=True)
        # Where the probabilities are not numbers, any token will do: its log-prob gives them away.
        chosen_B1 = chosen_B1.clamp_(max=logits_BV.shape[1] - 1)
    return chosen_B1[:, 0], probabilities_BV.gather(1, chosen_B1)[:, 0].log()


def _on_this_side(token_ids_B: torch.Tensor, log_probs_B: torch.Tensor) -> tuple[list[int], list[float]]:
    """Both as Python numbers: the one time in a step that a GPU is waited for."""
    token_ids, log_probs = cast("Any", torch.stack((token_ids_B.double(), log_probs_B.double()))).tolist()
    return [int(token_id) for token_id in token_ids], log_probs


class _Row:
    """A reply that is being drawn."""

    def __init__(self, encoded: EncodedRequest) -> None:
        self.prompt_token_ids = encoded.prompt_token_ids
        self._limit = encoded.request.max_tokens
        self._random = random.Random(encoded.request.seed)
        self._token_ids: list[int] = []
        self._log_probs: list[float] = []
        self._is_finished = False
        self.is_done = False

    def draw(self) -> float:
        return self._random.random()

    def append_token(self, token_id: int, log_prob: float, eos_token_ids: frozenset[int]) -> None:
        """Take the next token, unless the reply is done and its row only waits to be dropped."""
        if self.is_done:
            return
        if not math.isfinite(log_prob):
            raise PolicyError(
                "the model's probabilities are not numbers: its weights are broken or have diverged. Go back to an "
                'earlier checkpoint and lower training.learning_rate, or take policy.precision = "fp32".'
            )
        self._token_ids.append(token_id)
        self._log_probs.append(log_prob)
        self._is_finished = token_id in eos_token_ids
        self.is_done = self._is_finished or len(self._token_ids) >= self._limit

    def reply(self, text_of: Callable[[Sequence[int]], str]) -> Reply:
        return Reply(
            text=text_of(self._token_ids),
            prompt_token_ids=self.prompt_token_ids,
            token_ids=tuple(self._token_ids),
            log_probs=tuple(self._log_probs),
            is_finished=self._is_finished,
        )


class _Batch:
    """What the model is fed: token ids, mask and cache, whose rows belong together."""

    def __init__(
        self,
        model: DecodingModel,
        prompts: Sequence[Sequence[int]],
        pad_token_id: int,
        prefix: PrefixCache | None,
    ) -> None:
        self._model = model
        prefix_length = len(prefix.token_ids) if prefix else 0
        input_ids, attention_mask = left_padded([prompt[prefix_length:] for prompt in prompts], pad_token_id)
        mask_BT = torch.tensor(attention_mask, device=model.device)
        self._input_ids_BT = torch.tensor(input_ids, device=model.device)
        self._attention_mask_BT = torch.cat((mask_BT.new_ones((len(prompts), prefix_length)), mask_BT), dim=1)
        self._cache: Cache | None = prefix.repeated(len(prompts)) if prefix else model.new_cache()
        self._cached_columns = prefix_length

    def next_logits(self) -> torch.Tensor:
        logits_BV, self._cache = self._model.next_logits(
            self._input_ids_BT, self._attention_mask_BT, self._cache, self._cached_columns
        )
        self._cached_columns = self._attention_mask_BT.shape[1]
        return logits_BV

    def append(self, token_ids_B: torch.Tensor) -> None:
        ones_B1 = self._attention_mask_BT.new_ones((len(token_ids_B), 1))
        self._input_ids_BT = torch.cat((self._input_ids_BT, token_ids_B[:, None]), dim=1)
        self._attention_mask_BT = torch.cat((self._attention_mask_BT, ones_B1), dim=1)

    def select(self, rows: Sequence[int]) -> None:
        """Keep ``rows`` alone, everywhere at once, without the columns at the left that only others needed."""
        rows_K = torch.tensor(rows, device=self._model.device)
        mask_KT = self._attention_mask_BT[rows_K]
        unused = int(mask_KT.any(dim=0).int().argmax()) if self._model.can_join else 0
        self._input_ids_BT = self._input_ids_BT[rows_K, unused:]
        self._attention_mask_BT = mask_KT[:, unused:]
        if self._cache is None:
            return
        if unused:
            drop_columns(self._cache, unused)
            self._cached_columns -= unused
        keep_rows(self._cache, rows_K)

    def above(self, other: _Batch) -> _Batch:
        """One batch of these rows and those of ``other`` below them, aligned at the newest token."""
        joined = copy(self)
        joined._input_ids_BT = _one_below_the_other(self._input_ids_BT, other._input_ids_BT)
        joined._attention_mask_BT = _one_below_the_other(self._attention_mask_BT, other._attention_mask_BT)
        joined._cached_columns = max(self._cached_columns, other._cached_columns)
        joined._cache = cast("Cache", self._model.new_cache())
        join_rows([cast("Cache", self._cache), cast("Cache", other._cache)], joined._cache)
        return joined


def _one_below_the_other(first_BT: torch.Tensor, second_BT: torch.Tensor) -> torch.Tensor:
    """Rows of both, filled up with zeros on the left."""
    width = max(first_BT.shape[1], second_BT.shape[1])
    return torch.cat([torch.nn.functional.pad(rows, (width - rows.shape[1], 0)) for rows in (first_BT, second_BT)])


def left_padded(rows: Sequence[Sequence[int]], pad_token_id: int) -> tuple[list[list[int]], list[list[int]]]:
    """Rows of one length, filled up on the left, and their mask: 1 at a token, 0 at padding."""
    width = max(map(len, rows))
    input_ids = [[pad_token_id] * (width - len(row)) + list(row) for row in rows]
    attention_mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return input_ids, attention_mask
