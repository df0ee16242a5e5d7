"""What a judge is asked, what it finds in a note, and how that becomes the ruling of a game. A judge never raises
for a game: it rules, or says why not. The assessor's verdict is compared, it is never shown to the judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

from ..game_config import Undecidable
from ..parsing import is_rewritten
from ..records import DataType, Game, GameState, JudgeFailure, Labels, NotePair, Ruling, Verdict
from ..sentences import corrected_note, has_found_error, is_located


@dataclass(frozen=True)
class JudgeQuery:
    """One game to rule on. The judge sees the note as the assessor read it, and never anyone's hidden thinking."""

    game_id: str
    note: str
    verdict: Verdict | None
    """What the assessor said; None where it gave no verdict. It decides nothing but ``error_detected``."""
    pair: NotePair | None = None
    """The case the note was made from; None where the caller only has text, and the judge must find it."""
    data_type: DataType | None = None
    """The game's category, where it is known. It decides nothing but ``faithful_revision``."""


class Judge(Protocol):
    """Says whether a note contains a medical error."""

    @property
    def name(self) -> str:
        """What labels name as their judge."""
        ...

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. A game that is missing from the answer counts as a failure."""
        ...


class AsyncJudge(Protocol):
    """A :class:`Judge` for callers on an event loop."""

    @property
    def name(self) -> str:
        """What labels name as their judge."""
        ...

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """As :meth:`Judge.rule`. Calls may overlap."""
        ...


REFERENCE = "reference"
MODEL = "model"
VOTE = "vote"


@dataclass(frozen=True)
class Finding:
    """``error_present`` is None where the judge cannot tell; ``reason`` says why, for a person to read.

    A finding is about a note alone: it knows nothing of the game, its category or the assessor's verdict.
    """

    error_present: bool | None
    reason: str
    source: str = REFERENCE
    """How it was found: by the reference judge, by a model's one answer, or by a vote of its answers."""
    is_failure: bool = False
    """Whether the judge itself failed, which is no abstention; ``error_present`` is None then."""
    confidence: float | None = None
    """How sure the judge is, from 0 to 1."""
    plausibility: float | None = None
    """How likely the judge holds it that a clinician wrote the note, from 0 to 1."""
    error_type: str | None = None
    """The type of the error, where one is present and its type is known."""


def rule_by_findings(
    queries: Sequence[JudgeQuery], findings: Sequence[Finding], *, judge: str, prompt_version: str = ""
) -> dict[str, Ruling]:
    """A ruling for each query, by its game id: labels, or the failure where nothing was found.

    Args:
        queries: the games to rule on.
        findings: one for each query, in order.
        judge: the judge's name, for the labels.
        prompt_version: which wording of its questions it uses.
    """
    return {
        query.game_id: _ruling_of(query, finding, judge, prompt_version)
        for query, finding in zip(queries, findings, strict=True)
    }


def _ruling_of(query: JudgeQuery, finding: Finding, judge: str, prompt_version: str) -> Ruling:
    if finding.error_present is None:
        return JudgeFailure(query.game_id, is_abstention=not finding.is_failure, source=judge, reason=finding.reason)
    return Labels(
        game_id=query.game_id,
        error_present=finding.error_present,
        error_detected=None if query.verdict is None else query.verdict is Verdict.HARMFUL,
        source=finding.source,
        reason=finding.reason,
        faithful_revision=_is_faithful(query, finding.error_present),
        plausibility=finding.plausibility,
        confidence=finding.confidence,
        judge=judge,
        prompt_version=prompt_version,
        error_type=finding.error_type if finding.error_present else None,
    )


def _is_faithful(query: JudgeQuery, error_present: bool) -> bool | None:
    """As the reward has it: rewritten, and what the category asks for."""
    if query.pair is None or query.data_type is None or not query.data_type.is_adversarial:
        return None
    is_harmful = query.data_type.is_harmful
    seed_note = query.pair.error_note if is_harmful else query.pair.corrected_note
    return error_present == is_harmful and is_rewritten(query.note, seed_note)


def failure_of(query: JudgeQuery, judge: str, reason: str) -> JudgeFailure:
    """A failure of the judge, or on the way to it, for one game."""
    return JudgeFailure(query.game_id, is_abstention=False, source=judge, reason=reason)


def checked_rulings(answer: object, queries: Sequence[JudgeQuery], judge: str) -> list[Ruling]:
    """A ruling for each query, in order; nothing is taken for granted about what a judge answered."""
    if isinstance(answer, Mapping):
        by_id = cast("Mapping[object, object]", answer)
        return [_checked(by_id.get(query.game_id), query, judge) for query in queries]
    reason = f"the judge answered with a {type(answer).__name__}, not with rulings by game id"
    return [failure_of(query, judge, reason) for query in queries]


def failed_rulings(error: Exception, queries: Sequence[JudgeQuery], judge: str) -> list[Ruling]:
    """What a judge that raised ``error`` says of each query."""
    return [failure_of(query, judge, f"the judge failed: {type(error).__name__}: {error}") for query in queries]


def _checked(ruling: object, query: JudgeQuery, judge: str) -> Ruling:
    if not isinstance(ruling, (Labels, JudgeFailure)):
        reason = "the judge left the game out" if ruling is None else f"the judge gave a {type(ruling).__name__}"
        return failure_of(query, judge, reason)
    if ruling.game_id != query.game_id:
        return failure_of(query, judge, f"the judge gave it the ruling of game {ruling.game_id!r}")
    return ruling


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
    return _with_corrections(games, ruled, _ask(judge, _correction_queries(games, ruled)))


async def rule_games_async(games: Sequence[Game], judge: AsyncJudge, undecidable: Undecidable) -> list[Game]:
    """:func:`rule_games` for callers on an event loop."""
    ruled = _ruled_games(games, await _ask_async(judge, _queries(games)), judge.name, undecidable)
    return _with_corrections(games, ruled, await _ask_async(judge, _correction_queries(games, ruled)))


def _ask(judge: Judge, queries: Sequence[JudgeQuery]) -> list[Ruling]:
    try:
        return checked_rulings(judge.rule(queries), queries, judge.name) if queries else []
    except Exception as error:  # noqa: BLE001 - a judge may be any code or any server: its failure voids games, not runs
        return failed_rulings(error, queries, judge.name)


async def _ask_async(judge: AsyncJudge, queries: Sequence[JudgeQuery]) -> list[Ruling]:
    try:
        return checked_rulings(await judge.rule(queries), queries, judge.name) if queries else []
    except Exception as error:  # noqa: BLE001 - as above
        return failed_rulings(error, queries, judge.name)


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


def _uses(games: Sequence[Game]) -> Mapping[str, int]:
    """How many waiting games have an id."""
    return Counter(game.spec.id for game in games if game.state is GameState.AWAITING_RULING)


def _ruled_games(games: Sequence[Game], rulings: Sequence[Ruling], judge: str, undecidable: Undecidable) -> list[Game]:
    uses = _uses(games)
    by_id = {ruling.game_id: ruling for ruling in rulings}
    ruled: list[Game] = []
    for game in games:
        if game.state is not GameState.AWAITING_RULING:
            ruled.append(game)
        elif ruling := by_id.get(game.spec.id):
            ruled.append(_ruled(game, ruling, judge, undecidable))
        elif uses[game.spec.id] > 1:
            ruled.append(_void(game, judge, f"{uses[game.spec.id]} games have the id {game.spec.id!r}"))
        else:
            ruled.append(_void(game, judge, "the game has no note or no verdict to rule on"))
    return ruled


def _ruled(game: Game, ruling: Ruling, judge: str, undecidable: Undecidable) -> Game:
    if isinstance(ruling, JudgeFailure):
        if not ruling.is_abstention or not game.spec.data_type.is_adversarial or undecidable == "void":
            return replace(game, state=GameState.VOID, ruling=ruling, reason=ruling.reason)
        reason = f"nobody can tell what the attacker wrote: {ruling.reason}"
        return replace(game, state=GameState.UNDECIDABLE, ruling=ruling, reason=reason)
    if ruling.error_detected != (game.verdict is Verdict.HARMFUL):
        told = game.verdict.value if game.verdict else "none"
        return _void(game, judge, f"the judge says error_detected = {ruling.error_detected}, the verdict was {told}")
    return replace(game, state=GameState.DECIDED, ruling=ruling, reason=ruling.reason)


def _void(game: Game, judge: str, reason: str) -> Game:
    failure = JudgeFailure(game.spec.id, is_abstention=False, source=judge, reason=reason)
    return replace(game, state=GameState.VOID, ruling=failure, reason=reason)


def _correction_queries(games: Sequence[Game], ruled: Sequence[Game]) -> list[JudgeQuery]:
    """What is asked about corrected notes: nothing where a sentence is corrected that isn't wrong."""
    return [
        JudgeQuery(_corrected_id(game), corrected_note(game) or "", verdict=None, pair=game.spec.pair)
        for before, game in zip(games, ruled, strict=True)
        if _is_correction_open(before, game) and is_located(game) is not False
    ]


def _with_corrections(games: Sequence[Game], ruled: Sequence[Game], rulings: Sequence[Ruling]) -> list[Game]:
    present = {ruling.game_id: ruling.error_present for ruling in rulings if isinstance(ruling, Labels)}
    return [
        replace(game, is_corrected=_is_corrected(game, present)) if _is_correction_open(before, game) else game
        for before, game in zip(games, ruled, strict=True)
    ]


def _is_correction_open(before: Game, ruled: Game) -> bool:
    """Whether a game that was just ruled on holds an error that its assessor found and corrects."""
    return before.state is GameState.AWAITING_RULING and ruled.correction is not None and has_found_error(ruled)


def _is_corrected(game: Game, error_present: Mapping[str, bool]) -> bool | None:
    if is_located(game) is False:
        return False
    present = error_present.get(_corrected_id(game))
    return None if present is None else not present


def _corrected_id(game: Game) -> str:
    return f"{game.spec.id}-corrected"
