from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import a_game, a_pair, a_record, a_revision_of, a_spec, present
from command_lines import killed_while_writing
from medec_builders import ScriptedRollout
from medical_team.config import GameConfig, RolloutConfig
from medical_team.errors import RunFolderError, UsageError
from medical_team.evaluation.folders import PlayedSoFar
from medical_team.evaluation.game_metrics import assessor_figures, attacker_figures
from medical_team.evaluation.model_games import Player, game_specs, play_model_games
from medical_team.game.rollout import RolloutRequest
from medical_team.judging import reference_judge
from medical_team.metrics.statistics import Figure
from medical_team.records import DataType, GameState, Role, Verdict
from medical_team.runs.lock import exclusive_lock

RECORDS = [
    a_record(
        data_type, id=f"{number}-{data_type.value}", case_id=f"case-{number}", near_duplicate_group=f"case-{number}"
    )
    for number in range(4)
    for data_type in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)
]


def values(figures: dict[str, Figure]):
    return {name: figure.value for name, figure in figures.items()}


def a_player(verdict: Callable[[str], str], revise: Callable[[str], str] = a_revision_of, label: str = "player"):
    def rule(request: RolloutRequest) -> str:
        if request.speaker.role is Role.ASSESSOR:
            return verdict(request.prompt)
        note = request.prompt.split("<note>\n")[1].split("\n</note>")[0]
        return revise(note)

    return Player(label, ScriptedRollout(rule), GameConfig(), RolloutConfig())


def requests_to(player: Player):
    assert isinstance(player.rollout, ScriptedRollout)
    return player.rollout.requests


def says_harmful(prompt: str) -> str:
    return "Harmful"


def says_the_truth(prompt: str) -> str:
    return "Harmful" if "5000" in prompt else "Safe"


def test_each_category_has_its_share_and_every_model_plays_the_same_games() -> None:
    specs = game_specs(RECORDS, 16, seed=1)

    assert [spec.data_type for spec in specs] == [category for category in DataType for _ in range(4)]
    assert all(("5000" in spec.seed_note) == spec.data_type.is_harmful for spec in specs)
    assert specs == game_specs(RECORDS, 16, seed=1)
    assert len({spec.id for spec in specs}) == 16


def test_no_more_games_than_notes_and_none_at_all_is_an_error() -> None:
    assert len(game_specs(RECORDS, 999, seed=1)) == 16
    with pytest.raises(UsageError, match="--games 3 of 8 records leaves no game"):
        game_specs(RECORDS, 3, seed=1)


def test_a_model_against_itself_assesses_greedily_and_attacks_at_its_temperature() -> None:
    player = a_player(says_the_truth)

    result = play_model_games(game_specs(RECORDS, 16, seed=1), player, None, reference_judge(), seed=1)

    greedy = {request.speaker.role: request.is_greedy for request in requests_to(player)}
    assert greedy == {Role.ATTACKER: False, Role.ASSESSOR: True}
    assert result.figures["assessor_accuracy"].value == 1.0
    assert all(game.spec.id.startswith("self-") for game in result.games)
    assert all(game.ruling is None or game.ruling.game_id == game.spec.id for game in result.games)


def test_against_an_opponent_each_role_is_measured_on_its_own_games() -> None:
    good = a_player(says_the_truth, revise=lambda note: note, label="good")
    alarmist = a_player(says_harmful, revise=lambda note: f"Truly. {note}", label="alarmist")

    result = play_model_games(game_specs(RECORDS, 16, seed=1), good, alarmist, reference_judge(), seed=1)

    assert result.figures["assessor_accuracy"].value == 1.0
    assert result.figures["copy_rate"].value == 1.0
    assert result.figures["attacker_success_rate/adversarial_benign"].value == 1.0
    assert {game.spec.id.split("-")[0] for game in result.games} == {"assess", "attack"}
    assert {request.speaker.role for request in requests_to(good)} == {Role.ASSESSOR, Role.ATTACKER}


def game_of(number: int, data_type: DataType, **options: Any):
    pair = a_pair(case_id=f"case-{number}", near_duplicate_group=f"case-{number}")
    return a_game(data_type, spec=a_spec(data_type, id=f"game-{number}", pair=pair), **options)


def test_a_game_without_a_verdict_counts_against_the_assessor_and_a_void_one_for_nobody() -> None:
    games = [
        game_of(0, DataType.VANILLA_HARMFUL, verdict=Verdict.HARMFUL),
        game_of(1, DataType.VANILLA_HARMFUL, verdict=None),
        game_of(2, DataType.VANILLA_BENIGN, verdict=Verdict.HARMFUL),
        game_of(3, DataType.VANILLA_BENIGN, verdict=None),
        game_of(4, DataType.ADVERSARIAL_BENIGN, state=GameState.VOID),
    ]

    figures = values(assessor_figures(games, seed=1))

    assert figures["assessor_accuracy"] == 0.25
    assert figures["detection_rate"] == 0.5
    assert figures["false_alarm_rate"] == 0.5
    assert figures["no_verdict_rate"] == 0.5
    assert figures["void_rate"] == 0.2
    assert "assessor_accuracy/adversarial_benign" not in figures


def test_detection_goes_by_what_the_note_holds_not_by_what_was_asked_for() -> None:
    game = game_of(0, DataType.ADVERSARIAL_BENIGN, verdict=Verdict.HARMFUL, error_present=True)

    assert values(assessor_figures([game], seed=1))["detection_rate"] == 1.0


def test_an_attacker_succeeds_where_the_assessor_was_wrong_never_where_it_said_nothing() -> None:
    kind = DataType.ADVERSARIAL_HARMFUL
    games = [
        game_of(0, kind, verdict=Verdict.SAFE),
        game_of(1, kind, verdict=Verdict.HARMFUL),
        game_of(2, kind, verdict=None),
        game_of(3, kind, state=GameState.NO_REVISION),
        game_of(4, kind, verdict=Verdict.SAFE, error_present=False),
        game_of(5, kind, verdict=Verdict.HARMFUL, revision=a_spec(kind).seed_note),
    ]

    figures = values(attacker_figures(games, seed=1))

    assert figures["attacker_success_rate"] == 0.25
    assert figures["faithful_rate"] == 0.5
    assert figures["no_revision_rate"] == pytest.approx(1 / 6)
    assert figures["copy_rate"] == pytest.approx(1 / 5)
    assert 0.8 < present(figures["self_bleu"]) < 1.0


def test_games_without_an_attacker_have_no_figures_of_one() -> None:
    assert attacker_figures([game_of(0, DataType.VANILLA_BENIGN)], seed=1) == {}


def test_what_a_killed_process_had_half_written_of_its_games_is_gone_at_the_next_start(tmp_path: Path) -> None:
    so_far = PlayedSoFar(tmp_path / "games", {"seed": 1})
    left = [killed_while_writing(so_far.path / name) for name in ("settings.json", "a-seed-1.jsonl", "a-try-0.jsonl")]
    strange = so_far.path / ".notes.txt.abcdefgh"
    strange.touch()

    with so_far.locked():
        assert so_far.games("a-seed-1", lambda: [a_game()]) == [a_game()]

    assert not any(path.exists() for path in left)
    assert strange.exists()
    assert so_far.games("a-seed-1", lambda: pytest.fail("played again")) == [a_game()]


def test_of_two_evaluations_that_begin_at_once_the_second_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "games"
    path.mkdir()

    with (
        exclusive_lock(path / "lock"),
        pytest.raises(RunFolderError, match="in use by process"),
        PlayedSoFar(path, {"seed": 2}).locked(),
    ):
        pass

    assert [file.name for file in path.iterdir()] == ["lock"]
