"""Games for other programs: chosen by what they are and by what was said in them, and written as flat rows: JSON
and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from ..assessment import is_located
from ..error_types import WantedErrorTypes
from ..metrics.run_reader import Outcome, outcome_of
from ..records import DataType, Game, GameState, JudgeFailure, Labels, Reward, Role, Turn
from ..rewards import is_faithful_revision, is_verdict_right


@dataclass(frozen=True)
class GameFilter:
    """What is wanted of a game; an empty tuple, None or an empty text wants nothing in particular."""

    categories: tuple[DataType, ...] = ()
    error_types: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    states: tuple[GameState, ...] = ()
    judges: tuple[str, ...] = ()
    """Sources of rulings."""
    first_step: int | None = None
    last_step: int | None = None
    ids: tuple[str, ...] = ()
    search: str = ""
    """A text that stands, in any case, in the game's id or in anything that was said."""

    def matches(self, game: Game) -> bool:
        """Whether ``game`` is wanted."""
        spec = game.spec
        source = game.ruling.source if game.ruling is not None else ""
        return (
            _is_among(spec.data_type, self.categories)
            and spec.pair.error_type in WantedErrorTypes.of(self.error_types, [spec.pair.error_type])
            and _is_among(outcome_of(game), self.outcomes)
            and _is_among(game.state, self.states)
            and _is_among(source, self.judges)
            and _is_among(spec.id, self.ids)
            and (self.first_step is None or spec.step >= self.first_step)
            and (self.last_step is None or spec.step <= self.last_step)
            and self._is_found_in(game)
        )

    def _is_found_in(self, game: Game) -> bool:
        wanted = self.search.lower()
        return not wanted or any(wanted in text.lower() for text in _texts(game))


def _is_among(value: object, wanted: tuple[object, ...]) -> bool:
    return not wanted or value in wanted


def _texts(game: Game) -> Iterator[str]:
    """All that the page searches in, too."""
    pair = game.spec.pair
    yield from (game.spec.id, pair.case_id, game.spec.seed_note, pair.error_sentence, pair.corrected_sentence)
    yield from (game.note or "", game.reason, game.verdict.value if game.verdict else "")
    if game.ruling is not None:
        yield game.ruling.reason
    for turn in game.turns:
        yield turn.thinking
        yield turn.answer


@dataclass(frozen=True)
class GameRow:
    """One game, flat. What does not apply is None: an empty cell of a CSV file."""

    id: str
    step: int
    is_heldout: bool
    category: str
    error_type: str
    state: str
    outcome: str
    reason: str
    case_id: str
    seed_note: str
    error_sentence: str
    corrected_sentence: str
    note: str | None
    """As the assessor read it."""
    attacker_answer: str | None
    attacker_thinking: str | None
    assessor_answer: str | None
    assessor_thinking: str | None
    verdict: str | None
    location: int | None
    """Number of the sentence that the assessor holds wrong, where it is asked for one."""
    is_located: bool | None
    correction: str | None
    is_corrected: bool | None
    is_verdict_right: bool | None
    error_present: bool | None
    error_detected: bool | None
    is_faithful_revision: bool | None
    judge_source: str | None
    judge: str | None
    judge_reason: str | None
    judge_confidence: float | None
    is_abstention: bool | None
    """Of a void or undecidable game: whether the judge could not tell, instead of failing."""
    attacker_core: float | None
    attacker_revision: float | None
    attacker_format: float | None
    attacker_total: float | None
    assessor_core: float | None
    assessor_format: float | None
    assessor_location: float | None
    assessor_correction: float | None
    assessor_total: float | None


COLUMNS = tuple(field.name for field in fields(GameRow))


def game_row(game: Game, *, is_heldout: bool) -> GameRow:
    """``game`` as a flat row."""
    spec, ruling = game.spec, game.ruling
    labels = ruling if isinstance(ruling, Labels) else None
    attacker, assessor = game.turn_of(Role.ATTACKER), game.turn_of(Role.ASSESSOR)
    attacked, assessed = game.reward_of(Role.ATTACKER), game.reward_of(Role.ASSESSOR)
    return GameRow(
        id=spec.id,
        step=spec.step,
        is_heldout=is_heldout,
        category=spec.data_type.value,
        error_type=spec.pair.error_type,
        state=game.state.value,
        outcome=outcome_of(game).value,
        reason=game.reason,
        case_id=spec.pair.case_id,
        seed_note=spec.seed_note,
        error_sentence=spec.pair.error_sentence,
        corrected_sentence=spec.pair.corrected_sentence,
        note=game.note,
        attacker_answer=_answer(attacker),
        attacker_thinking=_thinking(attacker),
        assessor_answer=_answer(assessor),
        assessor_thinking=_thinking(assessor),
        verdict=game.verdict.value if game.verdict else None,
        location=game.location,
        is_located=is_located(game),
        correction=game.correction,
        is_corrected=game.is_corrected,
        is_verdict_right=is_verdict_right(labels) if labels else None,
        error_present=labels.error_present if labels else None,
        error_detected=labels.error_detected if labels else None,
        is_faithful_revision=is_faithful_revision(game),
        judge_source=ruling.source if ruling else None,
        judge=labels.judge if labels else None,
        judge_reason=ruling.reason if ruling else None,
        judge_confidence=labels.confidence if labels else None,
        is_abstention=ruling.is_abstention if isinstance(ruling, JudgeFailure) else None,
        attacker_core=_term(attacked, "core"),
        attacker_revision=_term(attacked, "revision"),
        attacker_format=_term(attacked, "format"),
        attacker_total=_term(attacked, "total"),
        assessor_core=_term(assessed, "core"),
        assessor_format=_term(assessed, "format"),
        assessor_location=_term(assessed, "location"),
        assessor_correction=_term(assessed, "correction"),
        assessor_total=_term(assessed, "total"),
    )


def json_parts(rows: Iterable[GameRow]) -> Iterator[str]:
    """A JSON array of ``rows``, in parts, one row a line."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(_values(row), allow_nan=False)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def csv_parts(rows: Iterable[GameRow]) -> Iterator[str]:
    """A CSV file of ``rows``, in parts.

    A text that a spreadsheet would run as a formula gets an apostrophe before it. JSON has every text as it is.
    """
    yield _csv_line(COLUMNS)
    for row in rows:
        yield _csv_line([_cell(value) for value in _values(row).values()])


def _values(row: GameRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in COLUMNS}


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO(newline="")
    # Before Python 3.13 a carriage return in a cell is quoted only where lines end with one, and a bare one ends a row.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: object) -> object:
    if isinstance(value, str):
        text = value.replace("\0", "").encode(errors="replace").decode()
        return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return str(value).lower() if isinstance(value, bool) else value


def _answer(turn: Turn | None) -> str | None:
    return turn.answer if turn else None


def _thinking(turn: Turn | None) -> str | None:
    return turn.thinking if turn else None


def _term(reward: Reward | None, name: str) -> float | None:
    return getattr(reward, name) if reward else None
