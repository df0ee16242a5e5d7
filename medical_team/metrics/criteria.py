"""The six success criteria of a run, each decided by a stated rule: pass, fail, or not enough data to tell.

1. both roles get rewards of both signs
2. the core rewards of decided games sum to zero
3. win rates are balanced
4. format violations fall
5. the attacker writes valid medical text
6. no crashes, few void games
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import isclose
from statistics import fmean

from ..records import Role
from ..runs.lock import RunState, Traces
from .alarms import LONG
from .revisions import KEPT_WORDS, LENGTH_FACTOR, NEAR_DUPLICATE, RevisionFigures
from .run_reader import StepFigures
from .statistics import grouped_binomial_interval, trend

MIN_REWARDS = 20
MIN_SIGN_SHARE = 0.01

BALANCED = (0.3, 0.7)

MIN_TREND_STEPS = 10
SIGNIFICANT = 0.05
FEW_VIOLATIONS = 0.05

MIN_REVISIONS = 20
MIN_NOTES = 0.9
MIN_LENGTH_KEPT = 0.8
MIN_WORDS_KEPT = 0.8
MAX_COPIES = 0.2
MAX_NEAR_DUPLICATES = 0.2

MIN_ASKED = 20
MAX_VOID = 0.2
MAX_FAILED = 0.02


class Status(str, Enum):
    """What a criterion says."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "not enough data"


@dataclass(frozen=True)
class Criterion:
    """One criterion, decided."""

    name: str
    status: Status
    figure: str
    """What was found, for a person."""
    rule: str
    """When it passes and when it fails."""


def criteria(steps: Sequence[StepFigures], traces: Traces) -> list[Criterion]:
    """The six criteria of a run.

    Args:
        steps: the counts of each step, in order.
        traces: what the run folder shows of how the run went.
    """
    return [
        _both_signs(steps),
        _zero_sum(steps),
        _balanced(steps),
        _format(steps),
        _valid_text(steps),
        _no_crashes(steps, traces),
    ]


def _percent(share: float) -> str:
    """A share for people: never rounded to 0 % or 100 % when it is not."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 < share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _both_signs(steps: Sequence[StepFigures]) -> Criterion:
    counts = {role: sum((step.rewards[role] for step in steps), Counter[int]()) for role in Role}
    judged = {role: count for role, count in counts.items() if count}
    statuses = [_signs_status(count) for count in judged.values()] or [Status.UNKNOWN]
    parts = [
        f"{role.value}: {_percent(count[1] / count.total())} positive, {_percent(count[-1] / count.total())} "
        f"negative of {_count(count.total(), 'reward')}"
        for role, count in judged.items()
    ]
    parts += [f"{role.value}: no reward" for role in Role if role not in judged]
    return Criterion(
        name="Both roles get rewards of both signs",
        status=_worst(statuses),
        figure="; ".join(parts),
        rule=f"Of each role that learns, at least {_percent(MIN_SIGN_SHARE)} of the rewards are positive and at least "
        f"{_percent(MIN_SIGN_SHARE)} negative. It takes {MIN_REWARDS} rewards of a role to tell.",
    )


def _signs_status(count: Counter[int]) -> Status:
    if count.total() < MIN_REWARDS:
        return Status.UNKNOWN
    return Status.PASS if min(count[1], count[-1]) >= MIN_SIGN_SHARE * count.total() else Status.FAIL


def _zero_sum(steps: Sequence[StepFigures]) -> Criterion:
    checked, broken = sum(step.sums_checked for step in steps), sum(step.sums_broken for step in steps)
    exceptions = sum((Counter(step.exceptions) for step in steps), Counter[str]())
    figure = "no decided adversarial game in which both players learn"
    if checked:
        figure = f"{_count(checked, 'game')} between two learning players, {broken or 'none'} off zero"
    if exceptions:
        listed = ", ".join(f"{count:,} {why}" for why, count in exceptions.items())
        figure += f". Outside the rule: {listed}"
    status = Status.FAIL if broken else Status.PASS if checked else Status.UNKNOWN
    return Criterion(
        name="Core rewards of decided games sum to zero",
        status=status,
        figure=figure,
        rule="In every decided adversarial game in which both players learn, the two core rewards add up to exactly 0.",
    )


def _balanced(steps: Sequence[StepFigures]) -> Criterion:
    recent = steps[-LONG:]
    contests = sum((step.contests for step in recent), Counter[str]())
    wins = sum((step.attacker_wins for step in recent), Counter[str]())
    games, won = contests.total(), wins.total()
    low, high = BALANCED
    rule = (
        "The attacker's win rate over the decided adversarial games between the players of that moment (none against "
        f"past selves or fixed opponents) of the last {LONG} steps lies between {_percent(low)} and {_percent(high)}: "
        "pass when its whole 95 % interval does, fail when the whole interval lies outside, not enough data when it "
        "straddles a bound. Games of one note or of its near-duplicates are no independent evidence: the interval is "
        "as wide as their likeness makes it (Korn and Graubard)."
    )
    name = "Win rates are balanced"
    if not games:
        figure = f"no decided adversarial game between the players of the moment in the last {LONG} steps"
        return Criterion(name, Status.UNKNOWN, figure, rule)
    interval = grouped_binomial_interval([wins[group] for group in contests], list(contests.values()))
    if low <= interval.low and interval.high <= high:
        status = Status.PASS
    elif interval.high < low or interval.low > high:
        status = Status.FAIL
    else:
        status = Status.UNKNOWN
    figure = (
        f"the attacker won {_percent(won / games)} of {_count(games, 'game')} "
        f"over {_count(len(contests), 'group')} of near-duplicate notes "
        f"(95 % interval {_percent(interval.low)} to {_percent(interval.high)})"
    )
    return Criterion(name, status, figure, rule)


def _format(steps: Sequence[StepFigures]) -> Criterion:
    has_format = any(counts.formatted for step in steps for counts in step.replies.values())
    what = "replies that break the thinking format" if has_format else "replies that are no note or no verdict"
    series = {role: _broken_shares(steps, role, has_format=has_format) for role in Role}
    played = {role: shares for role, shares in series.items() if shares}
    verdicts = [_trend_verdict(role, shares) for role, shares in played.items()]
    note = "" if has_format else " (no thinking format in this run: what the game could not use counts instead)"
    return Criterion(
        name="Format violations fall",
        status=_worst([status for status, _ in verdicts] or [Status.UNKNOWN]),
        figure="; ".join(text for _, text in verdicts) + note if verdicts else "no reply yet",
        rule=f"For each role the share of {what} falls over the steps (Mann-Kendall test that allows for "
        f"autocorrelation, one-sided p < {SIGNIFICANT}), or is at most {_percent(FEW_VIOLATIONS)} over the last {LONG} "
        f"steps (of a shorter run: its last half) and doesn't rise. It takes {MIN_TREND_STEPS} steps to tell.",
    )


def _broken_shares(steps: Sequence[StepFigures], role: Role, *, has_format: bool) -> list[float]:
    counts = [step.replies[role] for step in steps]
    if has_format:
        return [count.violations / count.formatted for count in counts if count.formatted]
    return [count.unusable / count.replies for count in counts if count.replies]


def _trend_verdict(role: Role, shares: Sequence[float]) -> tuple[Status, str]:
    span = min(LONG, max(1, len(shares) // 2))
    level = fmean(shares[-span:])
    start = _percent(fmean(shares[:span]))
    text = f"{role.value}: {start} in the first {_count(span, 'step')}, {_percent(level)} in the last"
    if len(shares) < MIN_TREND_STEPS:
        return Status.UNKNOWN, text
    found = trend(shares)
    if found.p_falling < SIGNIFICANT:
        return Status.PASS, f"{text}, falling (p {_p_value(found.p_falling)})"
    if found.p_rising < SIGNIFICANT:
        return Status.FAIL, f"{text}, rising (p {_p_value(found.p_rising)})"
    is_low = level <= FEW_VIOLATIONS or isclose(level, FEW_VIOLATIONS)
    return (Status.PASS, f"{text}, low") if is_low else (Status.FAIL, f"{text}, no trend")


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _valid_text(steps: Sequence[StepFigures]) -> Criterion:
    figures = sum((step.revisions for step in steps[-LONG:]), RevisionFigures())
    rule = (
        f"Of the attacker's replies of the last {LONG} steps at least {_percent(MIN_NOTES)} are a note. Of those at "
        f"least {_percent(MIN_LENGTH_KEPT)} keep the length (within a factor {LENGTH_FACTOR} of the seed note's), at "
        f"least {_percent(MIN_WORDS_KEPT)} keep the vocabulary ({_percent(KEPT_WORDS)} of its different words), at "
        f"most {_percent(MAX_COPIES)} are copies, and at most {_percent(MAX_NEAR_DUPLICATES)} nearly repeat another "
        f"one of their step though the seed notes differ ({_percent(NEAR_DUPLICATE)} of their runs of three words). "
        f"It takes {MIN_REVISIONS} replies to tell."
    )
    name = "The attacker writes valid medical text"
    if not figures.replies:
        return Criterion(name, Status.UNKNOWN, f"no reply of the attacker in the last {LONG} steps", rule)
    notes = figures.notes
    parts = [f"{_percent(notes / figures.replies)} of {figures.replies:,} replies are a note"]
    if notes:
        parts += [
            f"{_percent(figures.length_kept / notes)} keep the length",
            f"{_percent(figures.words_kept / notes)} the vocabulary",
            f"{_percent(figures.copies / notes)} are copies",
            f"{_percent(figures.near_duplicates / notes)} near-duplicates",
        ]
    is_valid = (
        notes >= MIN_NOTES * figures.replies
        and figures.length_kept >= MIN_LENGTH_KEPT * notes
        and figures.words_kept >= MIN_WORDS_KEPT * notes
        and figures.copies <= MAX_COPIES * notes
        and figures.near_duplicates <= MAX_NEAR_DUPLICATES * notes
    )
    status = Status.UNKNOWN if figures.replies < MIN_REVISIONS else Status.PASS if is_valid else Status.FAIL
    return Criterion(name, status, ", ".join(parts), rule)


def _no_crashes(steps: Sequence[StepFigures], traces: Traces) -> Criterion:
    asked = sum(step.asked for step in steps)
    voids, failures = sum(step.voids for step in steps), sum(step.failures for step in steps)
    is_dead = traces.state is RunState.KILLED
    parts = ["the last process was killed"] if is_dead else []
    if traces.abandoned_lines:
        parts.append(f"cut off and resumed ({_count(traces.abandoned_lines, 'line')} of steps played again put aside)")
    parts = parts or ["no crash"]
    if asked:
        parts.append(
            f"{_percent(voids / asked)} of {_count(asked, 'game')} that the judge was asked about are void "
            f"({failures:,} because it failed, {voids - failures:,} because it could not tell)"
        )
        if undecidable := sum(step.undecidable for step in steps):
            parts.append(
                f"apart from those, {_count(undecidable, 'revision')} that it could not decide, lost by the attacker"
            )
    else:
        parts.append("the judge was asked about no game")
    is_bad = is_dead or (asked >= MIN_ASKED and (voids > MAX_VOID * asked or failures > MAX_FAILED * asked))
    status = Status.FAIL if is_bad else Status.PASS if asked >= MIN_ASKED else Status.UNKNOWN
    return Criterion(
        name="No crashes, few void games",
        status=status,
        figure="; ".join(parts),
        rule="The run was not cut off without being resumed (resumed crashes are reported, not failed: the run went "
        "on from its last checkpoint, and no step counts twice), and of the games that the judge "
        f"was asked about at most {_percent(MAX_VOID)} are void, at most {_percent(MAX_FAILED)} because the judge "
        f"failed. It takes {MIN_ASKED} such games to tell.",
    )


def _worst(statuses: Sequence[Status]) -> Status:
    order = (Status.FAIL, Status.UNKNOWN, Status.PASS)
    return min(statuses, key=order.index)
