"""Asking a judge about played games. A judge's failure is never a reward: such a game is void."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from ..records import Game, GameState, JudgeFailure, Labels, Verdict
from .protocol import Judge, JudgeQuery


def rule_games(games: Sequence[Game], judge: Judge) -> list[Game]:
    """``games`` in their order, those that awaited a ruling now decided or void. The judge is asked once for all.

    Labels belong to a game by its id. A game is void when the judge failed or abstained, left it out, gave it another
    game's ruling, or contradicts the verdict that the game holds; and when two waiting games share an id.
    """
    waiting = [game for game in games if game.state is GameState.AWAITING_RULING]
    uses = Counter(game.spec.id for game in waiting)
    queries = [
        JudgeQuery(
            game_id=game.spec.id,
            note=game.note,
            verdict=game.verdict,
            pair=game.spec.pair,
            data_type=game.spec.data_type,
        )
        for game in waiting
        if game.note is not None and game.verdict is not None and uses[game.spec.id] == 1
    ]
    answer = _ask(judge, queries)
    return [_ruled(game, answer, judge, uses) if game.state is GameState.AWAITING_RULING else game for game in games]


def _ask(judge: Judge, queries: Sequence[JudgeQuery]) -> Mapping[object, object] | str:
    """The judge's answer, or why there is none. Nothing is taken for granted about what a judge returns."""
    if not queries:
        return {}
    try:
        answer = cast("object", judge.rule(queries))
    except Exception as error:  # noqa: BLE001 - a judge may be any code or any server: its failure voids games, not runs
        return f"the judge failed: {type(error).__name__}: {error}"
    if not isinstance(answer, Mapping):
        return f"the judge answered with a {type(answer).__name__}, not with rulings by game id"
    return cast("Mapping[object, object]", answer)


def _ruled(game: Game, answer: Mapping[object, object] | str, judge: Judge, uses: Mapping[str, int]) -> Game:
    if game.note is None or game.verdict is None:
        return _void(game, judge, "the game has no note or no verdict to rule on")
    if uses[game.spec.id] > 1:
        return _void(game, judge, f"{uses[game.spec.id]} games have the id {game.spec.id!r}")
    if isinstance(answer, str):
        return _void(game, judge, answer)
    ruling = answer.get(game.spec.id)
    if not isinstance(ruling, (Labels, JudgeFailure)):
        reason = "the judge left the game out" if ruling is None else f"the judge gave a {type(ruling).__name__}"
        return _void(game, judge, reason)
    if ruling.game_id != game.spec.id:
        return _void(game, judge, f"the judge gave it the ruling of game {ruling.game_id!r}")
    if isinstance(ruling, JudgeFailure):
        return replace(game, state=GameState.VOID, ruling=ruling, reason=ruling.reason)
    if ruling.error_detected != (game.verdict is Verdict.HARMFUL):
        reason = f"the judge says error_detected = {ruling.error_detected}, the verdict was {game.verdict.value}"
        return _void(game, judge, reason)
    return replace(game, state=GameState.DECIDED, ruling=ruling, reason=ruling.reason)


def _void(game: Game, judge: Judge, reason: str) -> Game:
    failure = JudgeFailure(game.spec.id, is_abstention=False, source=judge.name, reason=reason)
    return replace(game, state=GameState.VOID, ruling=failure, reason=reason)
