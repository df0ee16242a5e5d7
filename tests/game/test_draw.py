from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_record
from medical_team.config import GameConfig
from medical_team.errors import UsageError
from medical_team.game.draw import GameDraw
from medical_team.records import DataType


def records_of(counts: dict[DataType, int]):
    return [
        a_record(data_type, id=f"{data_type.value}-{number}")
        for data_type, count in counts.items()
        for number in range(count)
    ]


BALANCED = records_of(dict.fromkeys(DataType, 6))


def test_a_step_can_be_drawn_again_alone() -> None:
    in_order = [GameDraw(BALANCED, GameConfig(), games_per_step=5, seed=1).specs(step) for step in range(12)]

    assert GameDraw(BALANCED, GameConfig(), games_per_step=5, seed=1).specs(11) == in_order[11]
    assert GameDraw(BALANCED, GameConfig(), games_per_step=5, seed=2).specs(11) != in_order[11]


def test_every_record_is_played_once_an_epoch_and_the_last_batch_wraps() -> None:
    draw = GameDraw(BALANCED, GameConfig(), games_per_step=5, seed=1)
    played = [spec.record_id for step in range(24) for spec in draw.specs(step)]

    for epoch in range(5):
        assert sorted(played[24 * epoch : 24 * (epoch + 1)]) == sorted(record.id for record in BALANCED)
    assert played[:24] != played[24:48]


def test_every_batch_holds_the_categories_in_their_shares() -> None:
    draw = GameDraw(BALANCED, GameConfig(), games_per_step=8, seed=3)

    for step in range(6):
        assert Counter(spec.data_type for spec in draw.specs(step)) == dict.fromkeys(DataType, 2)


def test_game_ids_are_unique_in_a_run() -> None:
    draw = GameDraw(BALANCED, GameConfig(), games_per_step=8, seed=3)
    ids = [spec.id for step in range(50) for spec in draw.specs(step)]

    assert len(set(ids)) == len(ids)


def test_games_in_the_place_of_others_are_of_all_categories_whichever_place_it_is() -> None:
    draw = GameDraw(BALANCED, GameConfig(), games_per_step=8, seed=3)
    # Places that are a multiple of the number of categories apart, as those of games of one category are.
    first_drawn = Counter(
        draw.replacements(step, 8 + 8 * place, 8)[0].data_type for step in range(50) for place in range(8)
    )

    assert all(80 <= first_drawn[data_type] <= 120 for data_type in DataType)


def test_games_in_the_place_of_others_can_be_drawn_again() -> None:
    draw = GameDraw(BALANCED, GameConfig(), games_per_step=8, seed=3)
    drawn = draw.replacements(5, 16, 8)

    assert drawn == GameDraw(BALANCED, GameConfig(), games_per_step=8, seed=3).replacements(5, 16, 8)
    assert [spec.id for spec in drawn] == [f"step-000005-game-{number:04d}" for number in range(16, 24)]
    assert [spec.record_id for spec in drawn] != [spec.record_id for spec in draw.replacements(6, 16, 8)]


def test_without_an_attacker_every_game_is_vanilla() -> None:
    draw = GameDraw(BALANCED, GameConfig(no_attacker_turn=True), games_per_step=24, seed=3)
    specs = draw.specs(0)

    assert Counter(spec.data_type for spec in specs) == {DataType.VANILLA_HARMFUL: 12, DataType.VANILLA_BENIGN: 12}
    by_id = {record.id: record for record in BALANCED}
    assert all(spec.data_type.is_harmful == by_id[spec.record_id].data_type.is_harmful for spec in specs)


def test_without_an_assessor_to_train_vanilla_records_are_skipped() -> None:
    draw = GameDraw(BALANCED, GameConfig(no_defender_turn=True), games_per_step=12, seed=3)

    assert [spec.data_type.is_adversarial for spec in draw.specs(0)] == [True] * 12


def test_data_with_nothing_to_play_is_refused() -> None:
    vanilla_only = records_of({DataType.VANILLA_HARMFUL: 2})

    with pytest.raises(UsageError, match="no_defender_turn"):
        GameDraw(vanilla_only, GameConfig(no_defender_turn=True), games_per_step=2, seed=0)


@given(
    counts=st.fixed_dictionaries({data_type: st.integers(0, 9) for data_type in DataType}).filter(
        lambda counts: any(counts.values())
    ),
    games_per_step=st.integers(1, 17),
    seed=st.integers(0, 2**40),
)
def test_an_epoch_is_a_permutation_whatever_the_shares(
    counts: dict[DataType, int], games_per_step: int, seed: int
) -> None:
    records = records_of(counts)
    draw = GameDraw(records, GameConfig(), games_per_step=games_per_step, seed=seed)
    steps = -(-len(records) // games_per_step)
    played = [spec.record_id for step in range(steps) for spec in draw.specs(step)]

    assert sorted(played[: len(records)]) == sorted(record.id for record in records)
