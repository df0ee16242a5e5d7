"""What a run was made from and how its time was spent, for the end of its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from math import fsum

from ..config import JudgeConfig, RunConfig
from ..data.card import licences
from ..error_types import error_type_key, in_order
from ..errors import DataError, RunFolderError
from ..metrics.alarms import LONG
from ..model_names import model_title
from ..network.secrets import without_user
from ..records import DataType, TrainingRecord
from ..rl.model_card import judge_licence, model_licence
from ..runs.folder import RunFolder

Table = list[list[str]]
"""Rows of cells; the first row is the head."""

_WINS = "opponent_wins/"


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
        "Against whom": _opponent_table(metrics),
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
    path = run.path / "config.toml"
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


def _opponent_table(metrics: Mapping[int, Mapping[str, float]]) -> Table:
    """How each opponent did against the policy, over the run and of late."""
    rows: Table = [["opponent", "as", "games", "won", f"won in the last {LONG} steps"]]
    names = {name for values in metrics.values() for name in values if name.startswith(_WINS)}
    for name in sorted(names):
        role, _, version = name.removeprefix(_WINS).partition("/")
        counted = f"opponent_games/{role}/{version}"
        of_steps = [[(values[name], values[counted])] if name in values else [] for values in metrics.values()]
        steps, recent = (list(chain.from_iterable(some)) for some in (of_steps, of_steps[-LONG:]))
        rows.append([version, role, f"{sum(count for _, count in steps):,.0f}", _won(steps), _won(recent)])
    return rows


def _won(steps: Sequence[tuple[float, float]]) -> str:
    games = sum(count for _, count in steps)
    return f"{sum(rate * count for rate, count in steps) / games:.0%}" if games else "-"


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
