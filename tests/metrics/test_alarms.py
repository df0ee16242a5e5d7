import pytest

from medical_team.metrics.alarms import LONG, MAX_LOOKS, alarm_spans, alarms

CALM = {
    "void_share/all": 0.1,
    "void_share/vanilla_harmful": 0.0,
    "void_share/adversarial_harmful": 0.2,
    "undecidable_share/attacker": 0.1,
    "win_rate/attacker": 0.4,
    "win_rate/assessor": 0.6,
    "verdicts/harmful_share": 0.5,
    "revisions/unfaithful_win_share": 0.1,
    "revisions/copy_share": 0.0,
    "format_violations/attacker": 0.2,
    "policy/kl": 0.01,
    "rewards/core_sum": 0.0,
    "games/decided": 50.0,
    "games/void": 14.0,
    "seconds/judge": 0.9,
    "memory/gpu_share": 0.79,
    "disk/free_gib": 50.0,
    "disk/checkpoint_gib": 30.0,
    "speed/reads_per_token": 1.1,
    "rollout_path/full": 1.0,
}


def test_a_calm_run_gives_no_alarm() -> None:
    assert alarms([]) == {}
    nothing: dict[str, float] = {}
    assert alarms([nothing] * LONG) == {}
    assert alarms([CALM] * LONG) == {}


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("void", {"void_share/attacker": 0.75}, "75%.*Use a model judge"),
        ("uneven_void", {"void_share/adversarial_harmful": 0.4}, "40% of adversarial_harmful, 0% of vanilla_harmful"),
        ("one_sided", {"win_rate/assessor": 0.95}, "assessor won 95%.*learning_rate"),
        ("one_sided", {"win_rate/attacker": 0.95}, "attacker won 95%"),
        ("verdicts_alike", {"verdicts/harmful_share": 1.0}, "Harmful.*earlier checkpoint"),
        ("verdicts_alike", {"verdicts/harmful_share": 0.0}, "Safe"),
        ("unfaithful_wins", {"revisions/unfaithful_win_share": 0.6}, "60%.*unfaithful to -2"),
        ("undecidable", {"undecidable_share/attacker": 0.7}, "can't decide 70%.*model judge.*warm-start"),
        ("copies", {"revisions/copy_share": 0.6}, "rollout.temperature"),
        ("near_duplicates", {"revisions/near_duplicate_share": 0.6}, "60%.*collapsed"),
        ("format", {"format_violations/attacker": 0.9}, "attacker breaks.*game.thinking"),
        ("kl", {"policy/kl": 3.0}, r"3\.00 nats.*kl_coefficient"),
        ("not_zero_sum", {"rewards/core_sum": 2.0}, "defect"),
        ("slow_judge", {"seconds/judge": 1.5}, r"takes 1\.5 s for a batch of up to 64.*judge serve"),
        ("gpu_memory", {"memory/gpu_share": 0.83}, r"83% of the GPU's memory.*batch_size"),
        ("disk", {"disk/free_gib": 1.0}, r"1\.0 GiB are free"),
        ("slow_rollout", {"rollout_path/reread": 1.0, "speed/reads_per_token": 88.0}, "read 88 times.*another arch"),
        ("slow_rollout", {"speed/reads_per_token": 3.0}, r"3\.0 times.*please report"),
    ],
)
def test_each_sign_of_trouble_says_what_to_try(name: str, values: dict[str, float], words: str) -> None:
    import re

    found = alarms([CALM | values] * LONG)

    assert list(found) == [name]
    assert re.search(words, found[name])


def test_a_void_judge_is_told_after_the_first_step() -> None:
    assert list(alarms([{"void_share/assessor": 1.0}])) == ["void"]


def test_a_win_rate_must_stay_for_long() -> None:
    one_sided = CALM | {"win_rate/assessor": 1.0}

    assert alarms([one_sided] * (LONG - 1)) == {}
    assert "one_sided" in alarms([CALM, *[one_sided] * LONG])


def test_steps_without_a_number_do_not_count() -> None:
    assert "verdicts_alike" in alarms([{"verdicts/harmful_share": 1.0}, {}] * 5)


def evaluated_history(rewards: list[float], accuracies: list[float]) -> list[dict[str, float]]:
    """Ten steps of each reward, the last of them with an evaluation."""
    history: list[dict[str, float]] = []
    for reward, accuracy in zip(rewards, accuracies, strict=True):
        steps = [CALM | {"rewards/attacker/total": reward} for _ in range(10)]
        steps[-1] = steps[-1] | {"heldout/balanced_accuracy": accuracy}
        history += steps
    return history


def test_reward_that_rises_while_held_out_accuracy_stays_is_an_alarm() -> None:
    found = alarms(evaluated_history([-0.5, 0.0, 0.5], [0.6, 0.6, 0.61]))

    assert list(found) == ["gamed"]
    assert "attacker's reward rose by 1.00" in found["gamed"]


def test_reward_and_accuracy_that_rise_together_are_none() -> None:
    assert alarms(evaluated_history([-0.5, 0.0, 0.5], [0.6, 0.7, 0.8])) == {}
    assert alarms(evaluated_history([0.5, 0.5, 0.5], [0.6, 0.6, 0.6])) == {}
    assert alarms(evaluated_history([-0.5, 0.0, 0.5], [1.0, 1.0, 1.0])) == {}


def test_a_judge_is_timed_by_batches_of_64_games() -> None:
    step = CALM | {"games/decided": 100.0, "games/void": 28.0, "seconds/judge": 1.8}

    assert alarms([step] * LONG) == {}
    assert "slow_judge" in alarms([step | {"games/void": 0.0, "seconds/judge": 2.2}] * LONG)


def test_one_step_without_a_judge_makes_it_no_slow_one() -> None:
    assert alarms([*[CALM] * 4, CALM | {"seconds/judge": 600.0}]) == {}
    assert alarms([CALM | {"games/decided": 0.0, "games/void": 0.0, "seconds/judge": 600.0}] * LONG) == {}


def test_the_disk_must_have_room_for_the_next_checkpoint() -> None:
    assert "disk" not in alarms([CALM | {"disk/free_gib": 32.0}])
    assert "disk" in alarms([CALM | {"disk/free_gib": 31.0}])


FAR, NEAR = {"policy/kl": 5.0}, {"policy/kl": 0.0}


def test_an_alarm_is_up_from_its_first_step_to_its_last() -> None:
    [span] = alarm_spans(dict(enumerate([NEAR] * 10 + [FAR] * 10)))

    assert (span.name, span.first_step, span.last_step, span.is_up) == ("kl", 11, 19, True)
    assert "5.00 nats" in span.sentence


def test_an_alarm_that_is_over_says_so() -> None:
    [span] = alarm_spans(dict(enumerate([FAR] * 10 + [NEAR] * 20)))

    assert (span.first_step, span.last_step, span.is_up) == (4, 12, False)


def test_a_calm_run_or_none_has_no_alarm() -> None:
    assert alarm_spans({}) == []
    assert alarm_spans({0: NEAR}) == []


def test_the_last_step_of_a_long_run_is_always_looked_at() -> None:
    steps = 3 * MAX_LOOKS + 1
    [span] = alarm_spans(dict(enumerate([NEAR] * (steps - 5) + [FAR] * 5)))

    assert span.last_step == steps - 1
    assert span.is_up
