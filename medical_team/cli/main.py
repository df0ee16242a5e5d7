"""The command ``medical-team``: finds the command's own file and turns our errors into one clear message."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from .. import __version__
from ..errors import NO_SUCH_HOME, MedicalTeamError, MissingDependencyError
from ..network.proxies import loopback_exempted
from ..terminal_text import visible
from .arguments import (
    check_file_names,
    escape_what_streams_lack,
    give_a_home,
    open_closed_streams,
    say,
    unknown_command,
)

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

SUBCOMMANDS = {
    "eval": (
        "how good an assessor is.",
        {
            "crossplay": "every checkpoint's attacker against every checkpoint's assessor",
            "compare": "evaluations side by side: is one better, and how sure is that?",
            "exploit": "how often do attackers mislead an assessor that are trained against it?",
            "games": "models as assessors and as attackers on held-out notes",
            "medec": "a model, or a baseline, on the texts of a MEDEC CSV",
            "score": "the official metrics of a submission file",
        },
    ),
    "judge": (
        "serve a judge, or audit one.",
        {"audit": "measure a judge against MEDEC's ground truth", "serve": "answer for a judge over HTTP"},
    ),
}
"""Commands of which each subcommand has a file of its own."""

_EXTRAS = {
    **dict.fromkeys(("numpy", "rouge"), "eval"),
    **dict.fromkeys(("torch", "transformers", "peft", "safetensors", "huggingface_hub", "tokenizers"), "train"),
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "prometheus_client"), "judge"),
}

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def entry_point() -> None:
    """Run the command line and exit with its status."""
    open_closed_streams()
    escape_what_streams_lack()
    try:
        check_file_names(sys.argv[1:])
        if warning := give_a_home(os.environ):
            sys.stderr.write(f"warning: {warning}\n")
    except MedicalTeamError as error:
        sys.stderr.write(f"medical-team: {visible(str(error))}\n")
        sys.exit(EXIT_USER_ERROR)
    # For the libraries and programs that make connections of their own.
    os.environ.update(loopback_exempted(os.environ))
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns the exit status: 0, 2 for an error that the user can mend or an output that can't be written to, 130 after
    Ctrl-C, 141 where the reader of our output has gone (``| head``).
    """
    try:
        try:
            return _answer(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered goes nowhere; else the interpreter complains of it as it ends.
        _discard_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if (refused := _refused(error)) is not None:
            sys.stderr.write(f"medical-team: {refused}\n")
            return EXIT_USER_ERROR
        if not _is_output_gone():
            raise
        _discard_output()
        # The same may be true of it: a terminal that was closed is both.
        with contextlib.suppress(OSError):
            sys.stderr.write(
                f"medical-team: standard output can't be written to ({error.strerror or error}): what was told there "
                "is lost, what was done stands\n"
            )
        return EXIT_USER_ERROR


def _refused(error: OSError) -> str | None:
    """What the system refuses about a path, wherever it is met; None where ``error`` may be a fault of ours."""
    if error.filename is None or error.errno not in _REFUSALS:
        return None
    name = visible(str(error.filename))
    shown = name if len(name) <= _LONGEST_NAME_SHOWN else f"{name[:_LONGEST_NAME_SHOWN]}... ({len(name)} characters)"
    return f"{shown} can't be reached: {error.strerror}. {_REFUSALS[error.errno]}"


_LONGEST_NAME_SHOWN = 200
_REFUSALS = {
    errno.ENAMETOOLONG: "Name a shorter path; was a text given in its place?",
    errno.ELOOP: "A link there leads back to itself: remove it",
    errno.EACCES: "Ask for permission to read there, or name another place",
    errno.EPERM: "Ask for permission to read there, or name another place",
    errno.EIO: "The disk or the network under it fails: copy it elsewhere, then try again",
    errno.ESTALE: "The network disk under it was taken away: mount it again",
}


def _is_output_gone() -> bool:
    """Whether standard output takes no line any more: its disk is full, or its terminal was closed."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        if name in SUBCOMMANDS:
            return _run_subcommand(name, arguments)
        return _call(name, arguments)
    except MedicalTeamError as error:
        say(f"medical-team {name}: {visible(str(error))}\n", sys.stderr)
        return EXIT_USER_ERROR
    except RuntimeError as error:
        if (told := _told_of(error)) is None:
            raise
        say(f"medical-team {name}: {visible(told)}\n", sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write(f"medical-team {name}: interrupted\n")
        return EXIT_INTERRUPTED


def _told_of(error: RuntimeError) -> str | None:
    """What to tell of errors of libraries that a user can mend, wherever they come; None of any other."""
    if str(error) == NO_SUCH_HOME:
        return "a path begins with ~ and the name of a user whom this machine doesn't know: write it out in full"
    # By its name: most commands never import torch.
    if type(error).__name__ == "OutOfMemoryError":
        said = str(error).partition(". ")[0]
        return (
            f"{said}. Take a smaller model, policy.precision bf16, policy.gradient_checkpointing true, or a smaller "
            "training.tokens_per_microbatch or rollout.batch_size; or free the GPU of other programs. A run that had "
            "begun goes on with --resume"
        )
    return None


def _run_subcommand(name: str, arguments: Sequence[str]) -> int:
    """Run a subcommand of ``name``."""
    about, commands = SUBCOMMANDS[name]
    if not arguments or arguments[0] in ("-h", "--help"):
        told = "\n".join(_listed(commands, f"medical-team {name} "))
        sys.stdout.write(f"medical-team {name}: {about}\n\n{told}\n\nmedical-team {name} COMMAND --help tells more.\n")
        return 0 if arguments else EXIT_USER_ERROR
    if arguments[0] not in commands:
        raise unknown_command(f"{name} {arguments[0]}", [f"{name} {each}" for each in commands])
    return _call(f"{name}_{arguments[0]}", arguments[1:])


def _call(module: str, arguments: Sequence[str]) -> int:
    """Run the command in ``module``, which is imported here, so that `data` never waits for torch.

    Raises:
        MissingDependencyError: a library that it needs is not installed.
    """
    try:
        return importlib.import_module(f".{module}", __package__).main(arguments)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _EXTRAS:
            raise
        raise MissingDependencyError(library, _EXTRAS[library]) from error


def _listed(commands: Mapping[str, str], before: str = "") -> list[str]:
    width = max(map(len, commands))
    return [f"  {before}{name:<{width}}  {text}" for name, text in commands.items()]


def _help() -> str:
    return "\n".join(
        [
            "medical-team: self-play training of an attacker and an assessor of notes.",
            "Research software, not for clinical use.",
            "",
            "Usage: medical-team COMMAND [options]",
            "",
            *_listed(COMMANDS),
            "",
            "medical-team COMMAND --help tells more; --version names the version.",
            "",
        ]
    )
