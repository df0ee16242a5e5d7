"""What a command needs of the process it runs in: streams that take any text, and a home for caches.

Containers, cron jobs and clusters start programs without these: standard output closed or in ASCII, a user id that no
account belongs to.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


def open_closed_streams() -> None:
    """Let what is written to a closed standard stream go nowhere, and keep its number from the next file opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = os.O_RDONLY if number == 0 else os.O_WRONLY
            null = os.open(os.devnull, mode)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def escape_what_streams_lack() -> None:
    """Write characters that standard output or standard error have no bytes for as escapes such as ``\\xe4``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def give_a_home(environment: MutableMapping[str, str]) -> str | None:
    """Set ``HOME`` where no home folder is known, so that caches have a place. Returns the warning to show, if any."""
    # Given back as it was where neither HOME nor the user's account names a folder.
    if os.path.expanduser("~") != "~":  # noqa: PTH111 - Path.expanduser raises
        return None
    user = os.getuid()
    home = Path(tempfile.gettempdir()) / f"medical-team-home-{user}"
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        is_own = home.is_dir() and not home.is_symlink() and home.stat().st_uid == user
    except OSError:
        is_own = False
    environment["HOME"] = str(home) if is_own else tempfile.mkdtemp(prefix="medical-team-home-")
    return f"user {user} has no home folder: caches go to {environment['HOME']}. Set HOME to choose another place."
