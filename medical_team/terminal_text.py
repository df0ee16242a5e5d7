"""Making any text fit to show: no character drives a terminal or stops a stream, and no word is cut in two."""

from __future__ import annotations

import re
import shlex
import textwrap
import unicodedata
from typing import IO

_KEPT_CONTROLS = "\n\t"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_COMMAND = re.compile(
    r".*medical-team .* --|\s*-> (medical-team|pip|rm|cp|ray|hf|export|unset|nvidia-smi|ss|/\S+|--\S+)\s"
)


def visible(text: str) -> str:
    """``text`` with control, bidirectional and other unseen characters written as escapes such as ``\\x1b``."""
    return "".join(_escaped(character) if _is_hidden(character) else character for character in text)


def shell_word(path: object) -> str:
    """``path`` as it is typed in a command, so that what is told can be copied: quoted where it must be."""
    return shlex.quote(str(path))


def encodable(text: str, stream: IO[str]) -> str:
    """``text`` with what ``stream`` has no bytes for written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def folded(text: str, width: int) -> str:
    """``text`` with lines wider than ``width`` broken between words and indented further.

    A command with its options stays whole, so that it can be copied.
    """
    return "".join(_folded_line(line, width) for line in text.splitlines(keepends=True))


def _folded_line(line: str, width: int) -> str:
    body = line.rstrip("\r\n")
    if len(body) <= width or _COMMAND.match(body):
        return line
    indent = " " * (len(body) - len(body.lstrip()) + 2)
    wrapper = textwrap.TextWrapper(
        width,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapper.wrap(body)) + line[len(body) :]


def _is_hidden(character: str) -> bool:
    return character not in _KEPT_CONTROLS and unicodedata.category(character) in _HIDDEN_CATEGORIES


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
