from clocks import DAY
from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RolloutConfig
from medical_team.game.rollout import REFERENCE, RolloutRequest, Speaker
from medical_team.policy.frozen import FrozenPolicy
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.records import LIVING, Role

SAMPLING = RolloutConfig(max_prompt_tokens=4096)


def reply_of(policy, version=LIVING):
    request = RolloutRequest(Speaker(Role.ASSESSOR, version), "A note.", "", max_tokens=8, seed=1, is_greedy=True)
    return TransformersRollout(policy, SAMPLING).generate([request])[0].token_ids


def test_it_says_what_the_policy_says_that_has_learnt_nothing_yet():
    frozen = FrozenPolicy(TINY_RANDOM_MODEL, day=DAY)

    assert reply_of(frozen) == reply_of(Policy(PolicyConfig(model=TINY_RANDOM_MODEL), seed=1))


def test_its_reference_is_itself():
    frozen = FrozenPolicy(TINY_RANDOM_MODEL, day=DAY)

    assert reply_of(frozen, REFERENCE) == reply_of(frozen)


def test_a_saved_adapter_is_merged_into_its_base(tmp_path):
    policy = Policy(PolicyConfig(model=TINY_RANDOM_MODEL, lora_rank=2), seed=1)
    for name, parameter in policy.trainable_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.3)
    policy.save(tmp_path / "adapter")

    adapted = reply_of(FrozenPolicy(str(tmp_path / "adapter"), day=DAY))

    assert adapted == reply_of(policy) != reply_of(FrozenPolicy(TINY_RANDOM_MODEL, day=DAY))


def test_nothing_of_it_learns():
    assert list(FrozenPolicy(TINY_RANDOM_MODEL, day=DAY).trainable_parameters()) == []
