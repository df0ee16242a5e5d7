"""All that the page shows of a run besides its games, as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..metrics.alarms import alarm_spans
from ..metrics.criteria import criteria
from ..metrics.run_reader import RunReader
from ..model_names import model_title
from ..runs.folder import RunFolder
from ..runs.run_state import RunState, Traces
from .charts import chart_data
from .facts import DataFacts, config_text, data_facts, duration, fact_tables, licence_texts

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
            for span in alarm_spans(metrics)
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
