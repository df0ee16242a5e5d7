"""The real vLLM, on a CPU."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from vllm_cases import CONFIG, learn_a_little, make_policy, requests_for, save_model

from learning import sample_of
from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RunConfig
from medical_team.errors import PolicyError, VllmError, VllmUnavailableError
from medical_team.game.rollout import REFERENCE, PromptTooLong
from medical_team.policy.policy import Policy
from medical_team.policy.vllm_rollout import VllmRollout
from medical_team.records import LIVING
from medical_team.rl.learner import ReinforceLearner
from needs import VLLM

vllm = VLLM.module("vllm")

ROUNDING = 2e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def policy(folder: Path) -> Policy:
    return make_policy(folder)


@pytest.fixture(scope="module")
def rollout(policy: Policy) -> Iterator[VllmRollout]:
    rollout = VllmRollout(policy, CONFIG)
    yield rollout
    rollout.close()


def mismatch(policy: Policy, replies: Sequence[Any], version: str = LIVING) -> float:
    """The largest difference between the log-probs of the replies and the learner's own."""
    samples = [sample_of(reply) for reply in replies]
    own_NR = ReinforceLearner(policy, RunConfig(rollout=CONFIG)).log_probs(samples, version)
    return max(
        (own_NR[row, : len(sample.token_ids)] - torch.tensor(sample.old_log_probs)).abs().max().item()
        for row, sample in enumerate(samples)
    )


def test_log_probs_are_the_learners_after_each_update(rollout: VllmRollout, policy: Policy) -> None:
    for update in range(3):
        assert mismatch(policy, rollout.generate(requests_for(6))) < ROUNDING
        learn_a_little(policy, update)
        rollout.follow()
    assert mismatch(policy, rollout.generate(requests_for(6))) < ROUNDING


def test_the_reference_speaks_beside_the_policy_that_learns(rollout: VllmRollout, policy: Policy) -> None:
    requests = [*requests_for(3), *requests_for(3, REFERENCE)]
    replies = rollout.generate(requests)

    assert mismatch(policy, replies[:3]) < ROUNDING
    assert mismatch(policy, replies[3:], REFERENCE) < ROUNDING
    assert mismatch(policy, replies[3:]) > 100 * ROUNDING
    assert mismatch(policy, rollout.generate(requests_for(3))) < ROUNDING


def test_the_weights_that_learn_stay_as_they_are(rollout: VllmRollout, policy: Policy) -> None:
    model = cast("Any", policy.model)
    before: dict[str, torch.Tensor] = {name: weight.clone() for name, weight in model.state_dict().items()}
    rollout.follow()
    rollout.generate(requests_for(2))

    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert any(parameter.requires_grad for parameter in model.parameters())


def test_a_request_is_answered_alike_among_others_and_alone(rollout: Any) -> None:
    requests = requests_for(6)
    together: list[Any] = rollout.generate(requests)

    assert len({reply.token_ids for reply in together}) == len(together)
    assert rollout.generate(requests) == together
    assert [reply.token_ids for reply in rollout.generate(requests[::-1])][::-1] == [
        reply.token_ids for reply in together
    ]
    assert rollout.generate(requests[2:3])[0].token_ids == together[2].token_ids
    assert rollout.generate([]) == []


def test_greedy_replies_ignore_the_seed(rollout: Any) -> None:
    one, other = requests_for(1, is_greedy=True)[0], replace(requests_for(1, is_greedy=True)[0], seed=7)

    assert rollout.generate([one])[0].token_ids == rollout.generate([other])[0].token_ids


def test_replies_end_with_their_end_token_or_at_the_limit(rollout: VllmRollout, policy: Policy) -> None:
    replies: list[Any] = rollout.generate([replace(each, max_tokens=48) for each in requests_for(24)])

    for reply in replies:
        assert len(reply.token_ids) == len(reply.log_probs)
        assert reply.is_finished == (reply.token_ids[-1] in policy.eos_token_ids)
        assert reply.is_finished or len(reply.token_ids) == 48
    assert {reply.is_finished for reply in replies} == {True, False}


def test_a_prompt_that_is_too_long_is_refused_and_progress_is_told(rollout: VllmRollout) -> None:
    told: list[tuple[int, int]] = []
    requests = [*requests_for(3), replace(requests_for(1)[0], prompt="note " * 200)]
    replies = rollout.generate(requests, lambda done, total: told.append((done, total)))

    assert isinstance(replies[3], PromptTooLong)
    assert "rollout.max_prompt_tokens" in replies[3].explanation
    assert told[-1] == (4, 4)
    assert sorted(told) == told


def test_an_unknown_speaker_is_named(rollout: VllmRollout) -> None:
    with pytest.raises(PolicyError, match="no version 'step-7'"):
        rollout.generate(requests_for(1, "step-7"))


def test_an_engine_that_dies_is_started_again_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy(folder)
    told: list[str] = []
    rollout = VllmRollout(policy, CONFIG, notify=told.append)
    expected = rollout.generate(requests_for(4))

    engine = importlib.import_module("vllm").LLM
    answer, deaths = engine.wait_for_completion, [1]

    def die_sometimes(self: Any, *arguments: Any, **options: Any):
        if deaths:
            deaths.pop()
            raise RuntimeError("the engine core died")
        return answer(self, *arguments, **options)

    monkeypatch.setattr(engine, "wait_for_completion", die_sometimes)
    assert rollout.generate(requests_for(4)) == expected
    assert len(told) == 1
    assert "the engine core died" in told[0]

    deaths.append(2)
    with pytest.raises(VllmError, match="the engine core died"):
        rollout.generate(requests_for(4))
    rollout.close()


def test_full_weights_follow_too(folder: Path) -> None:
    policy = make_policy(folder, "full")
    rollout = VllmRollout(policy, CONFIG)
    learn_a_little(policy, 1)
    rollout.follow()
    replies = rollout.generate([*requests_for(3), *requests_for(3, REFERENCE)])
    rollout.close()

    assert mismatch(policy, replies[:3]) < ROUNDING
    assert mismatch(policy, replies[3:], REFERENCE) < ROUNDING


def test_adapters_are_served_beside_the_weights(folder: Path) -> None:
    policy = make_policy(folder)
    rollout = VllmRollout(policy, CONFIG, serves_adapters=True)
    for update in range(3):
        learn_a_little(policy, update)
        rollout.follow()
        replies = rollout.generate([*requests_for(3), *requests_for(3, REFERENCE)])
        assert mismatch(policy, replies[:3]) < ROUNDING
        assert mismatch(policy, replies[3:], REFERENCE) < ROUNDING
    rollout.close()


def test_a_model_that_it_cannot_serve_is_named_with_the_remedy() -> None:
    # Heads of 8 numbers, for which there is no kernel on a CPU.
    policy = Policy(PolicyConfig(model=TINY_RANDOM_MODEL, device="cpu", lora_rank=4), seed=1)
    with pytest.raises(VllmUnavailableError, match=r"doesn't start with tiny-random.*\n?.*rollout\.engine"):
        VllmRollout(policy, CONFIG)


def test_memory_that_is_short_at_the_start_is_named_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = vllm.LLM

    def start_with_little(**options: Any) -> Any:
        return start(**{**options, "kv_cache_memory_bytes": 1000})

    monkeypatch.setattr("vllm.LLM", start_with_little)
    with pytest.raises(VllmUnavailableError, match=r"No available memory.*more free memory.*rollout\.batch_size"):
        VllmRollout(make_policy(folder), replace(CONFIG, batch_size=7))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."),
        MemoryError(),
    ],
)
def test_memory_that_the_system_refuses_at_the_start_is_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(**_options: object):
        raise error

    monkeypatch.setattr("vllm.LLM", refuse)
    with pytest.raises(VllmUnavailableError, match=r"doesn't start with .* more free memory"):
        VllmRollout(make_policy(folder), replace(CONFIG, batch_size=7))
