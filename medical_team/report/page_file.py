"""The report as one HTML file that needs nothing else: no network, no server, no other file.

Text of players is data twice over. In the file it stands inside JSON in which ``<`` is escaped, or compressed in
base64, so that no text can end its element; in the page, scripts put it into text nodes alone. And the page's content
security policy lets no script run but its own, known by hash, and nothing be loaded from anywhere.
"""

from __future__ import annotations

import base64
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
from ..metrics.run_reader import RunReader
from .game_rows import ChunkedTable, GameArchive
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
