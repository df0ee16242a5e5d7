from builders import a_game
from medical_team.config import GameConfig
from medical_team.game.score import samples_of, score
from medical_team.records import DataType, GameState, Role, Verdict


def test_one_sample_for_each_trained_turn_with_its_own_tokens_and_reward():
    game = a_game(DataType.ADVERSARIAL_HARMFUL, verdict=Verdict.SAFE)

    attacker, assessor = samples_of(score([game], GameConfig()))

    assert (attacker.role, assessor.role) == (Role.ATTACKER, Role.ASSESSOR)
    assert attacker.reward.core == 1.0 == -assessor.reward.core
    assert attacker.token_ids == game.turns[0].token_ids
    assert attacker.turn is game.turns[0]


def test_a_void_game_gives_no_sample_but_stays():
    game = a_game(DataType.VANILLA_HARMFUL, state=GameState.VOID)

    scored = score([game], GameConfig())

    assert scored == [game]
    assert samples_of(scored) == []
