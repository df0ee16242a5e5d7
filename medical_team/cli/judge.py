"""``medical-team judge``: serve a judge, or audit one. Each subcommand has a file of its own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from .arguments import unknown_command

_COMMANDS = {
    "audit": "measure a judge against MEDEC's ground truth",
    "serve": "answer for a judge over HTTP",
}

_HELP = """\
medical-team judge: serve a judge, or audit one.

{commands}

medical-team judge COMMAND --help tells more.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        commands = "\n".join(f"  medical-team judge {name}   {text}" for name, text in _COMMANDS.items())
        sys.stdout.write(_HELP.format(commands=commands))
        return 0 if arguments else 2
    if arguments[0] not in _COMMANDS:
        raise unknown_command(f"judge {arguments[0]}", [f"judge {name}" for name in _COMMANDS])
    command = importlib.import_module(f".judge_{arguments[0]}", __package__)
    return command.main(arguments[1:])
