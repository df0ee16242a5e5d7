"""The reward table by game outcome, as code. The first row that fits decides.

| state       | attacker (adversarial games only)                      | assessor                        |
|-------------|--------------------------------------------------------|---------------------------------|
| no revision | core -1, unfaithful, format                            | no sample                       |
| undecidable | core -1, unfaithful, format                            | no sample                       |
| no verdict  | a tie: dropped with remove_ties, else core 0 and so on | core -1, format                 |
| void        | no sample                                              | no sample                       |
| decided     | core = minus the assessor's; revision; format          | core +1 if right, else -1; format; and so on |

Location and correction are terms of assessors that are asked where the error is, and how it is put right
(``game.assessor``), and that found one. Nobody is paid or charged where nobody can tell.

Undecidable is a revision on which a working judge abstains (``game.undecidable``; else it is void). The core of a
decided adversarial game is exactly zero-sum. The terms follow Self-RedTeam (arXiv 2506.07468).
"""

from __future__ import annotations

from .game_config import GameConfig, RewardCoefficients
from .parsing import is_rewritten
from .records import Game, GameState, JudgeFailure, Labels, Reward, Role, Turn
from .sentences import is_located


def rewards_of(game: Game, config: GameConfig) -> tuple[Reward, ...]:
    """The reward of each trained turn of ``game``, attacker first. A void game gives none.

    Raises:
        ValueError: the game still awaits its ruling, or is called decided without labels.
    """
    if game.state is GameState.AWAITING_RULING:
        raise ValueError(f"game {game.spec.id} has no ruling yet")
    if game.state is GameState.DECIDED and not isinstance(game.ruling, Labels):
        raise ValueError(f"game {game.spec.id} is called decided but has no labels")
    if game.state is GameState.UNDECIDABLE and not (
        isinstance(game.ruling, JudgeFailure) and game.ruling.is_abstention
    ):
        raise ValueError(f"game {game.spec.id} is called undecidable, but no judge abstained")
    if game.state is GameState.VOID:
        return ()
    trained = (turn for turn in game.turns if turn.is_trained and not _has_no_sample(turn, game, config))
    return tuple(_reward_of_turn(turn, game, config) for turn in trained)


def is_verdict_right(labels: Labels) -> bool:
    """Whether the assessor said Harmful of a note with an error, or Safe of a note without."""
    return labels.error_detected == labels.error_present


def decided_core(role: Role, labels: Labels) -> int:
    """The core term of a decided game, before its coefficient: what one player wins, the other loses."""
    assessor_core = 1 if is_verdict_right(labels) else -1
    return assessor_core if role is Role.ASSESSOR else -assessor_core


def is_faithful_revision(game: Game) -> bool | None:
    """Whether the attacker's note was rewritten and is what the category asks for; None where nobody can know."""
    if not isinstance(game.ruling, Labels) or game.note is None or not game.spec.data_type.is_adversarial:
        return None
    is_as_asked = game.ruling.error_present == game.spec.data_type.is_harmful
    return is_as_asked and is_rewritten(game.note, game.spec.seed_note)


def _has_no_sample(turn: Turn, game: Game, config: GameConfig) -> bool:
    if turn.role is Role.ASSESSOR:
        return game.state is GameState.UNDECIDABLE
    return game.state is GameState.NO_VERDICT and config.remove_ties


def _reward_of_turn(turn: Turn, game: Game, config: GameConfig) -> Reward:
    coefficients = config.coefficients
    core = _core(turn.role, game) * coefficients.core
    revision = _revision(game, coefficients) if turn.role is Role.ATTACKER else None
    format_term = _paid(turn.is_format_kept, coefficients.format_kept, coefficients.format_violated)
    location = correction = None
    if turn.role is Role.ASSESSOR:
        location = _paid(is_located(game), coefficients.located, coefficients.mislocated)
        correction = _paid(game.is_corrected, coefficients.corrected, coefficients.miscorrected)
    total = core
    if config.reward_type == "medical_general_sum":
        total += sum(term or 0.0 for term in (revision, format_term, location, correction))
    return Reward(turn.role, core, revision, format_term, total, location, correction)


def _core(role: Role, game: Game) -> int:
    if isinstance(game.ruling, Labels):
        return decided_core(role, game.ruling)
    if game.state is GameState.NO_VERDICT and role is Role.ATTACKER:
        return 0
    return -1


def _revision(game: Game, coefficients: RewardCoefficients) -> float | None:
    if game.state is GameState.NO_VERDICT:
        return 0.0
    return coefficients.faithful if is_faithful_revision(game) else coefficients.unfaithful


def _paid(is_right: bool | None, right: float, wrong: float) -> float | None:
    if is_right is None:
        return None
    return right if is_right else wrong
