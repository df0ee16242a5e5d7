"""What a run of the demo came to, as text: a table of held-out accuracies, and one note judged before and after."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.accuracy import BalancedAccuracy, HeldoutScore
from ..records import Game
from ..terminal_text import visible
from .game_text import format_game

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
