"""What the commands share in reading their arguments."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeVar

import tyro

from ..errors import UsageError

ArgumentsT = TypeVar("ArgumentsT")


def parse(
    arguments_type: type[ArgumentsT],
    command: str,
    arguments: Sequence[str],
    *,
    default: ArgumentsT | None = None,
    use_underscores: bool = False,
) -> ArgumentsT:
    """Read ``arguments`` into a dataclass, on top of ``default``; tyro prints help or all problems and exits with 2.

    Hyphens and underscores are both understood; ``use_underscores`` shows options as a TOML file spells its keys.
    """
    base = tyro.MISSING_NONPROP if default is None else default
    return tyro.cli(
        arguments_type,
        prog=f"medical-team {command}",
        args=list(arguments),
        default=base,
        use_underscores=use_underscores,
    )


def unknown_command(name: str, known: Iterable[str]) -> UsageError:
    """The error for a command that doesn't exist, naming the nearest that does."""
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UsageError(f"there is no command {name!r}.{hint} The commands are: {', '.join(known)}.")
