"""What a judge is asked, what it finds in a note, and how that becomes the ruling of a game. A judge never raises
for a game: it rules, or says why not. The assessor's verdict is compared, it is never shown to the judge; and
callers on an event loop, which play many games at a time, are gathered into batches."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, cast

from ..assessment import corrected_note, has_found_error, is_located
from ..game_config import Undecidable
from ..parsing import is_rewritten
from ..records import DataType, Game, GameState, JudgeFailure, Labels, NotePair, Ruling, Verdict


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


Find = Callable[[Sequence[JudgeQuery]], Sequence[Finding]]


def rule_by_findings(
    queries: Sequence[JudgeQuery], find: Find, *, judge: str, prompt_version: str = ""
) -> dict[str, Ruling]:
    """A ruling for each query, by its game id.

    Two queries of one id fail both: nobody could tell them apart. ``find`` is asked about the others, all at once.

    Args:
        queries: the games to rule on.
        find: gives a finding for each query, in order.
        judge: the judge's name, for the labels.
        prompt_version: which wording of its questions it uses.
    """
    uses = Counter(query.game_id for query in queries)
    askable = [query for query in queries if uses[query.game_id] == 1]
    rulings: dict[str, Ruling] = {
        query.game_id: ruling_of(query, finding, judge=judge, prompt_version=prompt_version)
        for query, finding in zip(askable, find(askable), strict=True)
    }
    for game_id, count in uses.items():
        if count > 1:
            reason = f"{count} queries have the id {game_id!r}: a ruling can't say which it means"
            rulings[game_id] = JudgeFailure(game_id, is_abstention=False, source=judge, reason=reason)
    return rulings


def ruling_of(query: JudgeQuery, finding: Finding, *, judge: str, prompt_version: str = "") -> Ruling:
    """The labels of one game, or the failure where nothing was found."""
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


class ThreadedJudge:
    """A synchronous judge in a thread of its own, where it never holds the event loop up."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge")
        self.name = judge.name

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Calls wait for each other. Raises what the judge raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._judge.rule, queries)


class GatheringJudge:
    """Asks ``judge`` at most ``calls`` times at once; what is asked meanwhile goes to it together, in one call.

    A judge that is asked game by game so rules in batches, and is never flooded.
    """

    def __init__(self, judge: AsyncJudge, calls: int = 1) -> None:
        self._judge = judge
        self._calls = calls
        self._waiting: list[_Call] = []
        self._working = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.name = judge.name

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """Rulings by game id, of other callers' games too. Raises what the judge raises."""
        call = _Call(queries)
        self._waiting.append(call)
        if self._working < self._calls:
            self._working += 1
            task = asyncio.create_task(self._work())
            # A task that nobody holds may be collected.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await call.answer

    async def _work(self) -> None:
        try:
            await self._rule_waiting()
        finally:
            self._working -= 1

    async def _rule_waiting(self) -> None:
        while calls := self._taken():
            try:
                rulings = await self._judge.rule([query for call in calls for query in call.queries])
            except Exception as error:  # noqa: BLE001 - a judge may raise anything: it is the callers' to handle
                for call in calls:
                    call.fail(error)
            else:
                for call in calls:
                    call.settle(rulings)

    def _taken(self) -> list[_Call]:
        """The calls that can be asked together. No judge could tell two games of one id apart."""
        ids: set[str] = set()
        taken: list[_Call] = []
        left: list[_Call] = []
        for call in self._waiting:
            own = {query.game_id for query in call.queries}
            (left if own & ids else taken).append(call)
            ids |= own
        self._waiting = left
        return taken


class _Call:
    """One caller's queries, and the future that it awaits."""

    def __init__(self, queries: Sequence[JudgeQuery]) -> None:
        self.queries = queries
        self.answer: asyncio.Future[Mapping[str, Ruling]] = asyncio.get_running_loop().create_future()

    def settle(self, rulings: Mapping[str, Ruling]) -> None:
        if not self.answer.done():
            self.answer.set_result(rulings)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
