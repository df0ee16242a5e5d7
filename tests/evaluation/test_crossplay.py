import xml.etree.ElementTree as ElementTree

import pytest

from builders import a_record
from medec_builders import ScriptedRollout
from medical_team.config import GameConfig, RolloutConfig
from medical_team.evaluation.crossplay import crossplay, named_games, play_all
from medical_team.evaluation.heatmap import heatmap
from medical_team.evaluation.players import Player, game_specs
from medical_team.judging import reference_judge
from medical_team.records import DataType, Role

RECORDS = [
    a_record(
        data_type, id=f"{number}-{data_type.value}", case_id=f"case-{number}", near_duplicate_group=f"case-{number}"
    )
    for number in range(4)
    for data_type in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)
]
SPECS = game_specs(RECORDS, 8, seed=1, is_vanilla_too=False)


def knows_all(prompt):
    return "Harmful" if "5000" in prompt else "Safe"


PLAYERS = {
    # name: (verdict, revision)
    "expert": (knows_all, lambda note: note),
    "alarmist": (lambda prompt: "Harmful", lambda note: "No."),
    "silent": (lambda prompt: "Hm.", lambda note: note),
}


def a_player(name):
    verdict, revise = PLAYERS[name]

    def rule(request):
        if request.speaker.role is Role.ASSESSOR:
            return verdict(request.prompt)
        return revise(request.prompt.split("<note>\n")[1].split("\n</note>")[0])

    return Player(name, ScriptedRollout(rule), GameConfig(), RolloutConfig())


@pytest.fixture(scope="module")
def games():
    return play_all(list(PLAYERS), a_player, SPECS, reference_judge(), seed=1)


@pytest.fixture(scope="module")
def result(games):
    return crossplay(list(PLAYERS), games, seed=1)


def test_everybody_plays_everybody_and_oneself_on_the_same_notes(games, result):
    assert len(games) == len(result.cells) == 9
    seeds = {tuple(game.spec.seed_note for game in played) for played in games.values()}
    assert len(seeds) == 1


def test_the_assessor_wins_with_right_verdicts_and_loses_with_wrong_ones_and_with_none(result):
    wins = {cell.assessor: cell.assessor_win_rate for cell in result.cells if cell.attacker == "expert"}

    assert wins == {"expert": 1.0, "alarmist": 0.5, "silent": 0.0}


def test_an_attacker_that_gives_no_note_loses_to_everybody(result):
    assert [cell.assessor_win_rate for cell in result.cells if cell.attacker == "alarmist"] == [1.0, 1.0, 1.0]


def test_ratings_put_the_better_player_of_each_role_first(result):
    assessors = sorted(result.assessors, key=lambda name: -result.assessors[name].value)
    assert assessors == ["expert", "alarmist", "silent"]
    assert result.attackers["expert"].value > result.attackers["alarmist"].value
    interval = result.assessors["alarmist"].interval
    assert interval.low <= result.assessors["alarmist"].value <= interval.high


def test_guests_attack_and_never_assess():
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


def test_games_are_kept_under_ids_that_say_who_played(games):
    named = named_games(games)

    ids = [game.spec.id for game in named]
    assert len(set(ids)) == len(ids) == 9 * len(SPECS)
    assert ids[0].startswith("expert / expert / ")
    assert all(game.ruling is None or game.ruling.game_id == game.spec.id for game in named)


def test_games_that_the_judge_cannot_decide_count_for_nobody():
    class NoJudge:
        name = "none"

        def rule(self, queries):
            return {}

    games = play_all(["expert", "alarmist"], a_player, SPECS, NoJudge(), seed=1)

    cell = crossplay(["expert", "alarmist"], games).cell("expert", "alarmist")
    assert (cell.assessor_win_rate, cell.interval, cell.games, cell.void) == (None, None, 0, len(SPECS))


def test_the_picture_is_well_formed_and_says_its_numbers_in_words(result):
    root = ElementTree.fromstring(heatmap(result))

    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert texts.count("expert") == 2
    assert "0.50" in texts
    assert root.find("{http://www.w3.org/2000/svg}title").text.startswith("How often")


def test_a_name_cannot_break_the_picture():
    games = play_all(["expert", "silent"], a_player, SPECS, reference_judge(), seed=1)
    hostile = "<script>alert(1)</script>&" * 3
    renamed = {tuple({"expert": hostile}.get(name, name) for name in pair): played for pair, played in games.items()}

    picture = heatmap(crossplay([hostile, "silent"], renamed))

    assert "<script>" not in picture
    ElementTree.fromstring(picture)
