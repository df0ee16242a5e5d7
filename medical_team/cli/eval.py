"""``medical-team eval``: the official metrics, held-out games, comparisons. Finds the subcommand's own file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from ..errors import MissingDependencyError
from .arguments import unknown_command

COMMANDS = {
    "crossplay": "every checkpoint's attacker against every checkpoint's assessor",
    "compare": "evaluations side by side: is one better, and how sure is that?",
    "exploit": "how often do attackers mislead an assessor that are trained against it?",
    "games": "models as assessors and as attackers on held-out notes",
    "medec": "a model, or a baseline, on the texts of a MEDEC CSV",
    "score": "the official metrics of a submission file",
}

_OPTIONAL = {"numpy": "eval", "rouge": "eval", "torch": "train", "transformers": "train", "peft": "train"}


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status.

    Raises:
        MissingDependencyError: a library that the subcommand needs is not installed.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0 if arguments else 2
    if arguments[0] not in COMMANDS:
        raise unknown_command(f"eval {arguments[0]}", [f"eval {name}" for name in COMMANDS])
    try:
        return importlib.import_module(f".eval_{arguments[0]}", __package__).main(arguments[1:])
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _OPTIONAL:
            raise
        raise MissingDependencyError(library, _OPTIONAL[library]) from error


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  medical-team eval {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "medical-team eval: how good an assessor is.",
            "",
            *lines,
            "",
            "medical-team eval COMMAND --help tells more.",
            "",
        ]
    )
