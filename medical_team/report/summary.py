"""What is said of a run's games when it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ..metrics.alarms import MUCH_VOID
from ..metrics.step_metrics import ASKED_STATES, void_counts
from ..records import DataType, Game, GameState, Role


def void_summary(games: Iterable[Game]) -> str:
    """The share of void games by role and by category, in one pass over ``games``, and what to do about a high one."""
    adversarial = Counter[GameState]()
    counts = void_counts(_counting(games, adversarial))
    if not counts:
        return "The judge was asked about no game: no game had both a note and a verdict."
    lines = ["Void games, in which the judge could not tell and nobody was rewarded:"]
    for names in ([role.value for role in Role], [data_type.value for data_type in DataType]):
        shares = [f"{name} {_share(*counts[name])}" for name in names if name in counts]
        lines.append("  " + ", ".join(shares))
    if any(voids > MUCH_VOID * asked for voids, asked in counts.values()):
        lines.append(
            "  More than one half: use a model judge; the reference judge reads little beyond the data set's notes."
        )
    if undecidable := adversarial[GameState.UNDECIDABLE]:
        asked = sum(adversarial[state] for state in ASKED_STATES)
        lines.append(
            f"Revisions that the judge could not decide, and the attacker lost by: {_share(undecidable, asked)}"
        )
    return "\n".join(lines)


def replacement_summary(metrics: Iterable[Mapping[str, float]]) -> str | None:
    """How many games of each category were played in place of others that left nothing to learn from; None: none.

    Args:
        metrics: those of each step.
    """
    counts = Counter[str]()
    for values in metrics:
        counts.update({kind.value: int(values.get(f"replacements/{kind.value}", 0.0)) for kind in DataType})
    if not counts.total():
        return None
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return f"Games in place of others that left nothing to learn from: {counts.total()} ({told})"


def _counting(games: Iterable[Game], adversarial: Counter[GameState]) -> Iterator[Game]:
    """``games``, the states of the adversarial ones counted on the way."""
    for game in games:
        if game.spec.data_type.is_adversarial:
            adversarial[game.state] += 1
        yield game


def _share(voids: int, asked: int) -> str:
    return f"{voids / asked:.0%} of {asked}"
