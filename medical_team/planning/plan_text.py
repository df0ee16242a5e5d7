"""A plan as text for a person, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .plan import GIB, MEMORY_THRESHOLD, DiskPlan, Measurement, MemoryPlan, Phase, Plan, Speeds, Unknown, Workload

_GB = 10**9


def plan_text(plan: Plan) -> str:
    """All of ``plan``: work, memory by part and phase, disk, time, and what to change where it doesn't fit."""
    reckoned = [*_work(plan.workload), *_memory(plan), *_disk(plan)]
    found = [*_measured(plan.measured), *_time(plan)]
    return "\n".join([_headline(plan), *reckoned, *found, *_notes(plan)]) + "\n"


def memory_table(memory: MemoryPlan) -> list[list[str]]:
    """The table of ``memory`` in GiB: a row for each part, a column for each phase; then the phases' sums."""
    phases = memory.phases
    rows = [["GiB", *(phase.value for phase in phases), "all at once"]]
    for part in memory.parts:
        size = _gib(part.bytes)
        rows.append([part.name, *(size if phase in part.phases else "" for phase in phases), size])
    rows.append(["together", *(_gib(memory.bytes_in(phase)) for phase in phases), _gib(memory.sum_bytes)])
    return rows


def plan_json(plan: Plan) -> str:
    """``plan`` as one JSON object, sizes in bytes and times in seconds."""
    return json.dumps(_object(plan), indent=2) + "\n"


def _headline(plan: Plan) -> str:
    config = plan.config
    count = "" if plan.parameters is None else f", {plan.parameters:,} parameters"
    how = "all weights" if config.policy.adaptation == "full" else f"LoRA of rank {config.policy.lora_rank}"
    return f"Plan: {config.policy.model}{count}; {how}; engine {config.engine.kind}. Nothing was made."


def _work(work: Workload) -> Iterator[str]:
    records = "" if work.records is None else f" of {work.records:,} records, each played {work.epochs:.2g} times"
    yield ""
    yield f"Work: {work.steps:,} steps x {work.games_per_step:,} games = {work.games:,} games{records}"
    yield f"      {work.updates:,} optimizer updates"
    rows = [["", "samples", "prompt", "(at most)", "reply", "(at most)", "tokens"]]
    for role in work.roles:
        tokens = role.samples * (role.expected_prompt_tokens + role.expected_reply_tokens)
        rows.append(
            [
                role.role,
                f"{role.samples:,}",
                f"{role.expected_prompt_tokens:,.0f}",
                f"{role.max_prompt_tokens:,}",
                f"{role.expected_reply_tokens:,.0f}",
                f"{role.max_reply_tokens:,}",
                f"{tokens / 1e6:,.2f} M",
            ]
        )
    yield from _aligned(rows, "      ")
    expected, most = work.expected_tokens / 1e6, work.max_tokens / 1e6
    yield f"      {expected:,.2f} million tokens expected, {most:,.2f} million at most"


def _memory(plan: Plan) -> Iterator[str]:
    yield ""
    memory = plan.memory
    if isinstance(memory, Unknown):
        yield f"Memory: not planned: {memory.reason}"
        return
    yield f"Memory of {memory.device}, by part and by phase of a step:"
    yield from _aligned(memory_table(memory), "  ")
    capacity = memory.capacity_bytes
    if capacity is None or memory.peak_share is None:
        yield f"      peak {_gib(memory.peak_bytes)} GiB ({memory.peak_phase.value}); libraries come on top"
    else:
        verdict = "fits" if memory.fits else "DOES NOT FIT"
        yield (
            f"      peak {_gib(memory.peak_bytes)} of {_gib(capacity)} GiB ({memory.peak_share:.0%}, "
            f"{memory.peak_phase.value}): {verdict}, the threshold is {MEMORY_THRESHOLD:.0%}"
        )
        yield "      (engine.gpu_memory_gib says how much there is; `medical-team doctor` looks at the real GPU)"
    if memory.host_bytes:
        yield f"      and {_gib(memory.host_bytes)} GiB of each machine's own memory, for what sleeps or is offloaded"
    yield from (f"      - {part.name}: {part.explanation}" for part in memory.parts)


def _disk(plan: Plan) -> Iterator[str]:
    yield ""
    if isinstance(plan.disk, DiskPlan):
        yield f"Disk: {plan.disk.bytes / _GB:,.2f} GB"
        rows = [[part.name, f"{part.bytes / _GB:,.2f}", part.explanation] for part in plan.disk.parts]
        yield from _aligned(rows, "      ", left=(0, 2))
    else:
        yield f"Disk: not planned: {plan.disk.reason}"


def _measured(measured: Measurement | Unknown) -> Iterator[str]:
    yield ""
    if isinstance(measured, Unknown):
        yield f"Measured: nothing: {measured.reason}"
        return
    yield f"Measured on this machine, with {measured.games} games of the longest notes and their update:"
    if measured.peak_bytes is not None:
        yield f"      peak memory {_gib(measured.peak_bytes)} GiB of {measured.where}"
    yield f"      {measured.seconds_per_step:,.1f} s for a step of {measured.games_per_step:,} such games"


def _time(plan: Plan) -> Iterator[str]:
    duration, measured = plan.duration, plan.measured
    yield ""
    if duration.seconds is None:
        yield "Time: not measured. State the speeds that a short run of this configuration shows:"
    else:
        yield f"Time: {_hours(duration.seconds)}, evaluations, loading and waiting for a judge not included"
    found = measured.speeds if isinstance(measured, Measurement) else Speeds()
    parts = (
        ("rollout", duration.rollout_seconds, duration.speeds.rollout, found.rollout),
        ("training", duration.training_seconds, duration.speeds.training, found.training),
    )
    for name, seconds, speed, found_speed in parts:
        if seconds is None:
            yield f"      {name}: not measured (--plan-{name}-speed TOKENS/S)"
        else:
            origin = "measured" if speed == found_speed else "stated"
            yield f"      {name}: {_hours(seconds)} at {speed:,.0f} tokens a second, as {origin}"


def _notes(plan: Plan) -> Iterator[str]:
    if plan.workload.notes:
        yield ""
        yield "Taken for granted:"
        yield from (f"  - {note}" for note in plan.workload.notes)
    if plan.problems:
        yield ""
        yield "It can't start like this:"
        yield from (f"  - {problem}" for problem in plan.problems)
    if plan.advice:
        yield ""
        yield "To make it fit, change one of these, the greatest effect first:"
        yield from (f"  - {text}" for text in plan.advice)
    elif isinstance(plan.memory, MemoryPlan) and plan.memory.fits is False:
        yield ""
        yield "No single option that is known here lowers the peak: take a smaller model or larger GPUs."


def _aligned(rows: Sequence[Sequence[str]], indent: str, left: tuple[int, ...] = (0,)) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield indent + "  ".join(cells).rstrip()


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}" if size < GIB else f"{size / GIB:.1f}"


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:,.0f} s"
    return f"{minutes:,} min" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60} min"


def _object(plan: Plan) -> dict[str, Any]:
    work, time = plan.workload, plan.duration
    return {
        "model": plan.config.policy.model,
        "parameters": plan.parameters,
        "engine": plan.config.engine.kind,
        "work": {
            "steps": work.steps,
            "games": work.games,
            "records": work.records,
            "updates": work.updates,
            "samples": work.samples,
            "expected_tokens": round(work.expected_tokens),
            "expected_generated_tokens": round(work.expected_generated_tokens),
            "max_tokens": work.max_tokens,
            "roles": {
                role.role: {
                    "samples": role.samples,
                    "expected_prompt_tokens": round(role.expected_prompt_tokens),
                    "expected_reply_tokens": round(role.expected_reply_tokens),
                    "max_prompt_tokens": role.max_prompt_tokens,
                    "max_reply_tokens": role.max_reply_tokens,
                }
                for role in work.roles
            },
            "notes": list(work.notes),
        },
        "memory": _memory_object(plan),
        "disk": _disk_object(plan),
        "measured": _measured_object(plan.measured),
        "time": {
            "seconds": None if time.seconds is None else round(time.seconds),
            "rollout_tokens_per_second": time.speeds.rollout,
            "training_tokens_per_second": time.speeds.training,
        },
        "problems": list(plan.problems),
        "advice": list(plan.advice),
    }


def _memory_object(plan: Plan) -> dict[str, Any]:
    memory = plan.memory
    if isinstance(memory, Unknown):
        return {"unknown": memory.reason}
    return {
        "device": memory.device,
        "capacity_bytes": memory.capacity_bytes,
        "parts": [
            {"name": part.name, "bytes": part.bytes, "phases": [phase.value for phase in part.phases]}
            for part in memory.parts
        ],
        "bytes_by_phase": {phase.value: memory.bytes_in(phase) for phase in Phase if phase in memory.phases},
        "sum_bytes": memory.sum_bytes,
        "peak_bytes": memory.peak_bytes,
        "peak_phase": memory.peak_phase.value,
        "fits": memory.fits,
        "host_bytes": memory.host_bytes,
    }


def _disk_object(plan: Plan) -> dict[str, Any]:
    if isinstance(plan.disk, Unknown):
        return {"unknown": plan.disk.reason}
    return {"bytes": plan.disk.bytes, "parts": {part.name: part.bytes for part in plan.disk.parts}}


def _measured_object(measured: Measurement | Unknown) -> dict[str, Any]:
    if isinstance(measured, Unknown):
        return {"unknown": measured.reason}
    return {
        "games": measured.games,
        "peak_bytes": measured.peak_bytes,
        "seconds_per_step": measured.seconds_per_step,
        "rollout_seconds": measured.rollout_seconds,
        "training_seconds": measured.training_seconds,
        "generated_tokens": measured.generated_tokens,
        "learnt_tokens": measured.learnt_tokens,
    }
