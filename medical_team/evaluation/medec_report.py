"""An evaluation on MEDEC as text for a person: what was run, the figures beside the floors, the breakdowns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..metrics.statistics import CONFIDENCE, Figure
from .evaluation_folder import EvaluationSettings
from .medec_metrics import MedecMetrics
from .tables import figure, interval_text, table

_INTERVAL = f"{CONFIDENCE:.0%} interval"


def medec_report(settings: EvaluationSettings, metrics: MedecMetrics) -> str:
    """The report, ending with a newline."""
    parts = [_settings_text(settings), _figures_table(metrics)]
    for title, rows in (("by error type", metrics.by_error_type), ("by length", metrics.by_length)):
        parts.append(_breakdown_table(title, rows))
    remarks = list(_remarks(settings, metrics))
    if remarks:
        parts.append("".join(f"{remark}\n" for remark in remarks))
    return "\n".join(parts)


def _settings_text(settings: EvaluationSettings) -> str:
    how = "greedy" if settings.temperature is None else f"temperature {settings.temperature:g}"
    if settings.samples > 1:
        how += f", majority of {settings.samples} replies"
    prompt = f" ({settings.assessor})" if settings.assessor else ""
    prompt += f", {settings.prompt_style} prompt" if settings.prompt_style else ""
    shots = f"{settings.shots}-shot" if settings.shots else "zero-shot"
    lines = [
        f"model       {settings.model.label}",
        f"task        {settings.task}{prompt}, {shots}, {'thinking first' if settings.is_thinking else 'no thinking'}",
        f"replies     {how}, at most {settings.max_tokens} tokens, seed {settings.seed}",
        f"data        {settings.data_file} (sha256 {settings.data_sha256[:12]}), {settings.texts} texts",
        f"trained on  {settings.training_texts}",
    ]
    if settings.examples:
        lines.insert(2, f"examples    {settings.examples}")
    if not settings.prompt:
        lines[1:3] = ["task        none: a baseline"]
    return "\n".join(lines) + "\n"


def _figures_table(metrics: MedecMetrics) -> str:
    header = ["", "value", _INTERVAL, "texts", *metrics.floors]
    rows = [
        [
            name,
            figure(found.value),
            interval_text(found.interval),
            str(found.of),
            *(figure(floor[name]) for floor in metrics.floors.values()),
        ]
        for name, found in metrics.figures.items()
    ]
    return table(header, rows)


def _breakdown_table(title: str, rows: Mapping[str, Mapping[str, Figure]]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    header = [title, "texts", *names]
    cells = [
        [label, str(next(iter(row.values())).of), *(_figure_with_interval(row.get(name)) for name in names)]
        for label, row in rows.items()
    ]
    return table(header, cells)


def _figure_with_interval(found: Figure | None) -> str:
    if found is None or found.interval is None:
        return figure(None if found is None else found.value)
    return f"{figure(found.value)} ({found.interval})"


def _remarks(settings: EvaluationSettings, metrics: MedecMetrics) -> Iterator[str]:
    for problem, count in metrics.unreadable.items():
        yield f"unreadable: {count} replies ({problem}); they count as wrong, and never as a detection"
    if settings.prompt and settings.task == "assessor" and settings.assessor is None:
        yield (
            "Sentences and corrections are not asked for in this task (--assessor correct or --task three-part asks "
            "for them): of submission.txt only the flags mean something."
        )
    if settings.assessor == "locate":
        yield (
            "Corrections are not asked for (--assessor correct asks for them): of submission.txt the flags and the "
            "sentences mean something."
        )
    for metric in metrics.absent:
        yield f"{metric.name}: absent; {metric.reason}"
