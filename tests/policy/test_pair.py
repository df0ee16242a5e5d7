from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chat_templates import DAY
from learning import FULL, LORA, drawn_samples, weights_of
from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RolloutConfig
from medical_team.errors import PolicyError
from medical_team.game.rollout import REFERENCE, Reply, RolloutRequest, Speaker
from medical_team.policy.pair import FrozenPolicy, Policies, load_policies
from medical_team.policy.policy import Policy
from medical_team.policy.rollout_engines import speaking_policies
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.records import LIVING, Role

ATTACKER, ASSESSOR = Role.ATTACKER, Role.ASSESSOR
ADAPTATIONS = pytest.mark.parametrize("config", [LORA, FULL], ids=["lora", "full"])


def a_pair(config: PolicyConfig) -> Policies:
    return load_policies(replace(config, roles="separate"), seed=1)


def said(policies: Policies, role: Role, version: str = LIVING) -> tuple[int, ...]:
    request = RolloutRequest(Speaker(role, version), "the note", "", max_tokens=12, seed=3)
    (reply,) = TransformersRollout(policies, RolloutConfig(temperature=1.0)).generate([request])
    assert isinstance(reply, Reply)
    return reply.token_ids


def taught(policies: Policies, role: Role) -> None:
    """The role's policy, changed so that it says something else."""
    torch.default_generator.manual_seed(5)
    for _, weights in policies.policy_of(role).trainable_parameters():
        weights.data += 0.3 * torch.randn_like(weights)


@ADAPTATIONS
def test_what_one_role_learns_changes_neither_the_other_nor_the_reference(config: PolicyConfig) -> None:
    pair = a_pair(config)
    before = {(role, version): said(pair, role, version) for role in Role for version in (LIVING, REFERENCE)}
    assert len(set(before.values())) == 1

    taught(pair, ATTACKER)

    after = {key: said(pair, *key) for key in before}
    assert after[ATTACKER, LIVING] != before[ATTACKER, LIVING]
    del after[ATTACKER, LIVING], before[ATTACKER, LIVING]
    assert after == before


def test_adapters_stand_on_one_base() -> None:
    pair = a_pair(LORA)
    attacker, assessor = pair.policy_of(ATTACKER), pair.policy_of(ASSESSOR)

    assert attacker.model is assessor.model
    names = [set(weights_of(policy)) for policy in (attacker, assessor)]
    assert names[0].isdisjoint(names[1])
    assert len(names[0]) == len(names[1]) > 0


def test_full_weights_share_their_reference_alone() -> None:
    pair = a_pair(FULL)
    attacker, assessor = pair.policy_of(ATTACKER), pair.policy_of(ASSESSOR)
    with attacker.inference_context(REFERENCE) as one, assessor.inference_context(REFERENCE) as other:
        assert one is other
    assert attacker.model is not assessor.model


@ADAPTATIONS
def test_requests_of_both_roles_and_versions_in_one_call_get_their_own_speakers(config: PolicyConfig) -> None:
    pair = a_pair(config)
    taught(pair, ATTACKER)
    speakers = [Speaker(ASSESSOR), Speaker(ATTACKER), Speaker(ASSESSOR, REFERENCE), Speaker(ATTACKER)]
    requests = [RolloutRequest(speaker, "the note", "", max_tokens=12, seed=3) for speaker in speakers]

    replies = TransformersRollout(pair, RolloutConfig(temperature=1.0)).generate(requests)

    drawn = [reply.token_ids for reply in replies if isinstance(reply, Reply)]
    assert drawn == [said(pair, speaker.role, speaker.version) for speaker in speakers]
    assert drawn[0] == drawn[2] != drawn[1] == drawn[3]


def test_a_pair_on_disk_is_its_assessor_with_the_attacker_inside(tmp_path: Path) -> None:
    pair = a_pair(FULL)
    taught(pair, ATTACKER)
    pair.policy_of(ASSESSOR).save(tmp_path)
    pair.policy_of(ATTACKER).save(tmp_path / "attacker")

    frozen = speaking_policies(str(tmp_path), day=DAY)
    alone = speaking_policies(str(tmp_path / "attacker"), day=DAY)

    assert said(frozen, ASSESSOR) == said(pair, ASSESSOR)
    assert said(frozen, ATTACKER) == said(alone, ATTACKER) == said(pair, ATTACKER) != said(pair, ASSESSOR)


def test_full_weights_go_on_from_a_pair_and_adapters_cannot(tmp_path: Path) -> None:
    pair = a_pair(FULL)
    taught(pair, ATTACKER)
    pair.policy_of(ASSESSOR).save(tmp_path)
    pair.policy_of(ATTACKER).save(tmp_path / "attacker")

    again = a_pair(replace(FULL, model=str(tmp_path)))

    assert [said(again, role, REFERENCE) for role in Role] == [said(pair, role) for role in Role]
    with pytest.raises(PolicyError, match="two adapters need one base"):
        a_pair(replace(LORA, model=str(tmp_path)))


def test_a_shared_policy_plays_both_roles() -> None:
    shared = load_policies(LORA, seed=1)
    assert shared.policy_of(ATTACKER) is shared.policy_of(ASSESSOR)


@ADAPTATIONS
def test_past_selves_speak_as_they_did(config: PolicyConfig, tmp_path: Path) -> None:
    policy = load_policies(config, seed=1).policy_of(ASSESSOR)
    taught(policy, ASSESSOR)
    then = said(policy, ASSESSOR)
    policy.save(tmp_path / "past")
    taught(policy, ASSESSOR)
    now = said(policy, ASSESSOR)

    policy.add_past_version("step-000010", tmp_path / "past")

    assert said(policy, ASSESSOR, "step-000010") == then != now == said(policy, ASSESSOR)
    assert set(weights_of(policy)) == set(weights_of(load_policies(config, seed=1).policy_of(ASSESSOR)))
    policy.drop_past_version("step-000010")
    with pytest.raises(PolicyError, match="no version 'step-000010'"):
        said(policy, ASSESSOR, "step-000010")


def test_a_past_self_takes_the_memory_of_an_adapter(tmp_path: Path) -> None:
    policy = load_policies(LORA, seed=1).policy_of(ASSESSOR)
    drawn_samples(policy, count=1)
    policy.save(tmp_path)
    before = sum(weights.numel() for weights in policy.model.parameters())

    policy.add_past_version("step-000010", tmp_path)

    added = sum(weights.numel() for weights in policy.model.parameters()) - before
    assert added == sum(weights.numel() for weights in weights_of(policy).values())


SAMPLING = RolloutConfig(max_prompt_tokens=4096)


def reply_of(policy: FrozenPolicy | Policy, version: str = LIVING):
    request = RolloutRequest(Speaker(Role.ASSESSOR, version), "A note.", "", max_tokens=8, seed=1, is_greedy=True)
    (reply,) = TransformersRollout(policy, SAMPLING).generate([request])
    assert isinstance(reply, Reply)
    return reply.token_ids


def test_it_says_what_the_policy_says_that_has_learnt_nothing_yet() -> None:
    frozen = FrozenPolicy(TINY_RANDOM_MODEL, day=DAY)

    assert reply_of(frozen) == reply_of(Policy(PolicyConfig(model=TINY_RANDOM_MODEL), seed=1))


def test_its_reference_is_itself() -> None:
    frozen = FrozenPolicy(TINY_RANDOM_MODEL, day=DAY)

    assert reply_of(frozen, REFERENCE) == reply_of(frozen)


def test_a_saved_adapter_is_merged_into_its_base(tmp_path: Path) -> None:
    policy = Policy(PolicyConfig(model=TINY_RANDOM_MODEL, lora_rank=2), seed=1)
    for name, parameter in policy.trainable_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.3)
    policy.save(tmp_path / "adapter")

    adapted = reply_of(FrozenPolicy(str(tmp_path / "adapter"), day=DAY))

    assert adapted == reply_of(policy) != reply_of(FrozenPolicy(TINY_RANDOM_MODEL, day=DAY))


def test_nothing_of_it_learns() -> None:
    assert list(FrozenPolicy(TINY_RANDOM_MODEL, day=DAY).trainable_parameters()) == []
