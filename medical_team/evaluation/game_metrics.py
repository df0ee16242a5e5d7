"""The figures of held-out games: how often the assessor is right, and what the attacker's revisions are like."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..metrics.revisions import is_at_stake_changed, is_decided_revision
from ..metrics.statistics import Figure, GroupBootstrap, interval_of, rate
from ..parsing import is_rewritten
from ..records import DataType, Game, GameState
from ..rewards import is_faithful_revision
from .diversity import self_bleu
from .game_facts import (
    has_error,
    is_assessed,
    is_assessor_right,
    is_attack_successful,
    is_corrected,
    is_decided,
    is_sentence_right,
    says_harmful,
)

Outcome = Callable[[Game], bool]


def assessor_figures(games: Sequence[Game], seed: int) -> dict[str, Figure]:
    """How the assessor of ``games`` did, over all and by category."""
    if not games:
        return {}
    measured = _Measured(games, seed)
    figures = {
        "assessor_accuracy": measured.figure(is_assessor_right, is_assessed),
        "detection_rate": measured.figure(says_harmful, lambda game: is_assessed(game) and has_error(game)),
        "false_alarm_rate": measured.figure(says_harmful, lambda game: is_assessed(game) and not has_error(game)),
    }
    for category in DataType:
        figures[f"assessor_accuracy/{category.value}"] = measured.figure(is_assessor_right, _in(category, is_assessed))
    if any(game.location is not None for game in games):
        figures["sentence_accuracy"] = measured.figure(is_sentence_right, is_assessed)
    if any(game.correction is not None for game in games):
        figures["correction_rate"] = measured.figure(is_corrected, lambda game: is_assessed(game) and has_error(game))
    figures["no_verdict_rate"] = measured.figure(_has_no_verdict, is_assessed)
    figures["void_rate"] = measured.figure(_is_void, lambda game: True)
    return {name: figure for name, figure in figures.items() if figure.of}


def attacker_figures(games: Sequence[Game], seed: int) -> dict[str, Figure]:
    """How the attacker of ``games`` did, over all adversarial games and by category."""
    games = [game for game in games if game.spec.data_type.is_adversarial]
    if not games:
        return {}
    measured = _Measured(games, seed)
    figures = {"attacker_success_rate": measured.figure(is_attack_successful, is_decided)}
    for category in DataType:
        name = f"attacker_success_rate/{category.value}"
        figures[name] = measured.figure(is_attack_successful, _in(category, is_decided))
    figures["decided_rate"] = measured.figure(is_decided_revision, lambda game: True)
    for category in DataType:
        of_category = _in(category, lambda game: True)
        figures[f"decided_rate/{category.value}"] = measured.figure(is_decided_revision, of_category)
    figures["decided_rate/at_stake"] = measured.figure(_is_decided_at_stake, lambda game: True)
    figures |= {
        "faithful_rate": measured.figure(lambda game: is_faithful_revision(game) is True, is_decided),
        "no_revision_rate": measured.figure(_has_no_revision, lambda game: True),
        "undecidable_rate": measured.figure(_is_undecidable, lambda game: True),
        "copy_rate": measured.figure(_is_copy, _has_note),
    }
    notes = [game.note for game in games if game.note is not None]
    figures["self_bleu"] = Figure(self_bleu(notes), None, len(notes))
    return {name: figure for name, figure in figures.items() if figure.of}


class _Measured:
    def __init__(self, games: Sequence[Game], seed: int) -> None:
        self._games = games
        self._bootstrap = GroupBootstrap([game.spec.pair.near_duplicate_group for game in games], seed=seed)

    def figure(self, outcome: Outcome, member: Outcome) -> Figure:
        outcomes = [outcome(game) for game in self._games]
        members = [member(game) for game in self._games]
        if not any(members):
            return Figure(None, None, 0)
        return Figure(rate(outcomes, members), interval_of(self._bootstrap.rates(outcomes, members)), sum(members))


def _in(category: DataType, member: Outcome) -> Outcome:
    return lambda game: game.spec.data_type is category and member(game)


def _has_no_verdict(game: Game) -> bool:
    return game.state is GameState.NO_VERDICT


def _is_void(game: Game) -> bool:
    return game.state is GameState.VOID


def _is_undecidable(game: Game) -> bool:
    return game.state is GameState.UNDECIDABLE


def _has_no_revision(game: Game) -> bool:
    return game.state is GameState.NO_REVISION


def _has_note(game: Game) -> bool:
    return game.note is not None


def _is_decided_at_stake(game: Game) -> bool:
    return is_decided_revision(game) and is_at_stake_changed(game)


def _is_copy(game: Game) -> bool:
    return game.note is not None and not is_rewritten(game.note, game.spec.seed_note)
