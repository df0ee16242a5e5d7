"""What a person should know of a text that is no TOML: which line, how it reads, and what people mostly mean by it.

The parser names a line and a column ("Invalid value (at line 5, column 9)"), and what is wrong there only for those who
know TOML by heart.
"""

from __future__ import annotations

import re

import tomllib

_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_LONGEST_SHOWN = 80

_CURLY_QUOTES = re.compile(r"[“”„‘’«»]")
_QUOTED_BACKSLASH = re.compile(r'"[^"]*\\')
_YAML = re.compile(r"\s*[\w.\-]+\s*:(?:\s|$)")
_OTHERS_WORD = re.compile(r"=\s*(True|False|TRUE|FALSE|None|null|nan|NULL)\b")
_BARE_WORD = re.compile(r"=\s*([A-Za-z~$/][^\s#\"']*)\s*(?:#.*)?$")


def toml_problem(text: str, error: tomllib.TOMLDecodeError) -> str:
    """``error`` of reading ``text`` as TOML, with the line it speaks of and a way out where one is known."""
    told = str(error)
    lines = text.rstrip().splitlines()
    match = _LINE.search(told)
    number = int(match[1]) if match else len(lines)
    if not 0 < number <= len(lines):
        return told
    line = lines[number - 1].strip()
    shown = line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}..."
    hint = _hint(text, line, told)
    return f"{told}: {shown}" + (f" - {hint}" if hint else "")


def _hint(text: str, line: str, told: str) -> str | None:
    if told.startswith("Cannot overwrite"):
        return "this key stands twice in its section: leave one"
    if told.startswith("Cannot declare"):
        return "this section stands twice: put its keys under the first"
    if text.lstrip().startswith("{"):
        return "this is JSON; write [section] and key = value on lines of their own"
    if _CURLY_QUOTES.search(line):
        return 'the quotes are curly: write straight ones, "'
    if _QUOTED_BACKSLASH.search(line):
        return "a backslash has a meaning between double quotes: write / or put the text between single quotes"
    if word := _OTHERS_WORD.search(line):
        return (
            f"{word[1]} is written {word[1].lower()} here" if word[1].lower() in ("true", "false") else "leave it out"
        )
    if _YAML.match(line):
        return "this is YAML; write [section], and key = value"
    if word := _BARE_WORD.search(line):
        return f'text stands between quotes: "{word[1]}"'
    return None
