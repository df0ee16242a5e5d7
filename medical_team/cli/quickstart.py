"""``medical-team quickstart``: the whole thing, small, on this machine; with the policy that ships, self-play that
visibly makes the assessor better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..config import (
    TINY_RANDOM_MODEL,
    CheckpointConfig,
    PolicyConfig,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
)
from ..errors import MissingDependencyError, UsageError
from ..evaluation.game_metrics import BalancedAccuracy, HeldoutScore
from ..records import Game, GameState
from ..report.display import Display, make_display
from ..report.game_text import format_game
from ..report.listeners import usual_listeners
from ..runs.config_file import load_preset
from ..runs.folder import RunFolder, StepMetrics
from ..terminal_text import shell_word, visible
from .arguments import parse, say
from .train import conclude, training_session

_STEPS, _GAMES = 2, 8

_INTRODUCTION = """\
Medical self-red-teaming, small: an attacker and an assessor, both played by one language model, play a few games with
synthetic clinical notes; a judge says who was right; the model learns from it in {steps} steps of {games} games.
Research software, not for clinical use.
"""

_NEXT = """
What to try next:
  medical-team train --training.steps 20                      a longer run on the same notes
  medical-team data build MEDEC.csv -o data                   real notes: MEDEC to training records
  medical-team train --data.train data/train.jsonl            self-play on them
"""

HELDOUT_CASES = 32
PLOT_FILE = "self_play.png"

_DEMO_INTRODUCTION = """\
Medical self-red-teaming, small: an attacker that hides errors in clinical notes and an assessor that finds them, both
played by one small model that ships, which was shown how to play and speaks the language of the synthetic notes
alone. It was taught the verdicts for {taught} conditions. Those for {untaught} others it learns by playing alone:
{steps} steps of {games} games, judged by the table that made the notes.
Research software, not for clinical use.
"""

_SCORES = """
The assessor on held-out notes, before and after self-play: balanced accuracy (0.50 is guessing) with 95 % intervals.

{scores}

Common errors abound in the notes to play with; rare ones are brought in by attackers alone. Conditions never seen are
in no training of any kind: there nothing can be known, and no gain is claimed.
"""

_DEMO_NEXT = """
What to try next:
  medical-team report {path}                   every game and curve, as a page
  medical-team quickstart --policy smollm2     the same with a real pre-trained model, briefly
  medical-team data build MEDEC.csv -o data    real notes: MEDEC to training records
"""


@dataclass(frozen=True)
class QuickstartArguments:
    """Play and learn for a few minutes, without a GPU or an account."""

    policy: Literal["demo", "smollm2", "tiny-random"] = "demo"
    """The policy that ships, which visibly learns; SmolLM2-135M-Instruct; or a tiny random model."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the run; without it, the next free of runs/quickstart, runs/quickstart-2, ..."""
    steps: int | None = None
    """Updates of the policy; unset: those of the preset demo, or 2."""
    games: int | None = None
    """Games for each update; unset: those of the preset demo, or 8."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(QuickstartArguments, "quickstart", arguments)
    path = chosen.run or _free_folder(Path("runs") / "quickstart")
    if chosen.policy == "demo":
        return _play_demo(path, steps=chosen.steps, games=chosen.games)
    steps, games = chosen.steps or _STEPS, chosen.games or _GAMES
    session = training_session()
    with make_display() as display:
        display.notice(_INTRODUCTION.format(steps=steps, games=games))
        result = session.start_run(_config(chosen.policy, steps, games), path, usual_listeners(display))
        _show_a_game(path, display)
    status = conclude(path, is_finished=result.is_finished, completed_steps=result.completed_steps)
    say(_NEXT)
    return status


def _config(policy: Literal["smollm2", "tiny-random"], steps: int, games: int) -> RunConfig:
    training = TrainingConfig(steps=steps, games_per_step=games)
    checkpoints = CheckpointConfig(save_every=max(steps, 1))
    if policy == "smollm2":
        rollout = RolloutConfig(max_revision_tokens=160, max_verdict_tokens=8)
        return RunConfig(rollout=rollout, training=training, checkpoints=checkpoints)
    # The tiny model has a token for each byte: its prompts are long, and its replies would be too.
    rollout = RolloutConfig(max_prompt_tokens=4096, max_revision_tokens=32, max_verdict_tokens=8)
    return RunConfig(
        policy=PolicyConfig(model=TINY_RANDOM_MODEL), rollout=rollout, training=training, checkpoints=checkpoints
    )


def _free_folder(path: Path) -> Path:
    candidates = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000))]
    for candidate in candidates:
        if not candidate.exists():
            return candidate
    raise UsageError(f"{path} and all of its numbered neighbours are taken; name a folder with --run")


def _show_a_game(path: Path, display: Display) -> None:
    """Show the game that tells most: one with an attacker, decided, and late in the run, as far as there is one."""
    games = list(RunFolder.open(path).games())
    if games:
        display.notice("\nOne of the games:\n\n" + format_game(max(games, key=_how_telling)))


def _how_telling(game: Game) -> tuple[bool, bool, int]:
    return game.state is GameState.DECIDED, game.spec.data_type.is_adversarial, game.spec.step


def _play_demo(path: Path, *, steps: int | None, games: int | None) -> int:
    """Play, learn, and show what changed. Returns the exit status."""
    training_session()
    from ..data.synthetic.demo_world import TAUGHT, UNTAUGHT
    from ..train.demo_run import run_demo

    config = _demo_config(steps, games)
    told = {"steps": config.training.steps, "games": config.training.games_per_step}
    with make_display() as display:
        display.notice(_DEMO_INTRODUCTION.format(taught=TAUGHT, untaught=UNTAUGHT, **told))
        result = run_demo(config, path, usual_listeners(display), heldout_cases=HELDOUT_CASES)
        if result.scores:
            display.notice(_SCORES.format(scores=scores_text(result.scores)))
            if result.example is not None:
                display.notice(f"One of the held-out notes:\n\n{example_text(*result.example)}\n")
            plot = path / PLOT_FILE
            try:
                save_demo_plot(plot, list(RunFolder.open(path).metrics()), result.scores)
                display.notice(f"The same as a picture: {plot}")
            except MissingDependencyError as error:
                display.warn(f"no picture: {error}")
    status = conclude(path, is_finished=result.training.is_finished, completed_steps=result.training.completed_steps)
    say(_DEMO_NEXT.format(path=shell_word(path)))
    return status


def _demo_config(steps: int | None, games: int | None) -> RunConfig:
    config = load_preset("demo")
    chosen = {"steps": steps, "games_per_step": games}
    changes = {name: value for name, value in chosen.items() if value is not None}
    return replace(config, training=replace(config.training, **changes))


_BEFORE, _AFTER = "#9aa5b1", "#0b6e99"
_CURVES = {
    "assessor_accuracy/all": ("assessor right, all games", "-", "#0b6e99"),
    "win_rate/attacker": ("attacker wins", "--", "#c2571a"),
}


def save_demo_plot(path: Path, metrics: Sequence[StepMetrics], scores: Sequence[HeldoutScore]) -> None:
    """Write the picture to ``path``, a PNG file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OSError: it can't be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDependencyError("matplotlib", "train") from error
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(1, 1.5))
    for name, (label, line, colour) in _CURVES.items():
        points = [(item.step + 1, item.values[name]) for item in metrics if name in item.values]
        curves.plot(*zip(*points, strict=True), line, color=colour, label=label) if points else None
    curves.set(xlabel="step of self-play", ylabel="share", ylim=(0, 1), title="While it plays")
    curves.legend(loc="center right", frameon=False)
    labels = [f"{score.group}\n{'revised by an attacker' if score.is_revised else 'as written'}" for score in scores]
    places = range(len(scores))
    for offset, colour, label, hatch, values in (
        (-0.2, _BEFORE, "before", "//", [score.before for score in scores]),
        (0.2, _AFTER, "after", "", [score.after for score in scores]),
    ):
        below = [max(0.0, item.value - item.interval.low) for item in values]
        above = [max(0.0, item.interval.high - item.value) for item in values]
        bars.barh(
            [place + offset for place in places], [item.value for item in values], height=0.38, color=colour,
            hatch=hatch, edgecolor="white", label=label, xerr=[below, above], error_kw={"elinewidth": 1, "capsize": 2},
        )  # fmt: skip
    bars.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    bars.set_yticks(list(places), labels, fontsize=8)
    bars.invert_yaxis()
    bars.set(xlim=(0, 1), xlabel="balanced accuracy with 95 % interval; dotted: guessing", title="Held-out notes")
    bars.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110)  # pyright: ignore[reportUnknownMemberType] - its options are untyped


_WIDTH = 36
_COLUMN = 18


def scores_text(scores: Sequence[HeldoutScore]) -> str:
    """The table: a line for each group, before and after, for the notes as written and as an attacker revised them."""
    groups = list(dict.fromkeys(score.group for score in scores))
    by_place = {(score.group, score.is_revised): score for score in scores}
    lines = [
        f"{'':{_WIDTH}} {'as written':^{2 * _COLUMN + 1}} {'revised by an attacker':^{2 * _COLUMN + 1}}",
        " ".join([" " * _WIDTH, *[f"{title:>{_COLUMN}}" for title in ("before", "after") * 2]]),
    ]
    for group in groups:
        cells: list[str] = []
        for is_revised in (False, True):
            score = by_place.get((group, is_revised))
            cells += [accuracy_text(score.before), accuracy_text(score.after)] if score else ["-", "-"]
        lines.append(" ".join([f"{group:{_WIDTH}}", *[f"{cell:>{_COLUMN}}" for cell in cells]]))
    return "\n".join(lines)


def accuracy_text(accuracy: BalancedAccuracy) -> str:
    """``0.91 [0.85, 0.96]``."""
    return f"{accuracy.value:.2f} [{accuracy.interval.low:.2f}, {accuracy.interval.high:.2f}]"


def example_text(before: Game, after: Game) -> str:
    """One held-out note as an attacker revised it, and the assessor's two verdicts on it."""
    verdicts = [visible(game.verdict.value) if game.verdict else "no verdict" for game in (before, after)]
    return f"{format_game(after)}\n\nBefore the training the assessor said {verdicts[0]}; now it says {verdicts[1]}."
