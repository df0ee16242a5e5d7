"""Models whose replies are drawn slowly: announced once, and carried by the metrics."""

from __future__ import annotations

import warnings

import pytest
from decoding_cases import tiny
from tiny_architectures import SHAPES, save_tiny_architecture

from medical_team.config import PolicyConfig, RolloutConfig
from medical_team.game.rollout import RolloutRequest, Speaker
from medical_team.policy.decoding_model import DecodingModel
from medical_team.policy.policy import Policy
from medical_team.policy.rollout_path import RolloutPath, announcement, path_of
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.records import Role

EXAMPLES = {
    "llama": RolloutPath.FULL,
    "gemma3_text": RolloutPath.DRAINED,
    "lfm2": RolloutPath.DRAINED,
    "mamba": RolloutPath.DRAINED,
    "recurrent_gemma": RolloutPath.HELD,
    "rwkv": RolloutPath.HELD,
    "openai-gpt": RolloutPath.REREAD,
}


def requests_of(lengths: list[int]) -> list[RolloutRequest]:
    return [
        RolloutRequest(Speaker(Role.ASSESSOR), "fever " * (number % 3), "", length, seed=number)
        for number, length in enumerate(lengths)
    ]


@pytest.fixture(scope="module", params=sorted(EXAMPLES))
def policy(request, tmp_path_factory) -> Policy:
    folder = tmp_path_factory.mktemp("models") / request.param
    save_tiny_architecture(folder, request.param)
    return Policy(PolicyConfig(model=str(folder), device="cpu", adaptation="full"), seed=0)


def path_of_policy(policy: Policy) -> RolloutPath:
    return EXAMPLES[policy.model.config.model_type]


def test_every_architecture_but_the_fast_ones_has_an_announcement():
    for name in sorted(SHAPES):
        model = DecodingModel(tiny(name))
        said = announcement(model)
        assert (said is None) == (path_of(model) is RolloutPath.FULL), name
        assert said is None or said.startswith(model.name)


def test_a_slow_path_is_announced_once(policy):
    said: list[str] = []
    rollout = TransformersRollout(policy, RolloutConfig(batch_size=4), warn=said.append)
    for _ in range(3):
        rollout.generate(requests_of([3, 2]))
    assert len(said) == (0 if path_of_policy(policy) is RolloutPath.FULL else 1)


def test_nobody_has_to_listen_to_hear_it(policy):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        TransformersRollout(policy, RolloutConfig()).generate(requests_of([2]))
    said = [str(warning.message) for warning in caught if "policy.model" in str(warning.message)]
    assert bool(said) == (path_of_policy(policy) in (RolloutPath.HELD, RolloutPath.REREAD))


def test_the_metrics_tell_the_path_and_how_often_a_token_was_read(policy):
    rollout = TransformersRollout(policy, RolloutConfig(batch_size=4), warn=lambda text: None)
    assert rollout.take_metrics() == {}
    rollout.generate(requests_of([24] * 8))
    metrics = rollout.take_metrics()
    path = path_of_policy(policy)
    reads = metrics.pop("speed/reads_per_token")
    assert metrics == {f"rollout_path/{path}": 1.0}
    assert (reads > 5) == (path is RolloutPath.REREAD)
    assert reads < 1.5 or path is RolloutPath.REREAD
    assert rollout.take_metrics() == {}
