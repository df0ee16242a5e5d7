"""``medical-team games``: the games of a run in the terminal."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import UsageError
from ..files import atomic_text
from ..jsonl import to_line
from ..metrics.run_reader import Outcome, outcome_of
from ..records import DataType, Game, GameState
from ..report.game_export import GameFilter, csv_parts, game_row, json_parts
from ..report.game_text import WIDTH, format_game
from ..runs.append import GAMES_FILE, HELDOUT_GAMES_FILE, LineTail
from ..runs.folder import RunFolder
from ..runs.info import check_output
from ..terminal_text import encodable, visible
from .arguments import check_bounds, parse, say, window_width

USUAL_LIMIT = 20

STATE = Literal["decided", "undecidable", "void", "no_revision", "no_verdict"]
FORM = Literal["list", "text", "json", "csv", "excel", "jsonl"]


@dataclass(frozen=True)
class GamesArguments:
    """List the games of a run that fit, or write them out.

    The run may still be going on, or have been killed. Of several values of one option any will do; of several options
    all must hold. An outcome of error_missed or false_alarm is a win of the attacker, where there is one.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    category: Annotated[tuple[DataType, ...], tyro.conf.EnumChoicesFromValues] = ()
    """Categories of games."""
    error_type: tuple[str, ...] = ()
    """Error types of the cases, e.g. diagnosis ("dosage" means pharmacotherapy)."""
    outcome: Annotated[tuple[Outcome, ...], tyro.conf.EnumChoicesFromValues] = ()
    """What came of the game."""
    state: tuple[STATE, ...] = ()
    """How the game ended."""
    judge: tuple[str, ...] = ()
    """Sources of rulings, e.g. reference."""
    from_step: int | None = None
    """The first step; steps count from 0."""
    to_step: int | None = None
    """The last step."""
    search: str = ""
    """A text that stands, in any case, in what was said or in the game's id."""
    id: tuple[str, ...] = ()
    """Games of these ids."""
    heldout: bool = False
    """The games of evaluations on held-out notes instead of those of training."""
    form: FORM = "list"
    """list: a line each; text: each in full; json: a list of flat rows; csv: the same rows; excel: the same, marked as
    UTF-8 for Excel; jsonl: whole records."""
    thinking: bool = False
    """With --form text: write the players' hidden thinking out."""
    limit: int | None = None
    """At most this many, the latest; without it 20 of list and text on standard output, else all."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The file to write; without it, standard output."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(GamesArguments, "games", arguments)
    check_bounds("--limit", chosen.limit, 1)
    if chosen.from_step is not None and chosen.to_step is not None and chosen.from_step > chosen.to_step:
        raise UsageError(f"--from-step {chosen.from_step} comes after --to-step {chosen.to_step}: exchange them")
    if chosen.output is not None:
        check_output(chosen.output)
    wanted = _filter(chosen)
    run = RunFolder.open(chosen.run)
    tail = LineTail(run.path / (HELDOUT_GAMES_FILE if chosen.heldout else GAMES_FILE))
    limit = _limit(chosen)
    found = 0

    def fitting() -> Iterator[Game]:
        nonlocal found
        for game in tail.read(Game):
            if wanted.matches(game):
                found += 1
                yield game

    shown = fitting() if limit is None else iter(deque(fitting(), maxlen=min(limit, sys.maxsize)))
    if chosen.output is None:
        for part in _parts(shown, chosen):
            # Into a pipe goes what was said; on a terminal no text of a player may drive it.
            text = visible(part) if sys.stdout.isatty() else part
            if chosen.form in ("list", "text"):
                say(encodable(text, sys.stdout))
            else:
                sys.stdout.write(encodable(text, sys.stdout))
    else:
        with atomic_text(chosen.output) as file:
            for part in _parts(shown, chosen):
                file.write(part.encode(errors="replace").decode())
    # On standard error, so that what is piped on holds games alone.
    say(f"{_told(found, limit)}{visible(tail.remark)}\n", sys.stderr)
    return 0


def _filter(chosen: GamesArguments) -> GameFilter:
    return GameFilter(
        categories=chosen.category,
        error_types=chosen.error_type,
        outcomes=chosen.outcome,
        states=tuple(map(GameState, chosen.state)),
        judges=chosen.judge,
        first_step=chosen.from_step,
        last_step=chosen.to_step,
        ids=chosen.id,
        search=chosen.search,
    )


def _limit(chosen: GamesArguments) -> int | None:
    is_read_by_a_person = chosen.form in ("list", "text") and chosen.output is None
    return chosen.limit if chosen.limit is not None else USUAL_LIMIT if is_read_by_a_person else None


def _parts(games: Iterable[Game], chosen: GamesArguments) -> Iterator[str]:
    width = min(WIDTH, window_width()) if chosen.output is None and sys.stdout.isatty() else WIDTH
    if chosen.form == "jsonl":
        return (f"{to_line(game)}\n" for game in games)
    if chosen.form in ("json", "csv", "excel"):
        rows = (game_row(game, is_heldout=chosen.heldout) for game in games)
        if chosen.form == "json":
            return json_parts(rows)
        # Without the mark Excel takes a file for one of an older encoding.
        return chain(["\ufeff"] if chosen.form == "excel" else [], csv_parts(rows))
    if chosen.form == "text":
        return (f"{format_game(game, is_thinking_shown=chosen.thinking, width=width)}\n" for game in games)
    return _list(games)


def _list(games: Iterable[Game]) -> Iterator[str]:
    # The head waits for the first game: nothing found is told in words alone.
    games = iter(games)
    for game in islice(games, 1):
        yield _line(["game", "step", "category", "error type", "outcome", "state", "rewards"])
        yield _list_line(game)
    yield from map(_list_line, games)


def _list_line(game: Game) -> str:
    spec = game.spec
    rewards = ", ".join(f"{reward.role.value} {reward.total:+g}" for reward in game.rewards) or "none"
    cells = [spec.id, str(spec.step), spec.data_type.value, visible(spec.pair.error_type)]
    return _line([*cells, outcome_of(game).value, game.state.value, rewards])


def _line(cells: Sequence[str]) -> str:
    widths = (25, 5, 19, 15, 12, 11, 0)
    # A run from elsewhere may hold any text, also where we would write none.
    shown = (f"{visible(cell):<{width}}" for cell, width in zip(cells, widths, strict=True))
    return " ".join(shown).rstrip().replace("\n", "\\n") + "\n"


def _told(found: int, limit: int | None) -> str:
    if not found:
        return "No game fits."
    games = f"{found:,} game{'' if found == 1 else 's'}"
    return games if limit is None or found <= limit else f"The latest {limit:,} of {games}; --limit shows more"
