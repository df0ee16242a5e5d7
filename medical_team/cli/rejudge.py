"""``medical-team rejudge``: let another judge rule on a run's games."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..config import JudgeConfig
from ..evaluation.rejudge import Rejudgement, Said, rejudge, said_of
from ..evaluation.tables import TableFormat, figure, table
from ..jsonl import write_jsonl
from ..judging import make_judge
from ..records import Game, GameState
from ..runs.append import GAMES_FILE, LineTail
from ..runs.folder import RunFolder
from ..runs.info import check_output
from ..terminal_text import encodable, visible
from .arguments import load_scorer, parse, progress_of, remark, with_judge_spelled_out


@dataclass(frozen=True)
class RejudgeArguments:
    """Let another judge rule on a run's games: where the two differ, and what that would have done to the rewards.

    The run stays as it is. --judge NAME chooses the judge: reference, model, openai, hybrid, or the address of a judge
    service; its options are those of the section [judge] of a run.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    show: int = 10
    """How many games on which the judges differ are shown, contradictions first."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Write every game to this JSONL file, as it was and as the other judge would have it."""
    format: TableFormat = "text"
    """The look of the tables."""
    judge: Annotated[JudgeConfig, tyro.conf.FlagConversionOff] = field(default_factory=JudgeConfig)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status."""
    chosen = parse(RejudgeArguments, "rejudge", with_judge_spelled_out(arguments), use_underscores=True)
    run = RunFolder.open(chosen.run)
    if chosen.output is not None:
        check_output(chosen.output)
    pairs = dict.fromkeys(record.pair for record in run.training_records())
    judge = make_judge(chosen.judge, pairs, remark, load_scorer)
    tail = LineTail(run.path / GAMES_FILE)
    result = rejudge(tail.read(Game), judge, run.config.game, progress_of("games"))
    if tail.remark:
        remark(visible(tail.remark.strip()))
    if chosen.output is not None:
        write_jsonl(chosen.output, result.games)
    sys.stdout.write(encodable(rejudge_page(result, chosen.show, chosen.format), sys.stdout))
    return 0


def rejudge_page(result: Rejudgement, show: int, form: TableFormat) -> str:
    """What came of it, as text."""
    parts = [
        f"{len(result.games)} games judged again by {result.judge}, {result.not_asked} had nothing to rule on",
        f"agreement where both judges decided: {figure(result.agreement)}",
        "",
        table(["before \\ now", *(said.value for said in Said)], list(_said_rows(result)), form),
        table(
            ["rewards of", "category", "turns", "now", "mean", "now", "changed", "other sign"],
            [
                [
                    change.role.value,
                    change.data_type.value,
                    str(change.before_count),
                    str(change.after_count),
                    figure(change.before_mean),
                    figure(change.after_mean),
                    str(change.changed),
                    str(change.turned),
                ]
                for change in result.reward_changes
            ],
            form,
        ),
        *_differences(result, show),
    ]
    return "\n".join(parts)


def _said_rows(result: Rejudgement) -> Iterator[list[str]]:
    counts = result.table
    for before in Said:
        yield [before.value, *(str(counts[before, now]) for now in Said)]


def _differences(result: Rejudgement, show: int) -> Iterator[str]:
    different = [game for game in result.games if game.is_other_ruling]
    if not different:
        yield "The judges differ on no game.\n"
        return
    shown = sorted(different, key=lambda game: not game.is_contradiction)[: max(0, show)]
    yield f"The judges differ on {len(different)} of {len(result.games)} games{'; some of them:' if shown else ''}"
    for game in shown:
        verdict = game.before.verdict.value if game.before.verdict else "none"
        yield f"\n{game.before.spec.id} ({game.before.spec.data_type.value}, verdict {verdict})"
        yield f"  before: {_told(game.before)}"
        yield f"  now:    {_told(game.after)}"
    yield ""


def _told(game: Game) -> str:
    said = said_of(game).value
    # An undecidable game's own reason says whom the rules blame; here the judges are compared.
    reason = game.ruling.reason if game.ruling and game.state is GameState.UNDECIDABLE else game.reason
    return f"{said}: {visible(' '.join(reason.split())).removeprefix(f'{said}: ')}"
