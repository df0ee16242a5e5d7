from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

import pytest

from medical_team.config import (
    CheckpointConfig,
    DataConfig,
    GameConfig,
    PolicyConfig,
    RewardCoefficients,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
    problems_of,
)

DEFAULTS = RunConfig()


def options(section: Any = DEFAULTS, path: str = "") -> Iterator[tuple[str, Field[Any], Any]]:
    """Every option of the configuration: its dotted name, its field, its default."""
    for item in fields(section):
        value = getattr(section, item.name)
        if is_dataclass(value):
            yield from options(value, f"{path}{item.name}.")
        else:
            yield f"{path}{item.name}", item, value


def with_option(config: Any, name: str, value: bool | float) -> Any:
    """``config`` with the option called ``name`` set to ``value``."""
    first, _, rest = name.partition(".")
    return replace(config, **{first: with_option(getattr(config, first), rest, value) if rest else value})


BOUNDED = [(name, item.metadata, value) for name, item, value in options() if item.metadata]


def test_the_defaults_have_no_problems() -> None:
    assert problems_of(DEFAULTS) == []


@pytest.mark.parametrize(("name", "bounds", "default"), BOUNDED)
def test_each_bound_holds_at_the_value_itself_and_no_further(
    name: str, bounds: Mapping[str, Any], default: float
) -> None:
    minimum, maximum, above = bounds["minimum"], bounds["maximum"], bounds["above"]
    step = 1 if isinstance(default, int) else 1e-9

    def bound_problems(value: float):
        problems = problems_of(with_option(DEFAULTS, name, value))
        return [problem for problem in problems if problem.startswith(f"{name} is ") and "expected" in problem]

    if minimum is not None:
        assert bound_problems(minimum) == []
        assert bound_problems(minimum - step) == [f"{name} is {minimum - step}, expected at least {minimum}"]
    if maximum is not None:
        assert bound_problems(maximum) == []
        assert bound_problems(maximum + step) == [f"{name} is {maximum + step}, expected at most {maximum}"]
    if above is not None:
        assert bound_problems(above + step) == []
        assert bound_problems(above) == [f"{name} is {above}, expected more than {above}"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [name for name, _, value in options() if isinstance(value, float)])
def test_no_number_may_be_infinite_or_undefined(name: str, value: float) -> None:
    assert problems_of(with_option(DEFAULTS, name, value)) == [f"{name} is {value}, expected a finite number"]


def test_a_whole_number_of_any_size_is_checked() -> None:
    huge = 10**400

    assert problems_of(with_option(DEFAULTS, "training.seed", huge)) == []
    assert problems_of(with_option(DEFAULTS, "policy.lora_rank", huge))[0].endswith("expected at most 1024")


def test_all_problems_are_told_at_once() -> None:
    config = RunConfig(
        game=GameConfig(
            max_turns=3,
            error_types=("dosage", " - "),
            no_attacker_turn=True,
            no_defender_turn=True,
            coefficients=RewardCoefficients(core=-1.0, faithful=math.nan),
        ),
        policy=PolicyConfig(lora_rank=0),
        rollout=RolloutConfig(temperature=0.0, max_prompt_tokens=1),
        training=TrainingConfig(games_per_step=2, minibatches_per_step=3, clip_epsilon=1.5, learning_rate=0.0),
        checkpoints=CheckpointConfig(save_every=0),
    )

    problems = problems_of(config)

    for expected in (
        "game.max_turns is 3, expected at most 2",
        "game.coefficients.core is -1.0, expected at least 0.0",
        "game.coefficients.faithful is nan, expected a finite number",
        "policy.lora_rank is 0, expected at least 1",
        "rollout.temperature is 0.0, expected at least 0.01",
        "rollout.max_prompt_tokens is 1, expected at least 16",
        "training.clip_epsilon is 1.5, expected at most 1.0",
        "training.learning_rate is 0.0, expected more than 0.0",
        "checkpoints.save_every is 0, expected at least 1",
        "training.minibatches_per_step is 3, more than training.games_per_step (2)",
    ):
        assert expected in problems
    text = "\n".join(problems)
    assert "game.no_attacker_turn and game.no_defender_turn together leave nobody to learn" in text
    assert "game.error_types: a name is empty" in text
    assert len(problems) == 12


def test_each_ablation_alone_is_allowed() -> None:
    for name in ("game.no_attacker_turn", "game.no_defender_turn"):
        assert problems_of(with_option(DEFAULTS, name, True)) == []


def test_as_many_minibatches_as_games_are_allowed() -> None:
    config = replace(DEFAULTS, training=TrainingConfig(games_per_step=4, minibatches_per_step=4))

    assert problems_of(config) == []


def test_a_correction_needs_room_for_a_sentence() -> None:
    game = GameConfig(assessor="correct")
    few, enough = (replace(DEFAULTS, game=game, rollout=RolloutConfig(max_verdict_tokens=count)) for count in (16, 48))

    (problem,) = problems_of(few)
    assert "rollout.max_verdict_tokens is 16, too few" in problem
    assert not problems_of(enough)


# The sections.


def test_the_learning_rate_follows_the_adaptation_unless_it_is_set() -> None:
    full = replace(DEFAULTS, policy=PolicyConfig(adaptation="full"))

    assert DEFAULTS.learning_rate == 5e-5
    assert full.learning_rate == 1e-6
    assert replace(full, training=TrainingConfig(learning_rate=3e-4)).learning_rate == 3e-4


def test_the_defaults_of_the_rewards_are_those_of_the_rules() -> None:
    assert dataclasses.astuple(RewardCoefficients()) == (1.0, 0.5, -2.0, 1.0, -1.0, 0.5, 0.0, 0.5, 0.0)
    assert (GameConfig().max_turns, GameConfig().remove_ties) == (2, True)
    assert GameConfig().reward_type == "medical_general_sum"


def test_every_section_is_frozen_and_every_option_typed() -> None:
    defaults: list[Any] = [getattr(DEFAULTS, item.name) for item in fields(DEFAULTS)]
    sections: set[Any] = {type(DEFAULTS), RewardCoefficients, *map(type, defaults)}

    for section in sections:
        assert section.__dataclass_params__.frozen
        assert typing.get_type_hints(section)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (RunConfig(data=DataConfig(train="a\0b")), r"data\.train is 'a\\x00b', expected a text without control"),
        (RunConfig(policy=PolicyConfig(model="a\x1b[31m")), r"policy\.model is .*without control characters"),
        (RunConfig(game=GameConfig(error_types=("a\n",))), r"game\.error_types is .*without control characters"),
        (RunConfig(data=DataConfig(heldout="\udcff.jsonl")), r"data\.heldout is .*, which is no UTF-8"),
    ],
)
def test_a_text_that_no_file_or_terminal_takes_is_refused(config: RunConfig, problem: str) -> None:
    (found,) = problems_of(config)

    assert re.match(problem, found)


def test_letters_of_any_script_are_taken() -> None:
    assert problems_of(RunConfig(data=DataConfig(train="läufe/中文 \U0001f600.jsonl"))) == []
