"""Reading a run for its report: one pass over its games, and again over what is new while it goes on. A game is
one word, a step of games is counts, of which the criteria are decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ..records import LIVING, Game, GameState, JudgeFailure, Labels, Reward, Role
from ..rewards import is_verdict_right
from ..runs.append import GAMES_FILE, HELDOUT_GAMES_FILE, METRICS_FILE, LineTail
from ..runs.folder import RunFolder, StepMetrics
from ..runs.lock import Traces, traces_of
from .cycling import Attacks, AttackTally, attacks_of
from .revisions import RevisionFigures, revision_figures
from .step_metrics import ASKED_STATES, game_metrics


class Outcome(str, Enum):
    """What came of a game. The assessor wins by the first two, the attacker (if it played) by the next two."""

    ERROR_FOUND = "error_found"
    RIGHTLY_SAFE = "rightly_safe"
    ERROR_MISSED = "error_missed"
    FALSE_ALARM = "false_alarm"
    UNDECIDED = "undecided"
    """No revision, no verdict, or no ruling that decides."""


def outcome_of(game: Game) -> Outcome:
    """What came of ``game``."""
    ruling = game.ruling
    if not isinstance(ruling, Labels):
        return Outcome.UNDECIDED
    if ruling.error_present:
        return Outcome.ERROR_FOUND if ruling.error_detected else Outcome.ERROR_MISSED
    return Outcome.FALSE_ALARM if ruling.error_detected else Outcome.RIGHTLY_SAFE


@dataclass(frozen=True)
class ReplyCounts:
    """How a role's replies kept to the rules."""

    replies: int = 0
    formatted: int = 0
    """Replies to which the thinking format applies."""
    violations: int = 0
    """Those of them that break it."""
    unusable: int = 0
    """Replies that are no note (attacker) or no verdict (assessor)."""


@dataclass(frozen=True)
class StepFigures:
    """The counts of one step."""

    step: int
    games: int
    rewards: Mapping[Role, Counter[int]]
    """How many of a role's rewards are positive (1), negative (-1) and zero."""
    replies: Mapping[Role, ReplyCounts]
    contests: Counter[str]
    """Decided adversarial games between the players of the moment (none against past selves or fixed opponents), by the
    near-duplicate group of their notes."""
    attacker_wins: Counter[str]
    """Those of them with a wrong verdict."""
    sums_checked: int
    """Decided adversarial games in which both players got a reward."""
    sums_broken: int
    """Those of them whose core rewards don't add up to zero."""
    exceptions: Mapping[str, int]
    """Games outside the zero-sum rule, by why."""
    asked: int
    """Games that the judge was asked about."""
    voids: int
    failures: int
    """Void games in which the judge failed; in the others it could not tell."""
    undecidable: int = 0
    """Revisions on which the judge abstained, which the attacker lost by."""
    revisions: RevisionFigures = field(default_factory=RevisionFigures)
    attacks: Attacks = field(default_factory=dict[str, AttackTally])
    """Who attacked the assessor that learns."""


def step_figures(step: int, games: Sequence[Game]) -> StepFigures:
    """The counts of ``games``, those of one step."""
    attacked = [game for game in games if game.state is GameState.DECIDED and game.spec.data_type.is_adversarial]
    pairs = [game.rewards for game in attacked if len(game.rewards) == len(Role)]
    contests = [game for game in attacked if all(game.spec.version_of(role) == LIVING for role in Role)]
    rulings = [game.ruling for game in games if game.ruling is not None]
    return StepFigures(
        step=step,
        games=len(games),
        rewards={role: _signs(game.reward_of(role) for game in games) for role in Role},
        replies={role: _replies(games, role) for role in Role},
        contests=_by_group(contests),
        attacker_wins=_by_group(
            game for game in contests if isinstance(game.ruling, Labels) and not is_verdict_right(game.ruling)
        ),
        sums_checked=len(pairs),
        sums_broken=sum(pair[0].core + pair[1].core != 0.0 for pair in pairs),
        exceptions=Counter(reason for game in games if (reason := _exception(game)) is not None),
        asked=sum(game.state in ASKED_STATES for game in games),
        voids=sum(game.state is GameState.VOID for game in games),
        failures=sum(isinstance(ruling, JudgeFailure) and not ruling.is_abstention for ruling in rulings),
        undecidable=sum(game.state is GameState.UNDECIDABLE for game in games),
        revisions=revision_figures(games),
        attacks=attacks_of(games),
    )


def _by_group(games: Iterable[Game]) -> Counter[str]:
    return Counter(game.spec.pair.near_duplicate_group for game in games)


def _signs(rewards: Iterable[Reward | None]) -> Counter[int]:
    totals = [reward.total for reward in rewards if reward is not None]
    return Counter((total > 0) - (total < 0) for total in totals)


def _replies(games: Sequence[Game], role: Role) -> ReplyCounts:
    turns = [turn for game in games if (turn := game.turn_of(role)) is not None]
    unusable = GameState.NO_REVISION if role is Role.ATTACKER else GameState.NO_VERDICT
    return ReplyCounts(
        replies=len(turns),
        formatted=sum(turn.is_format_kept is not None for turn in turns),
        violations=sum(turn.is_format_kept is False for turn in turns),
        unusable=sum(game.state is unusable for game in games),
    )


def _exception(game: Game) -> str | None:
    """Why the zero-sum rule says nothing of ``game``; None where it does, or where nobody got a reward."""
    if game.state is GameState.NO_REVISION:
        return "without a revision"
    if game.state is GameState.UNDECIDABLE:
        return "with an undecidable revision"
    if not game.rewards:
        return None
    if not game.spec.data_type.is_adversarial:
        return "vanilla"
    if game.state is GameState.NO_VERDICT:
        return "without a verdict"
    return "against a frozen player" if len(game.rewards) < len(Role) else None


Metrics = dict[str, float]


LARGEST = 1e100
"""No metric is larger; sums and means of such numbers would overflow."""


def _usable(values: Metrics) -> Metrics:
    """``values`` without what is no number to draw: training never writes such, other programs and hands do."""
    return {name: value for name, value in values.items() if abs(value) <= LARGEST}


class RunReader:
    """What a run's report is made from. The run may still be going on, or have been cut off at any place.

    A run without ``metrics.jsonl``, as another engine may leave it, gets the metrics that follow from its games.
    """

    def __init__(self, path: Path, take: Callable[..., None] | None = None) -> None:
        """Open the run at ``path``; nothing is read before :meth:`refresh`.

        Args:
            path: of the run folder.
            take: takes in each of its games, with ``is_heldout`` for whether an evaluation played it.

        Raises:
            RunFolderError: there is no run at ``path``.
            ConfigError: its configuration can't be used.
        """
        self.run = RunFolder.open(path)
        self.name = path.resolve().name
        self._take_in = take
        self._games = LineTail(path / GAMES_FILE)
        self._heldout_games = LineTail(path / HELDOUT_GAMES_FILE)
        self._metrics = LineTail(path / METRICS_FILE)
        self._recorded: dict[int, Metrics] = {}
        self._derived: dict[int, Metrics] = {}
        self._sealed: list[StepFigures] = []
        self._current: list[Game] = []
        self._current_figures: StepFigures | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the run was cut back to an earlier step, so that everything must be read anew."""
        return self._games.is_cut or self._heldout_games.is_cut or self._metrics.is_cut

    @property
    def has_half_line(self) -> bool:
        """Whether a file ended, when last read, in a half-written line, which is left out."""
        return any(tail.has_half_line for tail in (self._games, self._heldout_games, self._metrics))

    def refresh(self) -> bool:
        """Read what is new. Returns whether there was anything.

        Raises:
            DataError: a file is damaged.
            RunFolderError: the run is gone.
        """
        # A run that is resumed may get more steps.
        self.run = RunFolder.open(self.run.path)
        is_new = False
        # Metrics first: those of a step are there before the next step's games.
        for line in self._metrics.read(StepMetrics):
            self._recorded[line.step] = self._recorded.get(line.step, {}) | _usable(line.values)
            is_new = True
        for game in self._games.read(Game):
            self._take(game)
            is_new = True
        if self._take_in is not None:
            for game in self._heldout_games.read(Game):
                self._take_in(game, is_heldout=True)
                is_new = True
        return is_new

    def steps(self) -> list[StepFigures]:
        """The counts of each step so far; the last may still grow."""
        return [*self._sealed, *([self._figures_of_current()] if self._current else [])]

    def metrics(self) -> dict[int, Metrics]:
        """The metrics of each step, from its line or from its games; step -1 is before training."""
        found = {step: dict(values) for step, values in self._derived.items()}
        if self._current and self._lacks_game_metrics(self._current_step):
            found[self._current_step] = game_metrics(self._current)
        for step, values in self._recorded.items():
            found[step] = found.get(step, {}) | values
        return dict(sorted(found.items()))

    def traces(self) -> Traces:
        """How the run stands."""
        played = max([*self._recorded, *(figures.step for figures in self.steps())], default=-1)
        return traces_of(self.run, played + 1)

    @property
    def _current_step(self) -> int:
        return self._current[0].spec.step

    def _take(self, game: Game) -> None:
        if self._take_in is not None:
            self._take_in(game, is_heldout=False)
        if self._current and self._current_step != game.spec.step:
            self._seal()
        self._current.append(game)
        self._current_figures = None

    def _seal(self) -> None:
        self._sealed.append(self._figures_of_current())
        if self._lacks_game_metrics(self._current_step):
            self._derived[self._current_step] = game_metrics(self._current)
        self._current = []

    def _figures_of_current(self) -> StepFigures:
        if self._current_figures is None:
            self._current_figures = step_figures(self._current_step, self._current)
        return self._current_figures

    def _lacks_game_metrics(self, step: int) -> bool:
        """Whether no line of the step's metrics tells of its games, as where another engine wrote it."""
        return "games/all" not in self._recorded.get(step, {})
