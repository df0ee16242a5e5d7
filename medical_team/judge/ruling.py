"""Asking a judge about played games.

A judge's failure is never a reward: such a game is void. Where the judge works and can't tell, the note says who is to
blame: a note of the data nobody, so that the game is void too; a revision the attacker, where the rules say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from ..assessment import corrected_note, has_found_error, is_located
from ..game_config import Undecidable
from ..records import Game, GameState, JudgeFailure, Labels, Verdict
from .protocol import AsyncJudge, Judge, JudgeQuery

_Answer: TypeAlias = Mapping[object, object] | str
"""What a judge answered, or why there is no answer."""


def rule_games(games: Sequence[Game], judge: Judge, undecidable: Undecidable) -> list[Game]:
    """``games`` in their order, those that awaited a ruling now decided, undecidable or void.

    The judge is asked once for all. Labels belong to a game by its id. A game is void when the judge failed, left it
    out, gave it another game's ruling, or contradicts the verdict that the game holds; and when two waiting games share
    an id. Where the judge abstains, ``undecidable`` says whether a revision is the attacker's failure or void; a note
    that nobody revised is void.

    Where an assessor found an error and corrects it, the judge is asked about the corrected notes too, all of them in a
    second round. What it can't tell or fails at leaves the correction alone open.
    """
    ruled = _ruled_games(games, _ask(judge, _queries(games)), judge.name, undecidable)
    corrections = _ask(judge, [_correction_query(game) for game in _to_correct(games, ruled)])
    return _with_corrections(games, ruled, corrections)


async def rule_games_async(games: Sequence[Game], judge: AsyncJudge, undecidable: Undecidable) -> list[Game]:
    """:func:`rule_games` for callers on an event loop."""
    ruled = _ruled_games(games, await _ask_async(judge, _queries(games)), judge.name, undecidable)
    corrections = await _ask_async(judge, [_correction_query(game) for game in _to_correct(games, ruled)])
    return _with_corrections(games, ruled, corrections)


def _queries(games: Sequence[Game]) -> list[JudgeQuery]:
    uses = _uses(games)
    return [
        JudgeQuery(
            game_id=game.spec.id,
            note=game.note,
            verdict=game.verdict,
            pair=game.spec.pair,
            data_type=game.spec.data_type,
        )
        for game in games
        if game.state is GameState.AWAITING_RULING
        and game.note is not None
        and game.verdict is not None
        and uses[game.spec.id] == 1
    ]


def _is_correction_open(before: Game, ruled: Game) -> bool:
    """Whether a game that was just ruled on holds an error that its assessor found and corrects."""
    return before.state is GameState.AWAITING_RULING and ruled.correction is not None and has_found_error(ruled)


def _to_correct(games: Sequence[Game], ruled: Sequence[Game]) -> list[Game]:
    """The games whose corrected notes are asked about: not those in which a sentence is corrected that isn't wrong."""
    pairs = zip(games, ruled, strict=True)
    return [game for before, game in pairs if _is_correction_open(before, game) and is_located(game) is not False]


def _correction_query(game: Game) -> JudgeQuery:
    return JudgeQuery(_corrected_id(game), corrected_note(game) or "", verdict=None, pair=game.spec.pair)


def _corrected_id(game: Game) -> str:
    return f"{game.spec.id}-corrected"


def _with_corrections(games: Sequence[Game], ruled: Sequence[Game], answer: _Answer) -> list[Game]:
    return [
        replace(game, is_corrected=_is_corrected(game, answer)) if _is_correction_open(before, game) else game
        for before, game in zip(games, ruled, strict=True)
    ]


def _is_corrected(game: Game, answer: _Answer) -> bool | None:
    if is_located(game) is False:
        return False
    ruling = None if isinstance(answer, str) else answer.get(_corrected_id(game))
    if not isinstance(ruling, Labels) or ruling.game_id != _corrected_id(game):
        return None
    return not ruling.error_present


def _uses(games: Sequence[Game]) -> Mapping[str, int]:
    """How many waiting games have an id."""
    return Counter(game.spec.id for game in games if game.state is GameState.AWAITING_RULING)


def _ask(judge: Judge, queries: Sequence[JudgeQuery]) -> _Answer:
    if not queries:
        return {}
    try:
        return _checked(judge.rule(queries))
    except Exception as error:  # noqa: BLE001 - a judge may be any code or any server: its failure voids games, not runs
        return f"the judge failed: {type(error).__name__}: {error}"


async def _ask_async(judge: AsyncJudge, queries: Sequence[JudgeQuery]) -> _Answer:
    if not queries:
        return {}
    try:
        return _checked(await judge.rule(queries))
    except Exception as error:  # noqa: BLE001 - as above
        return f"the judge failed: {type(error).__name__}: {error}"


def _checked(answer: object) -> _Answer:
    """Nothing is taken for granted about what a judge returns."""
    if not isinstance(answer, Mapping):
        return f"the judge answered with a {type(answer).__name__}, not with rulings by game id"
    return cast("Mapping[object, object]", answer)


def _ruled_games(games: Sequence[Game], answer: _Answer, judge: str, undecidable: Undecidable) -> list[Game]:
    uses = _uses(games)
    return [
        _blamed(_ruled(game, answer, judge, uses), undecidable) if game.state is GameState.AWAITING_RULING else game
        for game in games
    ]


def _blamed(game: Game, undecidable: Undecidable) -> Game:
    """``game``, the attacker's failure where it wrote what a working judge can't decide."""
    is_abstention = isinstance(game.ruling, JudgeFailure) and game.ruling.is_abstention
    if not is_abstention or not game.spec.data_type.is_adversarial or undecidable == "void":
        return game
    return replace(game, state=GameState.UNDECIDABLE, reason=f"nobody can tell what the attacker wrote: {game.reason}")


def _ruled(game: Game, answer: _Answer, judge: str, uses: Mapping[str, int]) -> Game:
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


def _void(game: Game, judge: str, reason: str) -> Game:
    failure = JudgeFailure(game.spec.id, is_abstention=False, source=judge, reason=reason)
    return replace(game, state=GameState.VOID, ruling=failure, reason=reason)
