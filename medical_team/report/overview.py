"""All that the page shows of a run besides its games, as plain JSON values: the curves and their points, what the
run was made from, and how its time was spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from math import fsum
from pathlib import Path
from typing import Any

from ..config import JudgeConfig, RunConfig
from ..data.card import licences
from ..error_types import error_type_key, in_order
from ..errors import DataError, RunFolderError
from ..metrics.alarms import alarm_spans
from ..metrics.criteria import criteria
from ..metrics.run_reader import RunReader
from ..metrics.step_metrics import REWARD_TERMS
from ..network.secrets import without_user
from ..records import DataType, Role, TrainingRecord
from ..rl.model_card import judge_licence, model_licence
from ..runs.append import CONFIG_FILE
from ..runs.folder import RunFolder
from ..runs.lock import RunState, Traces
from ..runs.places import model_title

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

CHARTS = (
    Chart("Reward by role", "plain", _by_role("rewards/{}/total")),
    Chart("Attacker's reward by term", "plain", tuple((f"rewards/attacker/{term}", term) for term in REWARD_TERMS)),
    Chart("Assessor's reward by term", "plain", tuple((f"rewards/assessor/{term}", term) for term in REWARD_TERMS)),
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


Table = list[list[str]]
"""Rows of cells; the first row is the head."""


@dataclass(frozen=True)
class DataFacts:
    """What a run's notes are: how many of each kind, and the rights in them. Empty where the data is missing."""

    table: Table
    licences: list[str]


def data_facts(run: RunFolder) -> DataFacts:
    """Count the run's records. A report is made without them where somebody copied a run but not its data."""
    try:
        records, heldout = run.training_records(), run.heldout_records()
    except DataError:
        records, heldout = [], []
    sources = {record.source for record in (*records, *heldout)}
    return DataFacts(_data_table(records, heldout), licences(sources))


def licence_texts(config: RunConfig, data: DataFacts) -> list[str]:
    """The licences of the base model, the judge and the data, a sentence for each."""
    return [
        f"Base model {model_title(config.policy.model)}: {model_licence(config.policy.model)}.",
        f"Judge: {judge_licence(config.judge)}.",
        *(f"Data: {text}" for text in data.licences or ["not at hand."]),
    ]


def fact_tables(run: RunFolder, data: DataFacts, metrics: Mapping[int, Mapping[str, float]]) -> dict[str, Table]:
    """Tables by their titles: judge, data card, time, hardware, versions."""
    tables = {
        "Judge": [["option", "value"], *_judge_rows(run.config.judge)],
        "Data card": data.table,
        "Time by phase": _phase_table(metrics),
        "Hardware": [["part", "what"], *([name, value] for name, value in run.info.hardware.items())],
        "Versions": [
            ["library", "version"],
            ["medical-team", run.info.package_version],
            *([name, version] for name, version in run.info.versions.items()),
        ],
    }
    return {title: table for title, table in tables.items() if len(table) > 1}


def config_text(run: RunFolder) -> str:
    """The run's configuration file, which reruns it. A name or password in an address is left out.

    Raises:
        RunFolderError: the file can't be read.
    """
    path = run.path / CONFIG_FILE
    try:
        return without_user(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise RunFolderError(f"{path} can't be read: {error.strerror or error}.") from error


def _judge_rows(judge: JudgeConfig) -> Iterator[list[str]]:
    """The kind of the judge, and the options that were set."""
    usual = JudgeConfig()
    for item in fields(judge):
        value = getattr(judge, item.name)
        if item.name == "kind" or value != getattr(usual, item.name):
            yield [item.name, without_user(str(value))]


def _data_table(records: Sequence[TrainingRecord], heldout: Sequence[TrainingRecord]) -> Table:
    head = ["records", *(kind.value.replace("_", " ") for kind in DataType), "all"]
    if not records:
        return [head]
    rows = [
        _counts_row(name, [record for record in records if error_type_key(record.error_type) == error_type_key(name)])
        for name in in_order(record.error_type for record in records)
    ]
    rows.append(_counts_row("all", records))
    return [head, *rows, *([_counts_row("held out", heldout)] if heldout else [])]


def _counts_row(name: str, records: Sequence[TrainingRecord]) -> list[str]:
    counts = Counter(record.data_type for record in records)
    return [name, *(f"{counts[kind]:,}" for kind in DataType), f"{len(records):,}"]


def _phase_table(metrics: Mapping[int, Mapping[str, float]]) -> Table:
    names = {name for values in metrics.values() for name in values if name.startswith("seconds/")}
    totals = {name.removeprefix("seconds/"): fsum(v[name] for v in metrics.values() if name in v) for name in names}
    whole = totals.pop("total", fsum(totals.values()))
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    rows = [[name, duration(seconds), f"{seconds / whole:.0%}" if whole else "-"] for name, seconds in ordered]
    return [["phase", "time", "share"], *rows, *([["all", duration(whole), ""]] if rows else [])]


def duration(seconds: float) -> str:
    """A time for people: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


_STATE_TEXTS = {
    RunState.RUNNING: "running",
    RunState.FINISHED: "finished",
    RunState.STOPPED: "stopped before its last step; go on with --resume",
    RunState.KILLED: "cut off: its process was killed; go on with --resume",
    RunState.ELSEWHERE: "its lock names another machine: running there, or copied while it ran",
}


def overview(reader: RunReader) -> dict[str, Any]:
    """What the page shows of the run of ``reader``, as far as it was read."""
    steps, metrics, traces = reader.steps(), reader.metrics(), reader.traces()
    data = _data_of(reader.run.path)
    return {
        "name": reader.name,
        "state": _state(traces, has_half_line=reader.has_half_line),
        "isRunning": traces.state in (RunState.RUNNING, RunState.ELSEWHERE),
        "summary": _summary(reader, sum(figures.games for figures in steps), metrics),
        "criteria": [asdict(criterion) for criterion in criteria(steps, traces)],
        "alarms": [
            {"sentence": span.sentence, "from": span.first_step, "to": span.last_step, "isUp": span.is_up}
            for span in alarm_spans(metrics, {figures.step: figures.attacks for figures in steps})
        ],
        "charts": chart_data(metrics),
        "hasOtherCurves": _has_other_curves(reader, metrics),
        "tables": fact_tables(reader.run, data, metrics),
        "licences": licence_texts(reader.run.config, data),
        "config": config_text(reader.run),
    }


@lru_cache(maxsize=64)
def _data_of(path: Path) -> DataFacts:
    """What the notes of the run at ``path`` are; they never change."""
    return data_facts(RunFolder.open(path))


def _has_other_curves(reader: RunReader, metrics: dict[int, dict[str, float]]) -> bool:
    """Whether another engine trained, which leaves what it says of learning to TensorBoard alone."""
    says_of_learning = any(name.startswith("policy/") for values in metrics.values() for name in values)
    return not says_of_learning and any(reader.run.tensorboard_path.rglob("events.out.*"))


def _state(traces: Traces, *, has_half_line: bool) -> str:
    # While a run writes, its last line may be half there at any time.
    cut = "; a half-written last line is left out" if has_half_line and traces.state is not RunState.RUNNING else ""
    return f"{traces.completed_steps:,} of {traces.total_steps:,} steps, {_STATE_TEXTS[traces.state]}{cut}"


def _summary(reader: RunReader, games: int, metrics: dict[int, dict[str, float]]) -> list[list[str]]:
    """Terms and descriptions for the head of the page."""
    config = reader.run.config
    seconds = sum(values.get("seconds/total", 0.0) for values in metrics.values())
    rows = [
        ["Kind", reader.run.info.kind.replace("-", " ")],
        ["Base model", model_title(config.policy.model)],
        ["Judge", config.judge.kind],
        ["Games", f"{games:,}"],
        ["Started", reader.run.info.created.replace("T", " ").replace("+00:00", " UTC")],
    ]
    return [*rows, ["Time in steps", duration(seconds)]] if seconds else rows
