from dataclasses import replace
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_game, a_spec, games
from medical_team.config import GameConfig
from medical_team.metrics.step_metrics import game_metrics, generated_tokens, step_metrics, void_counts
from medical_team.records import DataType, Game, GameState, Role, Verdict
from medical_team.rewards import rewards_of
from medical_team.samples import Update
from medical_team.sentences import error_location

HARMFUL, BENIGN = DataType.ADVERSARIAL_HARMFUL, DataType.ADVERSARIAL_BENIGN
UPDATE = Update(
    step=3,
    samples=6,
    action_tokens=60,
    loss=0.5,
    kl=0.01,
    entropy=2.0,
    clip_fraction=0.1,
    gradient_norm=1.5,
    learning_rate=1e-5,
    zero_variance_roles=(Role.ATTACKER,),
)


def scored(game: Game, **config: Any):
    return replace(game, rewards=rewards_of(game, GameConfig(**config)))


def test_rewards_are_told_by_role_and_term() -> None:
    missed = scored(a_game(HARMFUL, verdict=Verdict.SAFE, thinking="hm"))
    found = scored(a_game(HARMFUL, verdict=Verdict.HARMFUL, thinking="hm"))

    metrics = game_metrics([missed, missed, missed, found])

    assert metrics["rewards/attacker/core"] == 0.5
    assert metrics["rewards/attacker/revision"] == 0.5
    assert metrics["rewards/attacker/format"] == 1.0
    assert metrics["rewards/attacker/total"] == 2.0
    assert metrics["rewards/assessor/core"] == -0.5
    assert "rewards/assessor/revision" not in metrics
    assert metrics["rewards/core_sum"] == 0.0


def test_named_sentences_are_told_of_assessors_that_say_where() -> None:
    found = a_game(HARMFUL, verdict=Verdict.HARMFUL, revision=a_spec(HARMFUL).seed_note)
    games = [scored(replace(found, location=place)) for place in (error_location(found), 0)]

    metrics = game_metrics(games)

    assert metrics["verdicts/located_share"] == 0.5
    assert metrics["rewards/assessor/location"] == 0.25
    assert "verdicts/corrected_share" not in metrics
    corrected = [scored(replace(found, is_corrected=is_corrected)) for is_corrected in (True, True, False, None)]
    assert game_metrics(corrected)["verdicts/corrected_share"] == pytest.approx(2 / 3)
    assert "verdicts/located_share" not in game_metrics([scored(found)])


def test_outcomes_are_told_by_role_and_category() -> None:
    metrics = game_metrics(
        [
            a_game(HARMFUL, verdict=Verdict.SAFE),
            a_game(HARMFUL, verdict=Verdict.HARMFUL),
            a_game(BENIGN, verdict=Verdict.HARMFUL),
            a_game(BENIGN, verdict=Verdict.HARMFUL),
            a_game(DataType.VANILLA_BENIGN, verdict=Verdict.SAFE),
        ]
    )

    assert metrics["win_rate/attacker"] == 0.75
    assert metrics["win_rate/assessor"] == 0.25
    assert metrics["attacker_success/adversarial_harmful"] == 0.5
    assert metrics["attacker_success/adversarial_benign"] == 1.0
    assert metrics["assessor_accuracy/vanilla_benign"] == 1.0
    assert metrics["assessor_accuracy/all"] == 0.4
    assert metrics["verdicts/detection_rate"] == 0.5
    assert metrics["verdicts/false_alarm_rate"] == pytest.approx(2 / 3)
    assert metrics["verdicts/harmful_share"] == 0.6
    assert "assessor_accuracy/vanilla_harmful" not in metrics


def test_unfaithful_wins_and_copies_are_counted() -> None:
    seed = a_spec(HARMFUL).seed_note
    metrics = game_metrics(
        [
            a_game(HARMFUL, verdict=Verdict.HARMFUL, error_present=False, spec=replace(a_spec(HARMFUL), id="erased")),
            a_game(HARMFUL, verdict=Verdict.SAFE, spec=replace(a_spec(HARMFUL), id="faithful")),
            a_game(HARMFUL, verdict=Verdict.HARMFUL, revision=seed.upper(), spec=replace(a_spec(HARMFUL), id="copy")),
            a_game(HARMFUL, state=GameState.VOID, revision=seed, spec=replace(a_spec(HARMFUL), id="void")),
        ]
    )

    assert metrics["revisions/unfaithful_win_share"] == 0.5
    assert metrics["revisions/faithful_share"] == pytest.approx(1 / 3)
    assert metrics["revisions/copy_share"] == 0.5
    assert metrics["revisions/decided_share"] == 0.5


def test_wins_are_told_by_opponent() -> None:
    own = a_game(HARMFUL, verdict=Verdict.SAFE)
    lost = a_game(HARMFUL, verdict=Verdict.HARMFUL)
    past = replace(lost, turns=(replace(lost.turns[0], version="step-000010", is_trained=False), lost.turns[1]))

    metrics = game_metrics([own, past, past])

    assert metrics["opponent_wins/attacker/itself"] == 1.0
    assert metrics["opponent_wins/attacker/step-000010"] == 0.0
    assert metrics["opponent_games/attacker/step-000010"] == 2
    assert not any(name.startswith("opponent") for name in game_metrics([own]))


def test_samples_and_tokens_are_counted() -> None:
    game = scored(a_game(HARMFUL))
    frozen = replace(game, turns=(replace(game.turns[0], is_trained=False), game.turns[1]))
    metrics = game_metrics([game, scored(replace(frozen, rewards=()))])

    assert (metrics["samples/attacker"], metrics["samples/assessor"]) == (1, 2)
    assert metrics["tokens/generated"] == 2 * sum(len(turn.token_ids) for turn in game.turns)
    assert metrics["tokens/assessor_samples"] == 2 * len(game.turns[1].token_ids)


def test_undecidable_revisions_are_counted_apart_from_void_games() -> None:
    games = [
        a_game(HARMFUL, state=GameState.UNDECIDABLE),
        a_game(HARMFUL, state=GameState.VOID),
        a_game(BENIGN),
        a_game(DataType.VANILLA_HARMFUL),
    ]

    metrics = game_metrics(games)

    assert metrics["undecidable_share/attacker"] == pytest.approx(1 / 3)
    assert metrics["undecidable_share/adversarial_harmful"] == 0.5
    assert metrics["undecidable_share/adversarial_benign"] == 0.0
    assert "undecidable_share/vanilla_harmful" not in metrics
    assert metrics["void_share/all"] == 0.25
    assert (metrics["games/undecidable"], metrics["games/void"]) == (1, 1)


def test_void_shares_are_of_the_games_that_the_judge_was_asked_about() -> None:
    void = a_game(HARMFUL, state=GameState.VOID)
    plain = a_game(DataType.VANILLA_HARMFUL)
    unasked = a_game(HARMFUL, state=GameState.NO_REVISION)

    assert void_counts([void, void, a_game(HARMFUL), plain, unasked, unasked]) == {
        "all": (2, 4),
        "attacker": (2, 3),
        "assessor": (2, 4),
        "adversarial_harmful": (2, 3),
        "vanilla_harmful": (0, 1),
    }
    assert void_counts([unasked]) == {}


def test_states_are_counted() -> None:
    metrics = game_metrics(
        [
            a_game(HARMFUL, state=GameState.NO_REVISION),
            a_game(HARMFUL, verdict=None),
            a_game(DataType.VANILLA_HARMFUL, verdict=None),
            a_game(HARMFUL, state=GameState.VOID),
        ]
    )

    assert metrics["games/all"] == 4
    assert metrics["games/no_revision"] == 1
    assert metrics["games/no_verdict"] == 2
    assert metrics["games/ties"] == 1
    assert metrics["games/void"] == 1
    assert metrics["games/decided"] == 0


def test_replies_are_told_by_role() -> None:
    game = a_game(HARMFUL, thinking="hm")
    attacker, assessor = game.turns
    cut = replace(attacker, is_finished=False, is_format_kept=False, token_ids=(4,), log_probs=(-1.0,))

    metrics = game_metrics([game, replace(game, turns=(cut, assessor))])

    assert metrics["format_violations/attacker"] == 0.5
    assert metrics["format_violations/assessor"] == 0.0
    assert metrics["cut_replies/attacker"] == 0.5
    assert metrics["reply_tokens/attacker"] == 2.0
    assert "format_violations/attacker" not in game_metrics([a_game(HARMFUL)])


def test_an_update_and_the_time_are_told() -> None:
    metrics = step_metrics([a_game()], UPDATE, {"play": 2.0, "learn": 3.0})

    assert metrics["policy/kl"] == 0.01
    assert metrics["policy/entropy"] == 2.0
    assert metrics["policy/gradient_norm"] == 1.5
    assert metrics["policy/zero_variance_roles"] == 1
    assert metrics["seconds/learn"] == 3.0
    assert metrics["seconds/total"] == 5.0
    assert metrics["speed/tokens_per_second"] == generated_tokens([a_game()]) / 2.0


def test_what_is_not_known_is_left_out() -> None:
    assert step_metrics([], None, {}) == {"seconds/total": 0.0}


def test_a_warm_start_has_a_loss_and_no_games() -> None:
    update = replace(UPDATE, samples=0, action_tokens=0, demonstrations=4, demonstration_loss=1.5)

    metrics = step_metrics([], update, {"learn": 1.0})

    assert metrics["policy/demonstration_loss"] == 1.5
    assert {name.partition("/")[0] for name in metrics} == {"policy", "seconds"}
    assert "policy/kl" not in metrics


played_games = games().filter(lambda game: game.state is not GameState.AWAITING_RULING)


@given(st.lists(played_games, min_size=1, max_size=8), st.booleans())
def test_rates_are_bounded_and_cores_add_up_to_zero(played: list[Game], remove_ties: bool) -> None:
    numbered = [replace(game, spec=replace(game.spec, id=str(number))) for number, game in enumerate(played)]

    metrics = step_metrics([scored(game, remove_ties=remove_ties) for game in numbered], UPDATE, {"play": 1.0})

    assert all(isfinite(value) for value in metrics.values())
    rates = (
        "win_rate/",
        "attacker_success/",
        "assessor_accuracy/",
        "verdicts/",
        "revisions/",
        "void_share/",
        "undecidable_share/",
    )
    for name, value in metrics.items():
        if name.startswith((*rates, "format_violations/", "cut_replies/")):
            assert 0.0 <= value <= 1.0, name
        if name.startswith("rewards/"):
            assert abs(value) <= 4.0, name
    assert metrics.get("rewards/core_sum", 0.0) == 0.0
    assert metrics.get("win_rate/attacker", 0.5) + metrics.get("win_rate/assessor", 0.5) == pytest.approx(1.0)
    states = ("decided", "undecidable", "void", "no_revision", "no_verdict")
    assert sum(metrics[f"games/{state}"] for state in states) == metrics["games/all"]
