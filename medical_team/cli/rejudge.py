"""``medical-team rejudge``: let another judge rule on a run's games."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from statistics import fmean
from typing import Annotated

import tyro

from ..callbacks import Progress
from ..config import GameConfig, JudgeConfig
from ..evaluation.tables import TableFormat, figure, table
from ..game.play import score
from ..jsonl import write_jsonl
from ..judge.protocol import Judge, rule_games
from ..judging import make_judge
from ..records import Closed, DataType, Game, GameState, JudgeFailure, Labels, Role
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


GAMES_AT_ONCE = 256


class Said(str, Enum):
    """What a judge said of a note."""

    ERROR = "error"
    NO_ERROR = "no error"
    ABSTAINED = "can't tell"
    FAILED = "failed"


@dataclass(frozen=True)
class RejudgedGame(Closed):
    """One game under its own ruling and under the new one."""

    before: Game
    after: Game

    @property
    def is_other_ruling(self) -> bool:
        """Whether the two judges say something else."""
        return said_of(self.before) is not said_of(self.after)

    @property
    def is_contradiction(self) -> bool:
        """Whether both judges decided, and one of them sees an error where the other sees none."""
        decided = {Said.ERROR, Said.NO_ERROR}
        return self.is_other_ruling and {said_of(self.before), said_of(self.after)} == decided


@dataclass(frozen=True)
class RewardChange(Closed):
    """The rewards of one role in games of one category."""

    role: Role
    data_type: DataType
    before_count: int
    """Turns that had a reward."""
    after_count: int
    """Turns that would have had one."""
    before_mean: float | None
    after_mean: float | None
    changed: int
    """Turns whose reward would have been another one, or none, or one where there was none."""
    turned: int
    """Of these, turns whose reward would have had the other sign."""


@dataclass(frozen=True)
class Rejudgement(Closed):
    """What came of judging a run's games again."""

    judge: str
    games: tuple[RejudgedGame, ...]
    not_asked: int
    """Games without a note or a verdict: no judge was asked about them, and none is now."""

    @property
    def table(self) -> Counter[tuple[Said, Said]]:
        """How many games have each pair of what was said before and what is said now."""
        return Counter((said_of(game.before), said_of(game.after)) for game in self.games)

    @property
    def agreement(self) -> float | None:
        """Of the games that both judges decided, the share on which they agree; None where there is none."""
        both = [
            said_of(game.before) is said_of(game.after)
            for game in self.games
            if isinstance(game.before.ruling, Labels) and isinstance(game.after.ruling, Labels)
        ]
        return fmean(both) if both else None

    @property
    def reward_changes(self) -> list[RewardChange]:
        """What would have changed for each role in each category that has rewards."""
        changes = [_reward_change(self.games, role, data_type) for role in Role for data_type in DataType]
        return [change for change in changes if change.before_count or change.after_count]


def rejudge(
    games: Iterable[Game], judge: Judge, config: GameConfig, on_progress: Progress = lambda done, total: None
) -> Rejudgement:
    """Let ``judge`` rule again on every game that a judge was asked about.

    Args:
        games: the games of a run.
        judge: the other judge.
        config: the run's rules, for the rewards.
        on_progress: told how many games of how many are done.
    """
    everything = list(games)
    asked = [game for game in everything if _was_asked(game)]
    after: list[Game] = []
    for start in range(0, len(asked), GAMES_AT_ONCE):
        waiting = [_waiting(game) for game in asked[start : start + GAMES_AT_ONCE]]
        after += score(rule_games(waiting, judge, config.undecidable), config)
        on_progress(len(after), len(asked))
    rejudged = tuple(RejudgedGame(before, now) for before, now in zip(asked, after, strict=True))
    return Rejudgement(judge.name, rejudged, len(everything) - len(asked))


def said_of(game: Game) -> Said:
    """What the judge of ``game`` said of its note.

    Raises:
        ValueError: no judge was asked.
    """
    if isinstance(game.ruling, Labels):
        return Said.ERROR if game.ruling.error_present else Said.NO_ERROR
    if isinstance(game.ruling, JudgeFailure):
        return Said.ABSTAINED if game.ruling.is_abstention else Said.FAILED
    raise ValueError(f"game {game.spec.id} has no ruling")


def _was_asked(game: Game) -> bool:
    is_ruled = game.state in (GameState.DECIDED, GameState.UNDECIDABLE, GameState.VOID) and game.ruling is not None
    return is_ruled and game.note is not None and game.verdict is not None


def _waiting(game: Game) -> Game:
    return replace(game, state=GameState.AWAITING_RULING, reason="", ruling=None, rewards=(), is_corrected=None)


def _reward_change(games: Sequence[RejudgedGame], role: Role, data_type: DataType) -> RewardChange:
    totals = [
        (_total(game.before, role), _total(game.after, role))
        for game in games
        if game.before.spec.data_type is data_type
    ]
    before = [total for total, _ in totals if total is not None]
    after = [total for _, total in totals if total is not None]
    return RewardChange(
        role=role,
        data_type=data_type,
        before_count=len(before),
        after_count=len(after),
        before_mean=fmean(before) if before else None,
        after_mean=fmean(after) if after else None,
        changed=sum(one != other for one, other in totals),
        turned=sum(one is not None and other is not None and one * other < 0 for one, other in totals),
    )


def _total(game: Game, role: Role) -> float | None:
    reward = game.reward_of(role)
    return None if reward is None else reward.total
