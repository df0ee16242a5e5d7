"""``medical-team watch``: the report of a run, live."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from ..network.proxies import LOOPBACK
from ..report.live_server import LiveRun, make_server
from ..terminal_text import encodable, visible
from .arguments import parse

USUAL_PORT = 8765


@dataclass(frozen=True)
class WatchArguments:
    """Show the report of a run in a browser while the run trains: new games and points appear by themselves.

    The page is served on this machine alone. On a machine far away: ssh -L 8765:localhost:8765 MACHINE.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    port: int = USUAL_PORT
    """Port of the loopback address; 0 takes any that is free."""


def main(arguments: Sequence[str]) -> int:
    """Run the command, until Ctrl-C."""
    chosen = parse(WatchArguments, "watch", arguments)
    run = LiveRun(chosen.run)
    with make_server(run, chosen.port) as server:
        told = f"{run.name} is on show at http://{LOOPBACK}:{server.server_address[1]} (Ctrl-C ends)\n"
        sys.stdout.write(encodable(visible(told), sys.stdout))
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\n")
    return 0
