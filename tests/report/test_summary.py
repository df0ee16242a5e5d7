from builders import a_game
from medical_team.records import DataType, GameState
from medical_team.report.summary import replacement_summary, void_summary


def games(data_type: DataType, *states: GameState):
    return [a_game(data_type, state=state) for state in states]


def test_shares_are_told_by_role_and_category_with_their_counts():
    played = [
        *games(DataType.VANILLA_HARMFUL, GameState.DECIDED, GameState.DECIDED),
        *games(DataType.ADVERSARIAL_BENIGN, GameState.DECIDED, GameState.VOID, GameState.NO_REVISION),
    ]

    summary = void_summary(iter(played))

    assert "attacker 50% of 2, assessor 25% of 4" in summary
    assert "vanilla_harmful 0% of 2, adversarial_benign 50% of 2" in summary
    assert "model judge" not in summary


def test_above_one_half_a_model_judge_is_advised():
    played = [
        *games(DataType.VANILLA_HARMFUL, GameState.DECIDED, GameState.DECIDED),
        *games(DataType.ADVERSARIAL_HARMFUL, GameState.VOID),
    ]

    assert "use a model judge" in void_summary(played)


def test_a_run_without_rulings_says_so():
    assert "no game" in void_summary(games(DataType.ADVERSARIAL_HARMFUL, GameState.NO_REVISION))


def test_games_in_the_place_of_others_are_told_by_category():
    metrics = [
        {"games/all": 8.0},
        {"replacements/vanilla_harmful": 2.0, "replacements/adversarial_benign": 1.0},
        {"replacements/vanilla_harmful": 1.0},
    ]

    told = replacement_summary(metrics)

    assert told is not None
    assert told.endswith(": 4 (vanilla_harmful 3, adversarial_benign 1)")
    assert replacement_summary(metrics[:1]) is None
