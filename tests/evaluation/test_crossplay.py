from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_record, present
from medec_builders import ScriptedRollout
from medical_team.config import GameConfig, RolloutConfig
from medical_team.evaluation.crossplay import Crossplay, crossplay, heatmap, named_games, play_all, ratings
from medical_team.evaluation.model_games import Player, game_specs
from medical_team.game.rollout import RolloutRequest
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import reference_judge
from medical_team.records import DataType, Game, Role, Ruling
from stand_ins import always

if TYPE_CHECKING:
    from numpy.typing import NDArray


RECORDS = [
    a_record(
        data_type, id=f"{number}-{data_type.value}", case_id=f"case-{number}", near_duplicate_group=f"case-{number}"
    )
    for number in range(4)
    for data_type in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)
]
SPECS = game_specs(RECORDS, 8, seed=1, is_vanilla_too=False)


def knows_all(prompt: str) -> str:
    return "Harmful" if "5000" in prompt else "Safe"


PLAYERS: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    # name: (verdict, revision)
    "expert": (knows_all, str),
    "alarmist": (always("Harmful"), always("No.")),
    "silent": (always("Hm."), str),
}


def a_player(name: str):
    verdict, revise = PLAYERS[name]

    def rule(request: RolloutRequest) -> str:
        if request.speaker.role is Role.ASSESSOR:
            return verdict(request.prompt)
        return revise(request.prompt.split("<note>\n")[1].split("\n</note>")[0])

    return Player(name, ScriptedRollout(rule), GameConfig(), RolloutConfig())


@pytest.fixture(scope="module")
def games() -> dict[tuple[str, str], list[Game]]:
    return play_all(list(PLAYERS), a_player, SPECS, reference_judge(), seed=1)


@pytest.fixture(scope="module")
def result(games: dict[tuple[str, str], list[Game]]) -> Crossplay:
    return crossplay(list(PLAYERS), games, seed=1)


def test_everybody_plays_everybody_and_oneself_on_the_same_notes(
    games: dict[tuple[str, str], list[Game]], result: Crossplay
) -> None:
    assert len(games) == len(result.cells) == 9
    seeds = {tuple(game.spec.seed_note for game in played) for played in games.values()}
    assert len(seeds) == 1


def test_the_assessor_wins_with_right_verdicts_and_loses_with_wrong_ones_and_with_none(result: Crossplay) -> None:
    wins = {cell.assessor: cell.assessor_win_rate for cell in result.cells if cell.attacker == "expert"}

    assert wins == {"expert": 1.0, "alarmist": 0.5, "silent": 0.0}


def test_an_attacker_that_gives_no_note_loses_to_everybody(result: Crossplay) -> None:
    assert [cell.assessor_win_rate for cell in result.cells if cell.attacker == "alarmist"] == [1.0, 1.0, 1.0]


def test_ratings_put_the_better_player_of_each_role_first(result: Crossplay) -> None:
    assessors = sorted(result.assessors, key=lambda name: -result.assessors[name].value)
    assert assessors == ["expert", "alarmist", "silent"]
    assert result.attackers["expert"].value > result.attackers["alarmist"].value
    interval = present(result.assessors["alarmist"].interval)
    assert interval.low <= result.assessors["alarmist"].value <= interval.high


def test_guests_attack_and_never_assess() -> None:
    games = play_all(["expert", "alarmist"], a_player, SPECS, reference_judge(), seed=1, guests=["silent"])
    result = crossplay(["expert", "alarmist"], games, seed=1, guests=["silent"])

    assert [(cell.attacker, cell.assessor) for cell in result.cells][-2:] == [
        ("silent", "expert"),
        ("silent", "alarmist"),
    ]
    assert result.cell("silent", "alarmist").assessor_win_rate == 0.5
    assert set(result.attackers) == {"expert", "alarmist", "silent"}
    assert set(result.assessors) == {"expert", "alarmist"}
    texts = [element.text for element in ElementTree.fromstring(heatmap(result)).iter()]
    assert texts.count("silent") == 1


def test_games_are_kept_under_ids_that_say_who_played(games: dict[tuple[str, str], list[Game]]) -> None:
    named = named_games(games)

    ids = [game.spec.id for game in named]
    assert len(set(ids)) == len(ids) == 9 * len(SPECS)
    assert ids[0].startswith("expert / expert / ")
    assert all(game.ruling is None or game.ruling.game_id == game.spec.id for game in named)


def test_games_that_the_judge_cannot_decide_count_for_nobody() -> None:
    class NoJudge:
        name = "none"

        def rule(self, queries: Sequence[JudgeQuery]) -> dict[str, Ruling]:
            return {}

    games = play_all(["expert", "alarmist"], a_player, SPECS, NoJudge(), seed=1)

    cell = crossplay(["expert", "alarmist"], games).cell("expert", "alarmist")
    assert (cell.assessor_win_rate, cell.interval, cell.games, cell.void) == (None, None, 0, len(SPECS))


def test_the_picture_is_well_formed_and_says_its_numbers_in_words(result: Crossplay) -> None:
    root = ElementTree.fromstring(heatmap(result))

    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert texts.count("expert") == 2
    assert "0.50" in texts
    assert (root.findtext("{http://www.w3.org/2000/svg}title") or "").startswith("How often")


def test_a_name_cannot_break_the_picture() -> None:
    games = play_all(["expert", "silent"], a_player, SPECS, reference_judge(), seed=1)
    hostile = "<script>alert(1)</script>&" * 3
    names = {"expert": hostile, "silent": "silent"}
    renamed = {(names[first], names[second]): played for (first, second), played in games.items()}

    picture = heatmap(crossplay([hostile, "silent"], renamed))

    assert "<script>" not in picture
    ElementTree.fromstring(picture)


def expected_wins(attackers: list[float], assessors: list[float], games: int = 100_000):
    odds = 10 ** ((np.array(attackers)[:, None] - np.array(assessors)[None, :]) / 400)
    return games / (1 + odds)


def test_ratings_that_made_the_games_are_found_again() -> None:
    attackers, assessors = [900.0, 1000.0, 1100.0], [1200.0, 950.0]
    wins = expected_wins(attackers, assessors)

    found_attackers, found_assessors = ratings(wins, 100_000 - wins)

    assert found_attackers == pytest.approx(attackers, abs=0.5)
    assert found_assessors == pytest.approx(assessors, abs=0.5)


def test_who_never_loses_has_a_finite_rating() -> None:
    attackers, assessors = ratings(np.array([[10.0, 0.0], [10.0, 0.0]]), np.array([[0.0, 10.0], [0.0, 10.0]]))

    assert np.isfinite([*attackers, *assessors]).all()
    assert assessors[0] > 1000 > assessors[1]
    assert attackers[0] == pytest.approx(attackers[1])


def test_without_any_game_all_are_equal() -> None:
    attackers, assessors = ratings(np.zeros((2, 3)), np.zeros((2, 3)))

    assert attackers == pytest.approx([1000, 1000])
    assert assessors == pytest.approx([1000, 1000, 1000])


def test_draws_are_fitted_each_by_itself() -> None:
    wins, losses = np.array([[8.0, 2.0], [5.0, 5.0]]), np.array([[2.0, 8.0], [5.0, 5.0]])
    alone = ratings(wins, losses)

    together = ratings(np.stack([wins, losses]), np.stack([losses, wins]))

    assert together[0][0] == pytest.approx(alone[0], abs=1e-2)
    assert together[1][0] == pytest.approx(alone[1], abs=1e-2)


counts = st.lists(st.integers(0, 20).map(float), min_size=6, max_size=6).map(lambda n: np.array(n).reshape(2, 3))


@given(counts, counts)
def test_the_mean_attacker_has_1000_and_the_order_of_players_does_not_matter(
    wins: NDArray[Any], losses: NDArray[Any]
) -> None:
    attackers, assessors = ratings(wins, losses)
    turned_attackers, turned_assessors = ratings(wins[::-1, ::-1], losses[::-1, ::-1])

    assert attackers.mean() == pytest.approx(1000)
    assert turned_attackers[::-1] == pytest.approx(attackers, abs=0.1)
    assert turned_assessors[::-1] == pytest.approx(assessors, abs=0.1)
