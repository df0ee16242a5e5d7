"""Signs that training goes wrong, found in the metrics of past steps. Each says what was seen, and what may be
done. The limits on a run's surroundings are defined here once: ``doctor`` checks them before a run, alarms
while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from ..records import DataType, Role
from .cycling import Attacks, cycling
from .step_metrics import ASKED_STATES, BALANCED_ACCURACY, BYTES_PER_GIB

JUDGE_SECONDS_PER_BATCH = 1.0
"""A judge should rule on a batch of :data:`JUDGE_BATCH` games in less."""

JUDGE_BATCH = 64
"""Games of one batch, for which the judge's latency is stated."""

GPU_MEMORY_SHARE = 0.8
"""The share of a GPU's memory that should not be exceeded."""

DISK_BYTES = 10 * 10**9
"""Free disk space that a run should find where nothing better is planned."""

DISK_RESERVE_BYTES = 2 * 10**9
"""What should stay free beyond that: a disk that is full to the last byte loses checkpoints."""


Values = Mapping[str, float]

SOON = 10
"""Steps looked back on for what shows quickly."""

LONG = 20
"""Steps that count as long."""

MUCH_VOID = 0.5
MOST = 0.5
UNEVEN_VOID = 0.3
ONE_SIDED = 0.9
ALIKE = 0.98
FEW_STEPS = 5
FAR_FROM_REFERENCE = 1.0
FEW_EVALUATIONS = 3
MANY_READS = 2.0
REWARD_UP = 0.3
ACCURACY_FLAT = 0.02
NEARLY_PERFECT = 0.95


def alarms(history: Sequence[Values], attacks: Mapping[int, Attacks] | None = None) -> dict[str, str]:
    """What is wrong in ``history``, the metrics of the steps so far, oldest first: a sentence under a stable name.

    The names let a caller say each alarm once, though its figures change from step to step.

    Args:
        history: the metrics.
        attacks: who attacked in the steps so far, where past selves play.
    """
    found = {name: rule(history) for name, rule in _RULES.items()}
    found["cycling"] = cycling(attacks or {})
    return {name: sentence for name, sentence in found.items() if sentence is not None}


def _recent(history: Sequence[Values], name: str, steps: int, minimum: int = 1) -> float | None:
    """The mean of ``name`` over the last ``steps`` steps that have it; None for fewer than ``minimum``."""
    values: list[float] = []
    for step in reversed(history):
        if len(values) == steps:
            break
        if name in step:
            values.append(step[name])
    return fmean(values) if len(values) >= minimum else None


@dataclass(frozen=True)
class _Above:
    """Says its sentence while a metric's mean over its last steps is above a limit; of several the highest counts."""

    metrics: tuple[str, ...]
    limit: float
    sentence: str
    """With ``{mean}`` and, for the last part of the metric's name, ``{of}``."""
    steps: int = SOON
    minimum: int = FEW_STEPS
    """With fewer steps that have the metric nothing is said."""

    def __call__(self, history: Sequence[Values]) -> str | None:
        means = {name: _recent(history, name, self.steps, self.minimum) for name in self.metrics}
        mean, name = max((mean, name) for name, mean in {**means, "": self.limit}.items() if mean is not None)
        return self.sentence.format(mean=mean, of=name.rpartition("/")[2]) if mean > self.limit else None


def _void(history: Sequence[Values]) -> str | None:
    names = [*(role.value for role in Role), *(kind.value for kind in DataType)]
    means = {name: _recent(history, f"void_share/{name}", SOON) for name in names}
    much = {name: share for name, share in means.items() if share is not None and share > MUCH_VOID}
    if not much:
        return None
    listed = ", ".join(f"{share:.0%} ({name})" for name, share in much.items())
    return (
        f"The judge can't tell in more than half of the games it is asked about: {listed}. Nobody learns from those. "
        "Use a model judge: the reference judge reads little beyond the wording of the data set's own notes."
    )


def _uneven_void(history: Sequence[Values]) -> str | None:
    means = {kind.value: _recent(history, f"void_share/{kind.value}", SOON, FEW_STEPS) for kind in DataType}
    shares = {name: share for name, share in means.items() if share is not None}
    if not shares or max(shares.values()) - min(shares.values()) <= UNEVEN_VOID:
        return None
    most, least = max(shares, key=lambda name: shares[name]), min(shares, key=lambda name: shares[name])
    return (
        f"Void games are uneven: {shares[most]:.0%} of {most}, {shares[least]:.0%} of {least}. What is left to learn "
        "from is biased towards the latter: use a model judge, which abstains less."
    )


def _verdicts_alike(history: Sequence[Values]) -> str | None:
    share = _recent(history, "verdicts/harmful_share", SOON, FEW_STEPS)
    if share is None or 1 - ALIKE < share < ALIKE:
        return None
    word = "Harmful" if share >= ALIKE else "Safe"
    return (
        f"Nearly all verdicts of the last steps are {word}: the assessor no longer reads the notes. Go back to an "
        "earlier checkpoint with a lower training.learning_rate or a higher training.kl_coefficient."
    )


def _mismatch(history: Sequence[Values]) -> str | None:
    if not history or "rollout/mismatch_mean" not in history[-1]:
        return None
    mean, bound = history[-1]["rollout/mismatch_mean"], history[-1]["rollout/mismatch_bound"]
    if mean <= bound:
        return None
    return (
        f"The engine that draws replies gives them other probabilities than the policy that learns: {mean:.2g} nats a "
        f"token, where rounding explains {bound:g}. It learns from what another policy said. Set rollout.engine to "
        "transformers, or rollout.correction to truncated; where neither side computes in bf16, please report it."
    )


def _gamed(history: Sequence[Values]) -> str | None:
    """Reward up, held-out accuracy flat, from the first to the last of the latest evaluations."""
    evaluated = [step for step, values in enumerate(history) if BALANCED_ACCURACY in values][-FEW_EVALUATIONS:]
    if len(evaluated) < FEW_EVALUATIONS:
        return None
    first, last = evaluated[0], evaluated[-1]
    accuracy = history[last][BALANCED_ACCURACY]
    if accuracy > NEARLY_PERFECT or accuracy > history[first][BALANCED_ACCURACY] + ACCURACY_FLAT:
        return None
    for role in Role:
        before = _recent(history[: first + 1], f"rewards/{role.value}/total", SOON, FEW_STEPS)
        after = _recent(history[: last + 1], f"rewards/{role.value}/total", SOON, FEW_STEPS)
        if before is not None and after is not None and after > before + REWARD_UP:
            return (
                f"The {role.value}'s reward rose by {after - before:.2f} over the last {FEW_EVALUATIONS} evaluations "
                f"while held-out balanced accuracy stayed at {accuracy:.0%}: what is learned may be a weakness of the "
                f"judge, such as notes that speak to it. Read the {role.value}'s latest wins, and try another judge."
            )
    return None


def _not_zero_sum(history: Sequence[Values]) -> str | None:
    total = history[-1].get("rewards/core_sum", 0.0) if history else 0.0
    if total == 0.0:
        return None
    return (
        f"The core rewards of the decided adversarial games add up to {total}, not to 0. That is a defect of this "
        "program: please report it with the run's games.jsonl."
    )


def _slow_judge(history: Sequence[Values]) -> str | None:
    batches = [seconds for step in history[-SOON:] if (seconds := _judge_seconds_per_batch(step)) is not None]
    # The median: one step in which the judge was away says nothing of how fast it is.
    if len(batches) < FEW_STEPS or (seconds := median(batches)) <= JUDGE_SECONDS_PER_BATCH:
        return None
    return (
        f"The judge takes {seconds:.1f} s for a batch of up to {JUDGE_BATCH} games; it should take less than "
        f"{JUDGE_SECONDS_PER_BATCH:g} s. If a model judges, serve it from a GPU of its own (`medical-team judge "
        "serve`), take a smaller judge.model or fewer judge.votes. If none does, something else crowds this machine."
    )


def _judge_seconds_per_batch(step: Values) -> float | None:
    asked = sum(step.get(f"games/{state.value}", 0.0) for state in ASKED_STATES)
    if asked == 0 or "seconds/judge" not in step:
        return None
    return step["seconds/judge"] / -(-asked // JUDGE_BATCH)


def _disk(history: Sequence[Values]) -> str | None:
    if not history or "disk/free_gib" not in history[-1]:
        return None
    free, checkpoint = history[-1]["disk/free_gib"], history[-1].get("disk/checkpoint_gib", 0.0)
    # A checkpoint is written before an older one is deleted.
    wanted = DISK_RESERVE_BYTES / BYTES_PER_GIB + checkpoint
    if free >= wanted:
        return None
    return (
        f"{free:.1f} GiB are free on the run's disk; the next checkpoint and a reserve need {wanted:.1f} GiB. Free "
        "some space: a full disk stops the run, which then goes on from its last checkpoint."
    )


def _slow_rollout(history: Sequence[Values]) -> str | None:
    if not history:
        return None
    last = history[-1]
    reads = last.get("speed/reads_per_token", 0.0)
    if last.get("rollout_path/reread"):
        return (
            f"The model keeps no cache that could be used: each token was read {reads:.0f} times while replies were "
            "drawn, not once. Take a policy.model of another architecture, or lower rollout.max_revision_tokens and "
            "max_verdict_tokens."
        )
    if reads > MANY_READS:
        return (
            f"Each token of prompts and replies was read {reads:.1f} times while replies were drawn; about once is "
            "right. That is a defect of this program or of the installed transformers: please report it with the "
            "model's name."
        )
    return None


_RULES: Mapping[str, Callable[[Sequence[Values]], str | None]] = {
    "void": _void,
    "uneven_void": _uneven_void,
    "undecidable": _Above(
        (f"undecidable_share/{Role.ATTACKER.value}",),
        MUCH_VOID,
        "The judge can't decide {mean:.0%} of the attacker's revisions. The attacker loses by those, and the "
        "assessor learns nothing from them. If they read like notes, use a model judge: the reference judge reads "
        "little beyond the wording of the data set's own notes. If they don't, warm-start the policy or raise "
        "training.kl_coefficient.",
        minimum=1,
    ),
    "one_sided": _Above(
        tuple(f"win_rate/{role.value}" for role in Role),
        ONE_SIDED,
        f"The {{of}} won {{mean:.0%}} of the games of the last {LONG} steps, which leaves little to learn. "
        "Look at games.jsonl for why; a lower training.learning_rate, a higher training.kl_coefficient or a "
        "warm-started model helps a role that has fallen behind.",
        LONG,
        LONG,
    ),
    "verdicts_alike": _verdicts_alike,
    "unfaithful_wins": _Above(
        ("revisions/unfaithful_win_share",),
        MOST,
        "{mean:.0%} of the attacker's wins are by notes that are not what their category asks for, such as a "
        "deleted error. Set game.coefficients.unfaithful to -2 (the default) or lower, so that such a win pays less "
        "than a faithful loss; where it is, give the attacker time or a warm start.",
    ),
    "copies": _Above(
        ("revisions/copy_share",),
        MOST,
        "{mean:.0%} of the attacker's notes say the same words as the seed note. Raise rollout.temperature, or "
        "start from a model that follows instructions better.",
    ),
    "near_duplicates": _Above(
        ("revisions/near_duplicate_share",),
        MOST,
        "{mean:.0%} of the attacker's notes nearly repeat another note of their step, of another seed note: "
        "the attacker has collapsed onto one text. Go back to an earlier checkpoint with a higher "
        "training.kl_coefficient or rollout.temperature.",
    ),
    "format": _Above(
        tuple(f"format_violations/{role.value}" for role in Role),
        MOST,
        "The {of} breaks the thinking format in {mean:.0%} of its replies and doesn't get "
        "better. Raise the token limits in [rollout] if replies are cut, or set game.thinking to false for "
        "a small model.",
        LONG,
        LONG,
    ),
    "kl": _Above(
        ("policy/kl", *(f"policy/kl/{role.value}" for role in Role)),
        FAR_FROM_REFERENCE,
        "The policy is {mean:.2f} nats a token away from where it started. Raise training.kl_coefficient or lower "
        "training.learning_rate.",
        FEW_STEPS,
    ),
    "mismatch": _mismatch,
    "gamed": _gamed,
    "not_zero_sum": _not_zero_sum,
    "slow_judge": _slow_judge,
    "gpu_memory": _Above(
        ("memory/gpu_share",),
        GPU_MEMORY_SHARE,
        f"{{mean:.0%}} of the GPU's memory was needed at the peak; it should stay under {GPU_MEMORY_SHARE:.0%}. Before "
        "it runs out: lower rollout.batch_size and training.tokens_per_microbatch, set policy.gradient_checkpointing, "
        "or take a smaller policy.model. `train --plan` shows what takes how much.",
        1,
        1,
    ),
    "disk": _disk,
    "slow_rollout": _slow_rollout,
}
"""The signs by their names; of past attackers, which take more than metrics, :mod:`.cycling` tells."""

MAX_LOOKS = 500
"""A longer run is looked at in as many places, evenly spread."""

_LOOK_BACK = 10 * LONG


@dataclass(frozen=True)
class AlarmSpan:
    """One alarm of a run."""

    name: str
    sentence: str
    """As it was last said: what was seen, and what to try."""
    first_step: int
    last_step: int
    is_up: bool
    """Whether it still holds at the run's last step."""


def alarm_spans(
    metrics: Mapping[int, Mapping[str, float]], attacks: Mapping[int, Attacks] | None = None
) -> list[AlarmSpan]:
    """The alarms over a run, those still up first, by the metrics of each step in order, and who attacked in it."""
    steps, values = list(metrics), list(metrics.values())
    stride = -(-len(steps) // MAX_LOOKS) or 1
    # Counted back from the end, so that the last step is always looked at.
    looks = sorted(range(len(steps) - 1, -1, -stride))
    spans: dict[str, AlarmSpan] = {}
    for look in looks:
        attacked = {step: who for step, who in (attacks or {}).items() if step <= steps[look]}
        for name, sentence in alarms(values[max(0, look + 1 - _LOOK_BACK) : look + 1], attacked).items():
            first = spans[name].first_step if name in spans else steps[look]
            spans[name] = AlarmSpan(name, sentence, first, steps[look], is_up=look == looks[-1])
    return sorted(spans.values(), key=lambda span: (not span.is_up, span.first_step))
