"""Decoding a batch: exact against ``generate``, and no row disturbs another."""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from decoding_cases import (
    ARCHITECTURES,
    GREEDY,
    PAD,
    REQUESTS,
    SAMPLED,
    WINDOW,
    a_request,
    assert_log_probs_are_the_models,
    assert_same_unless_nearly_equal,
    generated_alone,
    llama_config,
    model_of,
    request_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_architectures import tiny_model
from transformers import LlamaForCausalLM, PreTrainedModel

from medical_team.errors import PolicyError
from medical_team.game.rollout import Reply
from medical_team.policy.chat import EncodedRequest
from medical_team.policy.decoding import (
    DecodingRules,
    choose_tokens,
    decode,
    left_padded,
)
from medical_team.policy.decoding_model import DecodingModel, PrefixCache
from tensors import numbers

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


@torch.inference_mode()
def decoded(
    model: PreTrainedModel,
    requests: Sequence[EncodedRequest],
    rules: DecodingRules = SAMPLED,
    *,
    prefix: Sequence[int] = (),
    batch_size: int | None = None,
) -> list[Reply]:
    decoding_model = DecodingModel(model)
    shared = PrefixCache(decoding_model, prefix) if prefix else None
    return decode(decoding_model, requests, rules, shared, batch_size=batch_size)


@each_architecture
@settings(max_examples=25)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=9))
def test_greedy_replies_are_those_of_generate(architecture: str, requests: list[EncodedRequest]) -> None:
    """Each prompt in a batch against ``generate`` on the prompt alone, also where it is longer than the window."""
    model = model_of(architecture)
    for request, reply in zip(requests, decoded(model, requests, GREEDY), strict=True):
        assert_same_unless_nearly_equal(model, request, reply.token_ids, generated_alone(model, request))


@each_architecture
@settings(max_examples=25)
@given(requests=st.lists(REQUESTS, min_size=2, max_size=9), data=st.data())
def test_a_sampled_reply_does_not_depend_on_its_batch(
    architecture: str, requests: list[EncodedRequest], data: st.DataObject
) -> None:
    model = model_of(architecture)
    together = decoded(model, requests)
    others = data.draw(st.permutations(range(len(requests))))[: data.draw(st.integers(1, len(requests)))]
    apart = decoded(model, [requests[place] for place in others])
    assert [reply.token_ids for reply in apart] == [together[place].token_ids for place in others]


@each_architecture
@pytest.mark.parametrize("rules", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_log_probs_are_the_models_at_the_sampling_temperature(architecture: str, rules: DecodingRules) -> None:
    model = model_of(architecture)
    requests = [a_request(length, max_tokens=30, seed=length) for length in (3, 90, 40, 65, 1)]
    for request, reply in zip(requests, decoded(model, requests, rules), strict=True):
        assert len(reply.token_ids) == len(reply.log_probs)
        assert_log_probs_are_the_models(model, request, reply, rules.temperature)


@each_architecture
def test_padding_takes_no_position_and_is_not_seen(architecture: str) -> None:
    """The first logits of a short prompt are the same alone and padded to 130 columns."""
    model = DecodingModel(model_of(architecture))
    short, long = a_request(5).prompt_token_ids, a_request(130).prompt_token_ids
    alone, padded = ([short], [short, long])
    logits: list[torch.Tensor] = []
    with torch.inference_mode():
        for prompts in (alone, padded):
            input_ids, mask = map(torch.tensor, left_padded(prompts, PAD))
            logits.append(model.next_logits(input_ids, mask, model.new_cache(), 0)[0][0])
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-5)


@each_architecture
def test_rows_that_go_on_stay_whole_when_others_are_dropped(architecture: str) -> None:
    """Limits that end rows in a scattered order, one after another: cache, mask and ids must lose the same rows."""
    model = model_of(architecture)
    limits = (31, 2, 17, 9, 40, 1, 25, 3, 12, 36)
    requests = [a_request(1 + 37 * place % 100, max_tokens=limit, seed=place) for place, limit in enumerate(limits)]
    together = decoded(model, requests)
    assert len({len(reply.token_ids) for reply in together}) > 5
    assert [reply.token_ids for reply in together] == [decoded(model, [request])[0].token_ids for request in requests]


NEVER_ENDS = DecodingRules(1.0, is_greedy=False, eos_token_ids=frozenset(), pad_token_id=PAD, text_of=str)


@contextmanager
def rows_read_by(model: PreTrainedModel) -> Generator[list[int]]:
    """How many rows the model is given in each of its passes, from the first to the last."""
    rows: list[int] = []

    def look(module: torch.nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        rows.append(len(named["input_ids"] if "input_ids" in named else positional[0]))

    hook = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield rows
    finally:
        hook.remove()


def test_rows_are_dropped_in_chunks() -> None:
    """Selecting rows copies the cache: of 32 rows that end one after another, an eighth goes at a time."""
    model = model_of("llama")
    with rows_read_by(model) as rows:
        decoded(model, [a_request(3, max_tokens=1 + row, seed=row) for row in range(32)], NEVER_ENDS)

    sizes = list(dict.fromkeys(rows))
    assert sizes[:5] == [32, 28, 24, 21, 18]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


@each_architecture
@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=12),
    batch_size=st.integers(1, 5),
    shared=st.integers(0, 30),
    is_greedy=st.booleans(),
)
def test_who_takes_the_place_of_another_says_what_it_would_have_said_alone(
    architecture: str, lengths: list[int], batch_size: int, shared: int, is_greedy: bool
) -> None:
    """Long prompts come in beside short ones and short beside long, with a shared beginning and without."""
    model = model_of(architecture)
    lengths = lengths if DecodingModel(model).can_pad_behind_prefix or not shared else [lengths[0]] * len(lengths)
    prefix = a_request(shared, seed=99).prompt_token_ids if shared else ()
    requests = [
        request_of((*prefix, *a_request(length, seed=place).prompt_token_ids), 1 + 7 * place % 19, seed=place)
        for place, length in enumerate(lengths)
    ]
    rules = GREEDY if is_greedy else SAMPLED
    for request, reply in zip(
        requests, decoded(model, requests, rules, prefix=prefix, batch_size=batch_size), strict=True
    ):
        alone = decoded(model, [request], rules)[0]
        assert_log_probs_are_the_models(model, request, reply, rules.temperature)
        if is_greedy:
            assert_same_unless_nearly_equal(model, request, reply.token_ids, alone.token_ids)
        else:
            assert reply.token_ids == alone.token_ids


def test_the_batch_stays_full_while_requests_wait() -> None:
    requests = [a_request(4, max_tokens=3 + place % 11, seed=place) for place in range(40)]
    done: list[int] = []
    model = model_of("llama")
    with rows_read_by(model) as rows:
        replies = decode(DecodingModel(model), requests, NEVER_ENDS, batch_size=8, on_done=done.append)

    tokens = sum(len(reply.token_ids) for reply in replies)
    assert max(rows) == 8
    # Eight at a time, each batch until its last row is done, would take 61 * 8 = 488.
    assert sum(rows) < 1.1 * tokens
    assert done == sorted(done)
    assert done[-1] == 40


@each_architecture
@settings(max_examples=20)
@given(
    shared=st.sampled_from([1, 8, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 5]),
    suffixes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_a_shared_prefix_changes_nothing(architecture: str, shared: int, suffixes: list[int]) -> None:
    model = model_of(architecture)
    prefix = a_request(shared, seed=99).prompt_token_ids
    if not DecodingModel(model).can_pad_behind_prefix:
        suffixes = [suffixes[0]] * len(suffixes)
    requests = [
        request_of((*prefix, *a_request(length, seed=place).prompt_token_ids), 8, seed=place)
        for place, length in enumerate(suffixes)
    ]
    shared_replies = decoded(model, requests, GREEDY, prefix=prefix)
    for request, reply in zip(requests, shared_replies, strict=True):
        assert_same_unless_nearly_equal(model, request, reply.token_ids, generated_alone(model, request))
        assert_log_probs_are_the_models(model, request, reply, GREEDY.temperature)


def test_padding_behind_a_prefix_is_refused_for_sliding_windows_alone() -> None:
    assert DecodingModel(model_of("llama")).can_pad_behind_prefix
    assert DecodingModel(model_of("qwen2")).can_pad_behind_prefix
    assert not DecodingModel(model_of("gemma3")).can_pad_behind_prefix


def test_padding_behind_a_prefix_would_be_silently_wrong_with_a_sliding_window() -> None:
    """Why it is refused: the padding uses the window up, and the row sees less of the prefix than it should."""
    model = model_of("gemma3")
    prefix = a_request(40, seed=99).prompt_token_ids
    requests = [request_of((*prefix, *a_request(length).prompt_token_ids), 1, seed=0) for length in (50, 60)]
    wrong = decoded(model, requests, GREEDY, prefix=prefix)[0]
    with pytest.raises(AssertionError):
        assert_log_probs_are_the_models(model, requests[0], wrong, GREEDY.temperature)


@each_architecture
def test_batches_that_share_a_prefix_have_a_cache_each(architecture: str) -> None:
    model = DecodingModel(model_of(architecture))
    beginning = a_request(WINDOW + 10, seed=99).prompt_token_ids
    requests = [request_of((*beginning, *a_request(20, seed=seed).prompt_token_ids), 20, seed) for seed in range(4)]
    with torch.inference_mode():
        prefix = PrefixCache(model, beginning)
        first = decode(model, requests, SAMPLED, prefix)
        other = decode(model, requests[2:], SAMPLED, prefix)
        again = decode(model, requests, SAMPLED, prefix)
    assert first == again
    assert [reply.token_ids for reply in other] == [reply.token_ids for reply in first[2:]]


@pytest.mark.parametrize("architecture", ["lfm2", "mamba"])
def test_models_with_other_caches_take_the_plain_path(architecture: str) -> None:
    """Whole prompts and no shared prefix; the replies are those of ``generate`` all the same."""
    model = tiny_model(architecture)
    plain = DecodingModel(model)
    assert not plain.can_join
    assert plain.new_cache() is None
    requests = [
        a_request(length, max_tokens=limit, seed=limit) for length, limit in ((12, 20), (5, 3), (12, 19), (30, 9))
    ]
    for request, reply in zip(requests, decoded(model, requests, GREEDY), strict=True):
        assert_same_unless_nearly_equal(model, request, reply.token_ids, generated_alone(model, request))
    assert [reply.token_ids for reply in decoded(model, requests)] == [
        decoded(model, [request])[0].token_ids for request in requests
    ]


class Stateful(LlamaForCausalLM):
    _is_stateful = True


def test_a_model_that_says_it_keeps_a_state_takes_the_plain_path_whatever_its_layers() -> None:
    model = Stateful(llama_config()).eval()
    model.load_state_dict(model_of("llama").state_dict())
    requests = [a_request(length, max_tokens=9, seed=length) for length in (7, 30, 12)]
    assert DecodingModel(model).new_cache() is None
    ours = decoded(model_of("llama"), requests)
    assert [reply.token_ids for reply in decoded(model, requests)] == [reply.token_ids for reply in ours]


def test_a_model_that_leaves_its_cache_empty_is_an_error_and_not_a_wrong_reply() -> None:
    class Forgetful(LlamaForCausalLM):
        def forward(self, *inputs: Any, past_key_values: object = None, **others: Any) -> Any:
            return super().forward(*inputs, **others)

    model = Forgetful(llama_config()).eval()
    with pytest.raises(PolicyError, match="Forgetful doesn't fill the cache"):
        decoded(model, [a_request(4)])


def test_weights_that_are_not_numbers_are_an_error() -> None:
    model: Any = copy.deepcopy(model_of("llama"))
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    for rules in (GREEDY, SAMPLED):
        with pytest.raises(PolicyError, match=r"training\.learning_rate"):
            decoded(model, [a_request(4)], rules)


@given(
    logits=st.lists(st.floats(-30, 30) | st.just(float("-inf")), min_size=1, max_size=40).filter(
        lambda logits: max(logits) > float("-inf")
    ),
    draw=st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1.0 - 2**-53]),
)
def test_an_impossible_token_is_never_drawn(logits: list[float], draw: float) -> None:
    chosen_B, log_probs_B = choose_tokens(torch.tensor([logits]), 1.0, [draw])
    assert torch.softmax(torch.tensor(logits), dim=0)[chosen_B[0]] > 0
    assert log_probs_B[0] > float("-inf")


@pytest.mark.parametrize(
    ("draw", "token"), [(0.0, 0), (0.2499, 0), (0.25, 2), (0.7499, 2), (0.75, 3), (1.0 - 2**-53, 3)]
)
def test_a_draw_inverts_the_cumulative_distribution(draw: float, token: int) -> None:
    """Probabilities 1/4, 0, 1/2 and 1/4."""
    logits = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).log()
    chosen_B, log_probs_B = choose_tokens(logits, 1.0, [draw])
    assert numbers(chosen_B) == [token]
    assert log_probs_B.exp().item() == pytest.approx(0.5 if token == 2 else 0.25)


def test_temperature_sharpens_and_greedy_ignores_it() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0]])
    for temperature in (0.1, 5.0):
        token, log_prob = choose_tokens(logits, temperature, None)
        assert numbers(token) == [1]
        assert log_prob.item() == pytest.approx(torch.log_softmax(logits / temperature, dim=-1)[0, 1].item(), abs=1e-6)
