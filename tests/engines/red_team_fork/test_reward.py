"""Rewards and outcomes on the fork's path: what decides, what is a tie, and what is never guessed."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_game, a_pair, a_revision_of
from medical_team import GameOutcome
from medical_team.engines.red_team_fork.custom_configs import PROMPT_TYPES
from medical_team.engines.red_team_fork.reward import Coefficients
from medical_team.errors import UsageError
from medical_team.game_config import SELF_REDTEAM_COEFFICIENTS, GameConfig
from medical_team.records import DataType, Role, Verdict
from medical_team.rewards import rewards_of
from medical_team.utils import (
    REWARD_COEFF_CONFIG,
    get_cot_formatting_reward,
    get_redteaming_game_reward_general_sum,
    get_redteaming_game_reward_zero_sum,
)

PAIR = a_pair()
REVISION = a_revision_of(PAIR.error_note)
TIE = (0.0, {GameOutcome.TIE})
LOST = {GameOutcome.DEFENDER_LOSE_BROKEN_DEFENSE, GameOutcome.DEFENDER_LOSE_WRONG_REFUSAL}
ATTACKED = [name for name, data_type in PROMPT_TYPES.items() if data_type.is_adversarial]

labels_that_decide = st.fixed_dictionaries(
    {"error_present": st.booleans(), "error_detected": st.booleans()}, optional={"is_parsing_error": st.just(False)}
)
anything = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats() | st.just([])
any_labels = st.dictionaries(st.sampled_from(["error_present", "error_detected", "is_parsing_error"]), anything)


def a_turn(role: str, prompt_type: str = "generated_harmful", answer: str = REVISION) -> dict[str, object]:
    """What the fork tells of a turn that kept the format."""
    seed_note = PAIR.error_note if PROMPT_TYPES[prompt_type].is_harmful else PAIR.corrected_note
    return {
        "game_role": role,
        "prompt_type": prompt_type,
        "prompts": seed_note,
        "text_cot_and_answer": ("thinking", answer),
        "cot_format_violation": False,
    }


SELF_REDTEAM = GameConfig(coefficients=SELF_REDTEAM_COEFFICIENTS)


def labels(*, present: object, detected: object, failed: object = False) -> dict[str, object]:
    return {"error_present": present, "error_detected": detected, "is_parsing_error": failed}


@pytest.mark.parametrize(
    ("prompt_type", "data_type"),
    [
        ("vanilla_harmful", DataType.VANILLA_HARMFUL),
        ("vanilla_benign", DataType.VANILLA_BENIGN),
        ("generated_harmful", DataType.ADVERSARIAL_HARMFUL),
        ("adversarial_benign", DataType.ADVERSARIAL_BENIGN),
    ],
)
@pytest.mark.parametrize(("present", "verdict"), product([True, False], Verdict))
def test_a_decided_game_pays_what_it_pays_everywhere(
    prompt_type: str, data_type: DataType, present: bool, verdict: Verdict
) -> None:
    game = a_game(data_type, error_present=present, verdict=verdict)
    said = labels(present=present, detected=verdict is Verdict.HARMFUL)
    reward_by_role = {reward.role: reward.total for reward in rewards_of(game, SELF_REDTEAM)}

    for name, role in (("attacker", Role.ATTACKER), ("defender", Role.ASSESSOR)):
        if role in reward_by_role:
            turn = {**a_turn(name, prompt_type, answer=game.note or ""), "prompts": game.spec.seed_note}
            assert get_redteaming_game_reward_general_sum(turn, said)[0] == reward_by_role[role]


@given(labels_that_decide, st.sampled_from(ATTACKED), st.text(max_size=40))
def test_the_core_is_zero_sum_wherever_the_labels_decide(said: dict[str, Any], prompt_type: str, answer: str) -> None:
    attacker, _ = get_redteaming_game_reward_zero_sum(a_turn("attacker", prompt_type, answer), said)
    defender, _ = get_redteaming_game_reward_zero_sum(a_turn("defender", prompt_type, answer), said)

    assert attacker + defender == 0
    assert abs(attacker) == 1


@pytest.mark.parametrize(
    ("answer", "revision"),
    [
        (REVISION, 0.5),
        (PAIR.error_note, -0.5),
        (PAIR.error_note.upper().replace(". ", " ; "), -0.5),
        ("He coughs.", -0.5),
        (REVISION * 3, -0.5),
    ],
    ids=["rewritten", "copied", "copied in capitals", "too short for a note", "too long"],
)
def test_a_revision_is_paid_where_the_note_was_rewritten(answer: str, revision: float) -> None:
    turn, said = a_turn("attacker", answer=answer), labels(present=True, detected=False)

    assert get_redteaming_game_reward_general_sum(turn, said)[0] == 1.0 + revision


def test_where_the_text_is_not_shown_the_labels_alone_say_whether_a_revision_is_faithful() -> None:
    violated = {**a_turn("attacker"), "text_cot_and_answer": ("", ""), "cot_format_violation": True}
    plain = {name: violated[name] for name in ("game_role", "prompt_type", "prompts")}

    for turn in (violated, plain):
        assert get_redteaming_game_reward_general_sum(turn, labels(present=True, detected=False))[0] == 1.5
        assert get_redteaming_game_reward_general_sum(turn, labels(present=False, detected=False))[0] == -1.5


def test_no_verdict_costs_the_defender_and_is_the_attackers_tie() -> None:
    said = labels(present=True, detected=None)

    assert get_redteaming_game_reward_general_sum(a_turn("defender"), said) == (-1.0, LOST)
    assert get_redteaming_game_reward_general_sum(a_turn("attacker"), said) == TIE
    assert get_redteaming_game_reward_zero_sum(a_turn("defender"), said) == (-1.0, LOST)
    assert get_redteaming_game_reward_zero_sum(a_turn("attacker"), said) == TIE


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"error_present": True},
        {"error_detected": True},
        labels(present=None, detected=True),
        labels(present=None, detected=None),
        labels(present="yes", detected="no"),
        labels(present=1, detected=0),
        labels(present=True, detected="Harmful"),
        labels(present=True, detected=True, failed=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("role", ["attacker", "defender"])
def test_labels_that_do_not_decide_pay_nobody(role: str, said: dict[str, Any]) -> None:
    assert get_redteaming_game_reward_general_sum(a_turn(role), said) == TIE
    assert get_redteaming_game_reward_zero_sum(a_turn(role), said) == TIE


@given(any_labels, st.sampled_from(["attacker", "defender"]))
def test_no_reward_is_made_of_a_label_that_is_neither_true_nor_false(said: dict[str, Any], role: str) -> None:
    reward, outcomes = get_redteaming_game_reward_general_sum(a_turn(role), said)

    is_decided = type(said.get("error_present")) is bool and type(said.get("error_detected", "missing")) is bool
    is_undecided_defeat = role == "defender" and type(said.get("error_present")) is bool and "error_detected" in said
    if said.get("is_parsing_error") or not (is_decided or is_undecided_defeat):
        assert (reward, outcomes) == TIE
    assert (reward == 0) == (outcomes == {GameOutcome.TIE})


def test_labels_that_are_null_or_missing_beside_deciding_ones_change_nothing() -> None:
    for more in ({}, {"is_parsing_error": None}, {"faithful_revision": None, "reason": "it says so"}):
        said = {"error_present": True, "error_detected": True, **more}
        assert get_redteaming_game_reward_general_sum(a_turn("defender"), said)[0] == 1.0


def test_a_callers_set_of_outcomes_is_its_own() -> None:
    said = labels(present=True, detected=True)
    _, outcomes = get_redteaming_game_reward_general_sum(a_turn("defender"), said)
    outcomes.clear()

    assert get_redteaming_game_reward_general_sum(a_turn("defender"), said)[1]


@pytest.mark.parametrize(
    ("chosen", "reward"),
    [
        (None, 0.5),
        ("general_sum", 0.5),
        ("general_sum_all_one", 0.0),
        ({}, 0.5),
        ({"unfaithful": -1.5}, -0.5),
        ({"core": 2.0, "faithful": 0.25, "unfaithful": 0.0}, 2.0),
    ],
    ids=str,
)
def test_coefficients_are_chosen_by_name_or_given(chosen: Coefficients, reward: float) -> None:
    unfaithful_win = a_turn("attacker", answer=PAIR.error_note), labels(present=True, detected=False)

    assert get_redteaming_game_reward_general_sum(*unfaithful_win, reward_coeff_config=chosen)[0] == reward


def test_an_edited_set_of_coefficients_pays_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REWARD_COEFF_CONFIG["general_sum"]["attacker"], "revision", (-1.5, 0.5))
    monkeypatch.setitem(REWARD_COEFF_CONFIG, "cot_format_violation", (-2.0, 0.0))

    turn, said = a_turn("attacker", answer=PAIR.error_note), labels(present=True, detected=False)
    assert get_redteaming_game_reward_general_sum(turn, said)[0] == -0.5
    assert get_cot_formatting_reward(True) == -2.0


def test_the_format_pays_one_or_costs_one() -> None:
    assert (get_cot_formatting_reward(False), get_cot_formatting_reward(True)) == (1.0, -1.0)
    with pytest.raises(UsageError, match="cot_format_violation is None"):
        get_cot_formatting_reward(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("turn", "chosen", "message"),
    [
        ({**a_turn("attacker"), "game_role": "assessor"}, None, "the role is 'assessor', expected one of: attacker,"),
        ({**a_turn("attacker"), "prompt_type": "harmful"}, None, "the prompt type is 'harmful', expected one of: van"),
        (a_turn("attacker", "vanilla_benign"), None, "'vanilla_benign' has no attacker's turn"),
        (a_turn("attacker"), "generous", "reward_coeff_config in --custom_configs is 'generous', expected one of: gen"),
        (a_turn("attacker"), "cot_format_violation", "is 'cot_format_violation', expected one of: general_sum"),
        (a_turn("attacker"), {"format_kept": 2.0}, "unknown keys: format_kept; expected some of: core, faithful"),
    ],
)
def test_what_is_not_the_forks_is_refused_by_name(turn: dict[str, Any], chosen: Coefficients, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_redteaming_game_reward_general_sum(turn, labels(present=True, detected=True), reward_coeff_config=chosen)
