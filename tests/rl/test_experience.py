from dataclasses import replace

import pytest

from medical_team.config import RunConfig
from medical_team.rl.experience import self_play_learning_rate


def rates(schedule: str, steps: int) -> list[float]:
    config = RunConfig()
    training = replace(config.training, steps=steps, learning_rate=1.0, learning_rate_schedule=schedule)
    return [self_play_learning_rate(replace(config, training=training), step) for step in range(steps)]


def test_a_constant_learning_rate_stays() -> None:
    assert rates("constant", 7) == [1.0] * 7


def test_the_cosine_rises_over_three_percent_of_the_steps_and_falls_to_a_tenth() -> None:
    found = rates("cosine", 100)

    assert found[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert found[2:] == sorted(found[2:], reverse=True)
    assert found[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("steps", [1, 2, 3, 33])
def test_a_short_run_never_stands_still(steps: int) -> None:
    assert all(0.1 - 1e-9 <= rate <= 1.0 for rate in rates("cosine", steps))
