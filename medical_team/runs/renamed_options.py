"""Options under the names of earlier versions: still understood, so that old files and runs can be read.

``notify`` is told of each, in a sentence that says what to write today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..callbacks import Notify

_SECTIONS = {"sampling": "rollout"}

_OPPOSITES = {("game", "direct_chat_no_cot"): "thinking"}
"""Options that said the opposite of what the new one says."""


def renamed_tables(tables: Mapping[str, Any], notify: Notify = lambda text: None) -> dict[str, Any]:
    """``tables`` of a configuration file under today's names. What stands there under both names is left as it is."""
    renamed = dict(tables)
    for old, new in _SECTIONS.items():
        if old in renamed and new not in renamed:
            renamed[new] = renamed.pop(old)
            notify(f"[{old}] is called [{new}] now; the old name is still read.")
    for (section, old), new in _OPPOSITES.items():
        if not isinstance(renamed.get(section), Mapping):
            continue
        table = cast("Mapping[str, Any]", renamed[section])
        if isinstance(table.get(old), bool) and new not in table:
            value = not table[old]
            renamed[section] = {key: item for key, item in table.items() if key != old} | {new: value}
            notify(_opposite(f"{section}.{old}", f"{section}.{new} = {str(value).lower()}"))
    return renamed


def renamed_arguments(arguments: Sequence[str], notify: Notify = lambda text: None) -> list[str]:
    """Words of a command line under today's names."""
    renamed: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        # tyro understands hyphens as well.
        name = option.removeprefix("--").replace("-", "_")
        section = name.partition(".")[0]
        if not option.startswith("--"):
            renamed.append(word)
        elif section in _SECTIONS:
            today = f"--{_SECTIONS[section]}{name.removeprefix(section)}"
            notify(f"{option} is called {today} now; the old name is still read.")
            renamed.append(f"{today}{equals}{value}")
        elif (opposite := _opposite_of(name)) is not None:
            given = value if equals else next(words, "")
            today = {"true": "False", "false": "True"}.get(given.lower(), given)
            notify(_opposite(option, f"--{opposite} {today}"))
            renamed += [f"--{opposite}", today]
        else:
            renamed.append(word)
    return renamed


def _opposite_of(name: str) -> str | None:
    section, _, key = name.partition(".")
    new = _OPPOSITES.get((section, key))
    return None if new is None else f"{section}.{new}"


def _opposite(old: str, new: str) -> str:
    return f"{old} gave way to its opposite: write {new}. The old name is still read."
