"""A picture of a run of the demo: who wins while it trains, and how the assessor does before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import MissingDependencyError
from ..evaluation.accuracy import HeldoutScore
from ..runs.folder import StepMetrics

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
    for offset, colour, label, hatch, of in (
        (-0.2, _BEFORE, "before", "//", lambda score: score.before),
        (0.2, _AFTER, "after", "", lambda score: score.after),
    ):
        values = [of(score) for score in scores]
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
    figure.savefig(path, dpi=110)
