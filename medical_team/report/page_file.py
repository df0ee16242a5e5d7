"""The report as one HTML file that needs nothing else: no network, no server, no other file.

Text of players is data twice over. In the file it stands inside JSON in which ``<`` is escaped, or compressed in
base64, so that no text can end its element; in the page, scripts put it into text nodes alone. And the page's content
security policy lets no script run but its own, known by hash, and nothing be loaded from anywhere.

Games stand in it as small rows to filter by, and as texts, which are read only when a game is opened; both are packed
in compressed chunks that a browser unpacks one by one.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from ..files import atomic_text
from ..metrics.run_reader import Outcome, RunReader, outcome_of
from ..metrics.step_metrics import REWARD_TERMS
from ..records import DataType, ErrorType, Game, GameState, JudgeFailure, Labels, Role, Turn
from ..rewards import is_faithful_revision
from ..sentences import is_located, note_read
from .overview import overview

SCRIPTS = (
    "text.js",
    "games.js",
    "overview.js",
    "game_view.js",
    "main.js",
)
"""In the order in which they are run, as one script."""

PAGE_END = "</body>\n</html>\n"

_MARK = re.compile(r"\{\{(\w+)\}\}")


def write_report(paths: Sequence[Path], output: Path) -> int:
    """Write the report of the runs at ``paths`` to ``output``. Returns how many games it holds.

    Raises:
        RunFolderError: there is no run at one of the paths.
        DataError: a run's files are damaged.
        OutputError: the file can't be written; nothing is left behind.
    """
    archive = GameArchive()
    readers = [RunReader(path, partial(archive.add, run=number)) for number, path in enumerate(paths)]
    for reader in readers:
        reader.refresh()
    with atomic_text(output) as file:
        for part in page_parts([overview(reader) for reader in readers], archive):
            file.write(part)
    return len(archive.index)


def page_parts(runs: Sequence[dict[str, Any]], archive: GameArchive) -> Iterator[str]:
    """The page in parts, in order.

    Args:
        runs: what :func:`.overview.overview` says of each.
        archive: the games of all of them.
    """
    tables = archive.tables()
    data = {"runs": list(runs), "vocabulary": archive.vocabulary(), "tables": table_sizes(tables), "live": False}
    yield page_head(" and ".join(run["name"] for run in runs))
    yield data_element("page-data", data)
    # What is shown at once stands before the script, so that a browser lists the games while it still reads the texts.
    yield from _chunk_elements("index", tables["index"])
    yield script_element()
    for name in ("cases", "texts"):
        yield from _chunk_elements(name, tables[name])
    yield PAGE_END


def table_sizes(tables: Mapping[str, ChunkedTable]) -> dict[str, dict[str, int]]:
    """How many rows each table has, and how many of them make a chunk."""
    return {name: {"rows": len(table), "chunkRows": table.chunk_rows} for name, table in tables.items()}


def page_head(name: str, *, connect: str = "'none'") -> str:
    """The page up to its data.

    Args:
        name: of what it shows.
        connect: the source, as the content security policy names it, that scripts may ask for more.
    """
    style, script = _style(), _script()
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash_source(script)}'",
            f"style-src '{_hash_source(style)}'",
            "img-src data:",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    values = {"policy": policy, "title": html.escape(name), "style": style}
    # In one pass, so that a name that looks like a mark stays a name.
    return _MARK.sub(lambda mark: values[mark[1]], _asset("page.html"))


def script_element() -> str:
    """The page's script, which wants its data before it."""
    return f"<script>{_script()}</script>\n"


def data_element(element_id: str, value: Any) -> str:
    """An element that holds ``value`` as JSON, which no text in it can end."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{element_id}">{text}</script>\n'


def _chunk_elements(name: str, table: ChunkedTable) -> Iterator[str]:
    for number, chunk in enumerate(table.encoded_chunks()):
        yield f'<script type="text/plain" id="chunk-{name}-{number}">{chunk}</script>\n'


def _style() -> str:
    return _asset("page.css")


def _script() -> str:
    parts = "".join(_asset(name) for name in SCRIPTS)
    return '(() => {\n"use strict";\n' + parts + "})();\n"


def _hash_source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return resources.files(str(__package__)).joinpath("page", name).read_text(encoding="utf-8")


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
