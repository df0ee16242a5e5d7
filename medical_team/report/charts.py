"""Which curves the report draws, and their points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records import DataType, Role

MAX_POINTS = 2000
"""A longer curve is thinned out: no screen shows more, and the page would only grow."""

Unit = str
"""How numbers of a chart are written: share, plain, tokens, seconds, GiB, nats."""


@dataclass(frozen=True)
class Chart:
    """One chart: curves that belong together. A metric that ends in ``*`` stands for all that begin so."""

    title: str
    unit: Unit
    metrics: tuple[tuple[str, str], ...]
    """Names of metrics and what the legend calls them."""


def _by_role(pattern: str) -> tuple[tuple[str, str], ...]:
    return tuple((pattern.format(role.value), role.value) for role in Role)


def _by_category(pattern: str, categories: Sequence[DataType]) -> tuple[tuple[str, str], ...]:
    return tuple((pattern.format(kind.value), kind.value.replace("_", " ")) for kind in categories)


_ADVERSARIAL = [kind for kind in DataType if kind.is_adversarial]
_TERMS = ("core", "revision", "format", "location", "correction")

CHARTS = (
    Chart("Reward by role", "plain", _by_role("rewards/{}/total")),
    Chart("Attacker's reward by term", "plain", tuple((f"rewards/attacker/{term}", term) for term in _TERMS)),
    Chart("Assessor's reward by term", "plain", tuple((f"rewards/assessor/{term}", term) for term in _TERMS)),
    Chart("Attacker's wins by category", "share", _by_category("attacker_success/{}", _ADVERSARIAL)),
    Chart("Assessor's right verdicts by category", "share", _by_category("assessor_accuracy/{}", list(DataType))),
    Chart("Held-out notes", "share", (("heldout/*", ""),)),
    Chart("Verdicts", "share", (
        ("verdicts/detection_rate", "errors found"),
        ("verdicts/false_alarm_rate", "false alarms"),
        ("verdicts/located_share", "errors found whose sentence is named"),
        ("verdicts/corrected_share", "corrections that the judge accepts"),
        ("verdicts/harmful_share", "all that say Harmful"),
    )),
    Chart("Format violations", "share", _by_role("format_violations/{}")),
    Chart("Replies cut at the token limit", "share", _by_role("cut_replies/{}")),
    Chart("Revisions", "share", (
        ("revisions/faithful_share", "faithful"),
        ("revisions/unfaithful_win_share", "wins by unfaithful ones"),
        ("revisions/copy_share", "copies"),
        ("revisions/near_duplicate_share", "near-duplicates"),
        ("revisions/length_kept_share", "keep the length"),
        ("revisions/words_kept_share", "keep the words"),
    )),
    Chart("Void games by category", "share", _by_category("void_share/{}", list(DataType))),
    Chart("Undecidable revisions by category", "share", _by_category("undecidable_share/{}", _ADVERSARIAL)),
    Chart("Games in place of others, by category", "plain", _by_category("replacements/{}", list(DataType))),
    Chart("Against whom: attackers' wins over the assessor that learns", "share", (("opponent_wins/attacker/*", ""),)),
    Chart("Against whom: assessors' wins over the attacker that learns", "share", (("opponent_wins/assessor/*", ""),)),
    Chart("KL from the reference policy", "nats", (("policy/kl", "KL"), *_by_role("policy/kl/{}"))),
    Chart("Entropy of the policy", "nats", (("policy/entropy", "entropy"),)),
    Chart("Loss on demonstrations", "nats", (("policy/demonstration_loss", "a token"),)),
    Chart("Length of replies", "tokens", _by_role("reply_tokens/{}")),
    Chart("Judge: time for a step's games", "seconds", (("seconds/judge", "all games of the step"),)),
    Chart("Judge: who ruled", "share", (("judge_source/*", ""),)),
    Chart("Tokens a second", "tokens", (("speed/tokens_per_second", "generated"),)),
    Chart("Tokens read to draw one", "plain", (("speed/reads_per_token", "of prompts and replies"),)),
    Chart("Peak memory", "GiB", (("memory/peak_gib", "peak"),)),
    Chart("Seconds by phase", "seconds", (("seconds/*", ""),)),
)  # fmt: skip

_NOT_A_PHASE = "seconds/total"


def chart_data(metrics: Mapping[int, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Each chart with the curves of one run; a chart without any point has no curve.

    Args:
        metrics: of each step, in order.
    """
    names = sorted({name for values in metrics.values() for name in values})
    return [
        {
            "title": chart.title,
            "unit": chart.unit,
            "curves": [curve for name, label in _expanded(chart, names) if (curve := _curve(metrics, name, label))],
        }
        for chart in CHARTS
    ]


def _expanded(chart: Chart, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for metric, label in chart.metrics:
        if not metric.endswith("*"):
            yield metric, label
            continue
        start = metric[:-1]
        for name in names:
            if name.startswith(start) and name != _NOT_A_PHASE:
                yield name, name.removeprefix(start).replace("_", " ")


def _curve(metrics: Mapping[int, Mapping[str, float]], name: str, label: str) -> dict[str, Any] | None:
    points = [(step, values[name]) for step, values in metrics.items() if name in values]
    if not points:
        return None
    stride = -(-len(points) // MAX_POINTS)
    kept = points[::-stride][::-1]
    return {"label": label, "steps": [step for step, _ in kept], "values": [_rounded(value) for _, value in kept]}


def _rounded(value: float) -> float:
    """Five digits are more than any screen shows."""
    return float(f"{value:.5g}")
