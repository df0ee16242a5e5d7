"""Games as the page holds them: a small row to filter by, and the texts, which are read only when a game is
opened; packed in compressed chunks that a browser unpacks one by one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from ..assessment import is_located, note_read
from ..metrics.run_reader import Outcome, outcome_of
from ..metrics.step_metrics import REWARD_TERMS
from ..records import DataType, ErrorType, Game, GameState, JudgeFailure, Labels, Role, Turn
from ..rewards import is_faithful_revision

# Fast rather than small: text of notes shrinks to a third either way.
_LEVEL = 5


class ChunkedTable:
    """Rows of plain JSON values by number, kept compressed in memory ``chunk_rows`` at a time."""

    def __init__(self, chunk_rows: int) -> None:
        self.chunk_rows = chunk_rows
        self._sealed: list[bytes] = []
        self._open: list[Any] = []

    def __len__(self) -> int:
        return len(self._sealed) * self.chunk_rows + len(self._open)

    def append(self, row: Any) -> int:
        """Add ``row``. Returns its number."""
        number = len(self)
        self._open.append(row)
        if len(self._open) == self.chunk_rows:
            self._sealed.append(_packed(self._open))
            self._open = []
        return number

    def rows_from(self, start: int) -> list[Any]:
        """Rows from number ``start`` on, to the end of the chunk that holds it; empty past the last row."""
        chunk, first = divmod(start, self.chunk_rows)
        if chunk < len(self._sealed):
            return json.loads(gzip.decompress(self._sealed[chunk]))[first:]
        return self._open[first:] if chunk == len(self._sealed) else []

    def encoded_chunks(self) -> Iterator[str]:
        """Each chunk as base64 of the gzip of its JSON, in order."""
        for sealed in self._sealed:
            yield _encoded(sealed)
        if self._open:
            yield _encoded(_packed(self._open))


def _packed(rows: list[Any]) -> bytes:
    # No time stamp: the same run gives the same page. A lone surrogate has no UTF-8, so that JSON escapes stay.
    return gzip.compress(json.dumps(rows, separators=(",", ":"), allow_nan=False).encode(), _LEVEL, mtime=0)


def _encoded(packed: bytes) -> str:
    return base64.b64encode(packed).decode("ascii")


INDEX_ROWS = 5000
TEXT_ROWS = 500

CATEGORIES = tuple(kind.value for kind in DataType)
STATES = tuple(state.value for state in GameState)
OUTCOMES = tuple(outcome.value for outcome in Outcome)


class GameArchive:
    """All games of a page, in three tables.

    index: [run, is held-out, step, category, error type, state, outcome, judge source, id] for each game; the five
    in the middle are positions in the lists of :meth:`vocabulary`.
    texts: what was said, for each game, with the number of its case.
    cases: each seed note once, with its true error.
    """

    def __init__(self) -> None:
        self.index = ChunkedTable(INDEX_ROWS)
        self.texts = ChunkedTable(TEXT_ROWS)
        self.cases = ChunkedTable(TEXT_ROWS)
        self._sources: dict[str, int] = {"": 0}
        self._error_types = {error_type.value: number for number, error_type in enumerate(ErrorType)}
        self._case_numbers: dict[bytes, int] = {}

    def add(self, game: Game, *, run: int = 0, is_heldout: bool = False) -> None:
        """Take in ``game`` of the page's run number ``run``."""
        spec = game.spec
        source = game.ruling.source if game.ruling is not None else ""
        self.index.append(
            [
                run,
                int(is_heldout),
                spec.step,
                CATEGORIES.index(spec.data_type.value),
                self._error_types.setdefault(spec.pair.error_type, len(self._error_types)),
                STATES.index(game.state.value),
                OUTCOMES.index(outcome_of(game).value),
                self._sources.setdefault(source, len(self._sources)),
                spec.id,
            ]
        )
        self.texts.append(game_texts(game, case=self._case_number(game)))

    def vocabulary(self) -> dict[str, list[str]]:
        """What the numbers in the index mean."""
        return {
            "categories": list(CATEGORIES),
            "errorTypes": list(self._error_types),
            "states": list(STATES),
            "outcomes": list(OUTCOMES),
            "sources": list(self._sources),
        }

    def tables(self) -> dict[str, ChunkedTable]:
        """The tables by the names that the page knows."""
        return {"index": self.index, "texts": self.texts, "cases": self.cases}

    def _case_number(self, game: Game) -> int:
        pair = game.spec.pair
        case = [game.spec.seed_note, pair.error_sentence, pair.corrected_sentence, pair.case_id]
        key = hashlib.blake2b("\0".join(case).encode(errors="surrogatepass"), digest_size=16).digest()
        if key not in self._case_numbers:
            self._case_numbers[key] = self.cases.append(case)
        return self._case_numbers[key]


def game_texts(game: Game, *, case: int) -> dict[str, Any]:
    """What the page shows of ``game`` besides its index row and its case."""
    return {
        "case": case,
        "attacker": _turn(game.turn_of(Role.ATTACKER)),
        "assessor": _turn(game.turn_of(Role.ASSESSOR)),
        "note": None if game.note == game.spec.seed_note else game.note,
        "hasNote": game.note is not None,
        "verdict": game.verdict.value if game.verdict else None,
        "location": game.location,
        "isLocated": is_located(game),
        "corrected": _corrected_sentence(game),
        "correction": game.correction,
        "isCorrected": game.is_corrected,
        "reason": game.reason,
        "ruling": _ruling(game),
        "rewards": [
            [reward.role.value, *(getattr(reward, term) for term in REWARD_TERMS), reward.total]
            for reward in game.rewards
        ],
    }


def _corrected_sentence(game: Game) -> str | None:
    """The sentence that the assessor would have otherwise."""
    if game.location is None or game.correction is None:
        return None
    return note_read(game).sentences[game.location]


def _turn(turn: Turn | None) -> dict[str, Any] | None:
    if turn is None:
        return None
    return {
        "thinking": turn.thinking,
        "answer": turn.answer,
        "tokens": len(turn.token_ids),
        "isFinished": turn.is_finished,
        "isFormatKept": turn.is_format_kept,
        "isTrained": turn.is_trained,
    }


def _ruling(game: Game) -> dict[str, Any] | None:
    ruling = game.ruling
    if isinstance(ruling, Labels):
        return {
            "source": ruling.source,
            "errorPresent": ruling.error_present,
            "errorDetected": ruling.error_detected,
            "isFaithful": is_faithful_revision(game),
            "confidence": ruling.confidence,
            "judge": ruling.judge,
            "reason": ruling.reason,
        }
    if isinstance(ruling, JudgeFailure):
        return {"source": ruling.source, "isAbstention": ruling.is_abstention, "reason": ruling.reason}
    return None
