from dataclasses import replace
from typing import Any

import pytest

from builders import a_record
from learning import LORA
from medical_team.config import RolloutConfig, RunConfig
from medical_team.errors import UsageError
from medical_team.policy.policy import Policy
from medical_team.records import DataType, TrainingRecord
from medical_team.train.preflight import check_prompts_fit

RECORDS = [a_record(DataType.VANILLA_BENIGN, id=name, note=f"{name} " * 30) for name in "abcdefgh"]
LONG = [replace(record, note="walks " * (900 + 10 * place)) for place, record in enumerate(RECORDS)]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(LORA, seed=1)


def problem_of(policy: Policy, records: list[TrainingRecord], **rollout: Any) -> str:
    options: dict[str, Any] = {"max_prompt_tokens": 1000, **rollout}
    config = RunConfig(policy=LORA, rollout=RolloutConfig(**options))
    with pytest.raises(UsageError) as caught:
        check_prompts_fit(records, policy, config)
    return str(caught.value)


def test_short_notes_fit(policy: Policy) -> None:
    check_prompts_fit(RECORDS, policy, RunConfig(policy=LORA, rollout=RolloutConfig(max_prompt_tokens=1000)))


def test_the_notes_that_are_too_long_are_named(policy: Policy) -> None:
    message = problem_of(policy, [*RECORDS[2:], *LONG[:2]])

    assert "more than rollout.max_prompt_tokens (1000)" in message
    assert message.endswith("or leave out the records b, a.")


def test_of_many_the_longest_are_named_with_their_number(policy: Policy) -> None:
    assert problem_of(policy, LONG).endswith("or leave out 8 records, the longest of which are h, g, f, e, d.")


def test_a_prompt_beyond_the_context_window_is_no_matter_of_any_limit(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "context_window", 900)

    message = problem_of(policy, [*RECORDS[1:], LONG[0]])

    assert "the context window" in message
    assert "Set it to at least" not in message
    assert "rollout." not in message
    assert message.endswith("Take another model, or leave out the record a.")


def test_where_a_shorter_reply_would_fit_its_limit_and_a_value_that_does_are_named(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "context_window", 900)
    longest = int(problem_of(policy, [LONG[0]]).partition("the longest prompt (")[2].partition(" ")[0])
    monkeypatch.setattr(policy, "context_window", longest + 100)

    message = problem_of(policy, [*RECORDS[1:], LONG[0]], max_revision_tokens=900, max_verdict_tokens=8)

    assert "Lower rollout.max_revision_tokens to at most 100, take another model" in message
    shorter = RolloutConfig(max_prompt_tokens=longest, max_revision_tokens=100, max_verdict_tokens=8)
    check_prompts_fit([*RECORDS[1:], LONG[0]], policy, RunConfig(policy=LORA, rollout=shorter))
