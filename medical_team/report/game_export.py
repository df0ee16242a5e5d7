"""Games for other programs: chosen by what they are and by what was said in them, and written as flat rows: JSON
and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..error_types import WantedErrorTypes
from ..metrics.run_reader import Outcome, outcome_of
from ..records import DataType, Game, GameState, JudgeFailure, Labels, Role
from ..rewards import is_faithful_revision, is_verdict_right
from ..sentences import is_located


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


Row = dict[str, object]
"""One game, flat. What does not apply is None: an empty cell of a CSV file."""


def _label(name: str) -> Callable[[Game], object]:
    """What the judge says, where it says something."""
    return lambda game: getattr(game.ruling, name) if isinstance(game.ruling, Labels) else None


def _of_turn(role: Role, name: str) -> Callable[[Game], object]:
    return lambda game: getattr(game.turn_of(role), name, None)


def _term(role: Role, name: str) -> Callable[[Game], object]:
    return lambda game: getattr(game.reward_of(role), name, None)


_CELLS: dict[str, Callable[[Game], object]] = {
    "id": lambda game: game.spec.id,
    "step": lambda game: game.spec.step,
    "is_heldout": lambda game: None,
    "category": lambda game: game.spec.data_type.value,
    "error_type": lambda game: game.spec.pair.error_type,
    "state": lambda game: game.state.value,
    "outcome": lambda game: outcome_of(game).value,
    "reason": lambda game: game.reason,
    "case_id": lambda game: game.spec.pair.case_id,
    "seed_note": lambda game: game.spec.seed_note,
    "error_sentence": lambda game: game.spec.pair.error_sentence,
    "corrected_sentence": lambda game: game.spec.pair.corrected_sentence,
    # As the assessor read it.
    "note": lambda game: game.note,
    "attacker_answer": _of_turn(Role.ATTACKER, "answer"),
    "attacker_thinking": _of_turn(Role.ATTACKER, "thinking"),
    "assessor_answer": _of_turn(Role.ASSESSOR, "answer"),
    "assessor_thinking": _of_turn(Role.ASSESSOR, "thinking"),
    "verdict": lambda game: game.verdict.value if game.verdict else None,
    # Number of the sentence that the assessor holds wrong, where it is asked for one.
    "location": lambda game: game.location,
    "is_located": is_located,
    "correction": lambda game: game.correction,
    "is_corrected": lambda game: game.is_corrected,
    "is_verdict_right": lambda game: is_verdict_right(game.ruling) if isinstance(game.ruling, Labels) else None,
    "error_present": _label("error_present"),
    "error_detected": _label("error_detected"),
    "is_faithful_revision": is_faithful_revision,
    "judge_source": lambda game: game.ruling.source if game.ruling else None,
    "judge": _label("judge"),
    "judge_reason": lambda game: game.ruling.reason if game.ruling else None,
    "judge_confidence": _label("confidence"),
    # Of a void or undecidable game: whether the judge could not tell, instead of failing.
    "is_abstention": lambda game: game.ruling.is_abstention if isinstance(game.ruling, JudgeFailure) else None,
    **{f"attacker_{name}": _term(Role.ATTACKER, name) for name in ("core", "revision", "format", "total")},
    **{
        f"assessor_{name}": _term(Role.ASSESSOR, name) for name in ("core", "format", "location", "correction", "total")
    },
}

COLUMNS = tuple(_CELLS)


def game_row(game: Game, *, is_heldout: bool) -> Row:
    """``game`` as a flat row."""
    return {name: cell(game) for name, cell in _CELLS.items()} | {"is_heldout": is_heldout}


def json_parts(rows: Iterable[Row]) -> Iterator[str]:
    """A JSON array of ``rows``, in parts, one row a line."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, allow_nan=False)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def csv_parts(rows: Iterable[Row]) -> Iterator[str]:
    """A CSV file of ``rows``, in parts.

    A text that a spreadsheet would run as a formula gets an apostrophe before it. JSON has every text as it is.
    """
    yield _csv_line(COLUMNS)
    for row in rows:
        yield _csv_line([_cell(value) for value in row.values()])


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
