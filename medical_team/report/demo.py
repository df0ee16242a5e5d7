"""What a run of the demo came to: a picture of who wins while it trains, a table of held-out accuracies, and one
note judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import MissingDependencyError
from ..evaluation.game_metrics import BalancedAccuracy, HeldoutScore
from ..records import Game
from ..runs.folder import StepMetrics
from ..terminal_text import visible
from .game_text import format_game

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
    figure.savefig(path, dpi=110)  # pyright: ignore[reportUnknownMemberType]


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
