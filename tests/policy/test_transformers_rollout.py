from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from decoding_cases import tiny
from tiny_architectures import SHAPES, save_tiny_architecture

from builders import a_sample
from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RolloutConfig
from medical_team.game.rollout import REFERENCE, PromptTooLong, Reply, RolloutRequest, Speaker
from medical_team.policy.decoding_model import DecodingModel
from medical_team.policy.forward_pass import reply_log_probs, token_batch
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_rollout import RolloutPath, TransformersRollout, announcement, path_of
from medical_team.records import LIVING, Role
from tiny_models import save_tiny_model

CONFIG = RolloutConfig(temperature=0.7, batch_size=4)


def unheard(sentence: str) -> None:
    """What makes drawing slow is announced; here nobody listens."""


@pytest.fixture(scope="module", params=["llama", "qwen2", "gemma3"])
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = tmp_path_factory.mktemp("models") / request.param
    save_tiny_model(folder, architecture=request.param)
    return Policy(PolicyConfig(model=str(folder), device="cpu"), seed=0)


@pytest.fixture(scope="module")
def tiny_policy() -> Policy:
    return Policy(PolicyConfig(model=TINY_RANDOM_MODEL, device="cpu"), seed=0)


def a_request(number: int, *, max_tokens: int = 24, **changes: Any) -> RolloutRequest:
    prompt = "Read this note: " + "cough and fever " * number
    return RolloutRequest(
        speaker=Speaker(Role.ASSESSOR), prompt=prompt, reply_prefix="", max_tokens=max_tokens, seed=number, **changes
    )


def replies(policy: Policy, requests: Sequence[RolloutRequest], config: RolloutConfig = CONFIG) -> list[Reply]:
    answers = TransformersRollout(policy, config, warn=unheard).generate(requests)
    found = [answer for answer in answers if isinstance(answer, Reply)]
    assert len(found) == len(answers)
    return found


def test_the_samplers_log_probs_are_the_learners(policy: Policy) -> None:
    drawn = replies(policy, [a_request(number) for number in range(1, 7)])
    samples = [
        a_sample(prompt_token_ids=reply.prompt_token_ids, token_ids=reply.token_ids, log_probs=reply.log_probs)
        for reply in drawn
    ]

    tokens = token_batch(samples, policy.pad_token_id, policy.device)
    with torch.inference_mode(), policy.inference_context() as model:
        log_probs_BR = reply_log_probs(model, tokens, CONFIG.temperature)

    for row, reply in enumerate(drawn):
        learners = log_probs_BR[row, : len(reply.token_ids)]
        torch.testing.assert_close(learners, torch.tensor(reply.log_probs), rtol=0, atol=1e-4)


def test_a_reply_depends_on_its_own_seed_and_not_on_its_batch(policy: Policy) -> None:
    requests = [a_request(number) for number in range(1, 7)]
    together = replies(policy, requests)
    alone = [replies(policy, [request])[0] for request in requests]

    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in alone]
    assert together != replies(policy, [replace(request, seed=request.seed + 100) for request in requests])


def test_greedy_replies_take_the_likeliest_token(policy: Policy) -> None:
    greedy, sampled = replies(policy, [a_request(3, is_greedy=True), a_request(3)])
    (again,) = replies(policy, [replace(a_request(3, is_greedy=True), seed=77)])

    assert greedy.token_ids == again.token_ids
    assert sum(greedy.log_probs) != sum(sampled.log_probs)
    input_ids = torch.tensor([greedy.prompt_token_ids])
    with torch.inference_mode(), policy.inference_context() as model:
        first = model(input_ids=input_ids).logits[0, -1].argmax().item()
    assert greedy.token_ids[0] == first


def test_samples_follow_the_models_distribution(tiny_policy: Policy) -> None:
    """The first token of 2,000 replies, against the model's own probabilities."""
    requests = [replace(a_request(1, max_tokens=1), seed=seed) for seed in range(2000)]
    drawn = replies(tiny_policy, requests, replace(CONFIG, batch_size=500))

    with torch.inference_mode(), tiny_policy.inference_context() as model:
        logits_V = model(input_ids=torch.tensor([drawn[0].prompt_token_ids])).logits[0, -1]
    expected_V = torch.softmax(logits_V / CONFIG.temperature, dim=-1)
    counts_V = torch.bincount(torch.tensor([reply.token_ids[0] for reply in drawn]), minlength=len(expected_V))
    # Three standard deviations of each count, all at once: a generous bound that a wrong distribution misses by far.
    deviation_V = (counts_V - 2000 * expected_V).abs() / (2000 * expected_V * (1 - expected_V)).sqrt().clamp(min=1)
    assert deviation_V.max() < 5


def test_the_end_of_sequence_is_an_action_token_and_a_cut_reply_has_none(tiny_policy: Policy) -> None:
    drawn = replies(tiny_policy, [replace(a_request(1, max_tokens=400), seed=seed) for seed in range(24)])

    finished = [reply for reply in drawn if reply.is_finished]
    assert finished
    assert all(reply.token_ids[-1] in tiny_policy.eos_token_ids for reply in finished)
    for reply in drawn:
        ends = [token for token in reply.token_ids if token in tiny_policy.eos_token_ids]
        assert len(ends) == int(reply.is_finished)
        assert len(reply.token_ids) == len(reply.log_probs)
        assert reply.is_finished or len(reply.token_ids) == 400


def test_every_request_gets_its_answer_in_order_even_when_some_are_too_long(tiny_policy: Policy) -> None:
    rollout = TransformersRollout(tiny_policy, replace(CONFIG, max_prompt_tokens=200))
    answers = rollout.generate([a_request(number, max_tokens=number) for number in (2, 60, 1, 60, 3)])

    assert [isinstance(answer, PromptTooLong) for answer in answers] == [False, True, False, True, False]
    assert [
        isinstance(answer, Reply) and len(answer.token_ids) <= limit
        for answer, limit in zip(answers[::2], (2, 1, 3), strict=True)
    ] == [True] * 3
    assert "rollout.max_prompt_tokens is 200" in str(answers[1])
    assert rollout.generate([]) == []


def test_the_reference_speaks_as_the_policy_did_at_the_start(policy: Policy) -> None:
    requests = [a_request(number) for number in range(1, 4)]
    asked = [replace(request, speaker=replace(request.speaker, version=REFERENCE)) for request in requests]

    assert replies(policy, requests) == replies(policy, asked)


def test_progress_is_told(tiny_policy: Policy) -> None:
    told: list[tuple[int, int]] = []
    requests = [a_request(number, max_tokens=2) for number in range(1, 7)]
    TransformersRollout(tiny_policy, CONFIG).generate(requests, lambda done, total: told.append((done, total)))

    assert told == [(4, 6), (6, 6)]


@contextlib.contextmanager
def tokens_read(policy: Policy) -> Generator[list[int]]:
    """The rows times columns of each pass of the policy's model while the block runs."""
    passes: list[int] = []

    def look(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], _output: torch.Tensor) -> None:
        passes.append(inputs[0].numel())

    embeddings = cast("Any", policy.model).get_input_embeddings()
    handle = embeddings.register_forward_hook(look)
    try:
        yield passes
    finally:
        handle.remove()


def test_what_all_prompts_begin_with_is_read_once_a_call(tiny_policy: Policy) -> None:
    """Six prompts of several lengths; they share 31 tokens and more, and each is asked for one token."""
    with tokens_read(tiny_policy) as passes:
        drawn = replies(tiny_policy, [a_request(number, max_tokens=1) for number in range(1, 7)])

    lengths = sorted(len(reply.prompt_token_ids) for reply in drawn)
    shared, *batches = passes
    assert shared > len("Read this note: cough and fever ")
    # The rest is read with a tenth of padding at the most.
    own = [length - shared for length in lengths]
    assert sum(own) <= sum(batches) <= 1.1 * sum(lengths) - len(lengths) * shared


def test_one_prompt_asked_many_times_is_read_once(policy: Policy) -> None:
    requests = [replace(a_request(2, max_tokens=1), seed=seed) for seed in range(4)]
    with tokens_read(policy) as passes:
        (first, *_) = replies(policy, requests)

    assert passes == [len(first.prompt_token_ids) - 1, 4]


def test_sliding_windows_share_a_beginning_only_among_prompts_of_one_length(policy: Policy) -> None:
    same = [replace(a_request(2, max_tokens=1), prompt=f"Read this note: cough {word}") for word in ("one", "two")]
    other = replace(same[1], prompt="Read this note: cough three")
    is_sliding = cast("Any", policy.model).config.model_type == "gemma3_text"

    with tokens_read(policy) as of_one_length:
        replies(policy, same)
    with tokens_read(policy) as of_two_lengths:
        replies(policy, [same[0], other])

    assert len(of_one_length) == 2
    assert len(of_two_lengths) == (1 if is_sliding else 2)


def test_new_weights_speak_at_once(policy: Policy) -> None:
    """Nothing that was made with the old weights, such as a shared beginning, is kept for the next call."""
    requests = [a_request(number, max_tokens=8, is_greedy=True) for number in (2, 2, 3)]
    rollout = TransformersRollout(policy, CONFIG, warn=unheard)
    before = rollout.generate(requests)
    weights = [parameter for _, parameter in policy.trainable_parameters()]
    old = [parameter.detach().clone() for parameter in weights]
    try:
        with torch.no_grad():
            for parameter in weights:
                parameter.add_(0.3)
        together = rollout.generate(requests)
        # A prompt that is asked alone shares nothing.
        alone = [replies(policy, [request])[0] for request in requests]
        assert together != before
        for one, other in zip(together, alone, strict=True):
            assert isinstance(one, Reply)
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)
    finally:
        with torch.no_grad():
            for parameter, value in zip(weights, old, strict=True):
                parameter.copy_(value)
    assert rollout.generate(requests) == before


def test_policy_and_reference_greedy_and_sampled_can_be_asked_together(tiny_policy: Policy) -> None:
    requests = [
        replace(
            a_request(number, is_greedy=number % 3 == 0),
            speaker=Speaker(Role.ASSESSOR, REFERENCE if number % 2 == 0 else LIVING),
            max_tokens=4 + number,
        )
        for number in range(1, 9)
    ]
    together = replies(tiny_policy, requests)

    assert together[2].token_ids != replies(tiny_policy, [replace(requests[2], is_greedy=False)])[0].token_ids
    for request, reply in zip(requests, together, strict=True):
        assert reply.token_ids == replies(tiny_policy, [request])[0].token_ids
        assert len(reply.token_ids) == request.max_tokens or reply.is_finished


def test_a_policy_with_gradient_checkpointing_speaks_as_one_without() -> None:
    plain, checkpointed = (
        Policy(PolicyConfig(model=TINY_RANDOM_MODEL, device="cpu", gradient_checkpointing=is_on), seed=0)
        for is_on in (False, True)
    )
    requests = [a_request(number) for number in (1, 2, 5)]
    assert replies(plain, requests) == replies(checkpointed, requests)


EXAMPLES = {
    "llama": RolloutPath.FULL,
    "gemma3_text": RolloutPath.FULL,
    "lfm2": RolloutPath.DRAINED,
    "mamba": RolloutPath.DRAINED,
    "recurrent_gemma": RolloutPath.REREAD,
    "rwkv": RolloutPath.REREAD,
    "openai-gpt": RolloutPath.REREAD,
}


def requests_of(lengths: list[int]) -> list[RolloutRequest]:
    return [
        RolloutRequest(Speaker(Role.ASSESSOR), "fever " * (number % 3), "", length, seed=number)
        for number, length in enumerate(lengths)
    ]


@pytest.fixture(scope="module", params=sorted(EXAMPLES))
def a_policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = tmp_path_factory.mktemp("models") / request.param
    save_tiny_architecture(folder, request.param)
    return Policy(PolicyConfig(model=str(folder), device="cpu", adaptation="full"), seed=0)


def path_of_policy(a_policy: Policy) -> RolloutPath:
    config: Any = a_policy.model.config
    return EXAMPLES[config.model_type]


def test_every_architecture_but_the_fast_ones_has_an_announcement() -> None:
    for name in sorted(SHAPES):
        model = DecodingModel(tiny(name))
        said = announcement(model)
        assert (said is None) == (path_of(model) is RolloutPath.FULL), name
        assert said is None or said.startswith(model.name)


def test_a_slow_path_is_announced_once(a_policy: Policy) -> None:
    said: list[str] = []
    rollout = TransformersRollout(a_policy, RolloutConfig(batch_size=4), warn=said.append)
    for _ in range(3):
        rollout.generate(requests_of([3, 2]))
    assert len(said) == (0 if path_of_policy(a_policy) is RolloutPath.FULL else 1)


def test_nobody_has_to_listen_to_hear_it(a_policy: Policy) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        TransformersRollout(a_policy, RolloutConfig()).generate(requests_of([2]))
    said = [str(warning.message) for warning in caught if "policy.model" in str(warning.message)]
    assert bool(said) == (path_of_policy(a_policy) is RolloutPath.REREAD)


def test_the_metrics_tell_the_path_and_how_often_a_token_was_read(a_policy: Policy) -> None:
    rollout = TransformersRollout(a_policy, RolloutConfig(batch_size=4), warn=lambda text: None)
    assert rollout.take_metrics() == {}
    rollout.generate(requests_of([24] * 8))
    metrics = rollout.take_metrics()
    path = path_of_policy(a_policy)
    reads = metrics.pop("speed/reads_per_token")
    assert metrics == {f"rollout_path/{path}": 1.0}
    assert (reads > 5) == (path is RolloutPath.REREAD)
    assert reads < 1.5 or path is RolloutPath.REREAD
    assert rollout.take_metrics() == {}
