from dataclasses import replace

import pytest

from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RolloutConfig
from medical_team.errors import PolicyError, VllmUnavailableError
from medical_team.policy import vllm_room
from medical_team.policy.policy import Policy
from medical_team.policy.rollout_engines import choose_engine
from medical_team.policy.transformers_rollout import TransformersRollout
from stand_ins import always

CONFIG = RolloutConfig()


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(PolicyConfig(model=TINY_RANDOM_MODEL, device="cpu", lora_rank=4), seed=1)


@pytest.mark.parametrize("engine", ["auto", "transformers"])
def test_on_a_cpu_the_built_in_engine_draws(policy: Policy, engine: str) -> None:
    chosen = choose_engine(policy, replace(CONFIG, engine=engine))

    assert isinstance(chosen.rollout, TransformersRollout)
    assert "built-in engine" in chosen.reason
    assert (chosen.config.engine, chosen.config.correction) == ("transformers", "none")


def test_vllm_that_is_not_installed_is_told_how_to_get(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_room, "find_spec", always(None))
    with pytest.raises(VllmUnavailableError, match=r"make vllm.*medical-team\[vllm\]"):
        choose_engine(policy, replace(CONFIG, engine="vllm"))


def test_a_precision_of_its_own_is_for_vllm(policy: Policy) -> None:
    with pytest.raises(PolicyError, match=r"rollout\.precision is bf16"):
        choose_engine(policy, replace(CONFIG, precision="bf16"))
