"""The command ``medical-team``: finds the command's own file and turns our errors into one clear message."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import MedicalTeamError
from ..network.proxies import loopback_exempted
from ..terminal_text import visible
from .arguments import escape_what_streams_lack, give_a_home, open_closed_streams, say, unknown_command

COMMANDS = {
    "quickstart": "the whole thing, small, on this machine: no GPU, no account",
    "data": "build, make, convert and check data sets",
    "warmstart": "teach a model to play from demonstrations, before self-play",
    "train": "self-play training on this machine",
    "doctor": "is everything ready? Data, models, engine, judge, GPU, disk",
    "export": "a trained policy as one complete Hugging Face folder",
    "report": "what happened in a run, as a page: criteria, alarms, curves, games",
    "watch": "the same page, live, while a run trains",
    "games": "the games of a run in the terminal, filtered; JSON and CSV",
    "eval": "the official MEDEC metrics of a model or a submission",
    "judge": "serve a judge, or audit one",
    "rejudge": "let another judge rule on a run's games",
}

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def entry_point() -> None:
    """Run the command line and exit with its status."""
    open_closed_streams()
    escape_what_streams_lack()
    if warning := give_a_home(os.environ):
        sys.stderr.write(f"warning: {warning}\n")
    # For the libraries and programs that make connections of their own.
    os.environ.update(loopback_exempted(os.environ))
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns the exit status: 0, 2 for an error that the user can mend, 130 after Ctrl-C, 141 where the reader of our
    output has gone (``| head``).
    """
    try:
        try:
            return _answer(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered goes nowhere; else the interpreter complains of it as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _answer(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0 if arguments else EXIT_USER_ERROR
    if arguments[0] == "--version":
        sys.stdout.write(f"medical-team {__version__}\n")
        return 0
    return _run(arguments[0], arguments[1:])


def _run(name: str, arguments: Sequence[str]) -> int:
    try:
        if name not in COMMANDS:
            raise unknown_command(name, COMMANDS)
        # Imported here, so that `data` never waits for torch.
        command = importlib.import_module(f".{name}", __package__)
        return command.main(arguments)
    except MedicalTeamError as error:
        say(f"medical-team {name}: {visible(str(error))}\n", sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write(f"medical-team {name}: interrupted\n")
        return EXIT_INTERRUPTED


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "medical-team: self-play training of an attacker and an assessor of notes.",
            "Research software, not for clinical use.",
            "",
            "Usage: medical-team COMMAND [options]",
            "",
            *lines,
            "",
            "medical-team COMMAND --help tells more; --version names the version.",
            "",
        ]
    )
