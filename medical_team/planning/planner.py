"""From a configuration to its plan, with what it takes on the disk, and the plan as text for a person and as JSON.
Loads no model, asks no network, makes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Union

from ..config import RunConfig
from .memory import (
    OPTIMIZER_BYTES,
    computes_in_bf16,
    judge_problem,
    local_memory,
    openrlhf_memory,
    sampler_problem,
    trained_parameters,
)
from .model_shape import BF16, FP32, ModelShape, shape_of
from .plan import (
    GIB,
    MEMORY_THRESHOLD,
    DiskPart,
    DiskPlan,
    Measurement,
    MemoryPlan,
    Plan,
    Unknown,
    Workload,
    workload_of,
)

_BYTES_PER_REPLY_TOKEN = 40
"""In games.jsonl: its id, its log-prob and its text, twice."""
_BYTES_PER_PROMPT_TOKEN = 12
"""Its id and its text."""
_BYTES_PER_GAME = 4500
"""The pair of notes, ruling, rewards and the names of all fields."""
_BYTES_PER_STEP = 4000
"""Metrics, as JSON and as TensorBoard's events."""


def disk_of(config: RunConfig, shape: ModelShape, workload: Workload) -> DiskPlan:
    """The disk of a run: checkpoints kept, with the one being written; the trained model; games and metrics."""
    parts = _local(config, shape) if config.engine.kind == "local" else _openrlhf(config, shape, workload)
    return DiskPlan((*parts, _records(workload)))


def _local(config: RunConfig, shape: ModelShape) -> Iterator[DiskPart]:
    trained = trained_parameters(config, shape)
    checkpoint = trained * 3 * FP32
    saved = -(-config.training.steps // config.checkpoints.save_every)
    # One more is there while the oldest is not yet deleted, and one is the best, where there are evaluations.
    most = config.checkpoints.keep_last + 1 + (config.data.heldout is not None)
    count = min(most, saved + (config.data.heldout is not None))
    said = f"{count} x {trained:,} trained parameters x 12 bytes: fp32 weights, AdamW's two moments"
    yield DiskPart("checkpoints", count * checkpoint, said)
    each = BF16 if config.policy.adaptation == "lora" and computes_in_bf16(config) else FP32
    yield DiskPart("trained model", shape.parameters * each, f"{shape.parameters:,} parameters x {each} bytes")


def _openrlhf(config: RunConfig, shape: ModelShape, workload: Workload) -> Iterator[DiskPart]:
    model = BF16 * shape.parameters
    every = config.checkpoints.save_every
    saved = workload.steps // every if every < workload.steps else 0
    # While the engine runs, one may be whole and not yet taken into the run, and one is being written.
    count = min(saved, config.checkpoints.keep_last + 2)
    said = f"{count} Hugging Face folders x {shape.parameters:,} parameters x 2 bytes"
    yield DiskPart("checkpoints", count * model, said)
    if config.engine.save_optimizer and count:
        states = (BF16 + OPTIMIZER_BYTES) * shape.parameters
        kept = min(count, config.checkpoints.keep_last + 1)
        said = f"{kept} x {shape.parameters:,} parameters x 14 bytes: DeepSpeed's own, to go on from"
        yield DiskPart("optimizer's states", kept * states, said)
    yield DiskPart("trained model", model, f"{shape.parameters:,} parameters x 2 bytes")


def _records(workload: Workload) -> DiskPart:
    tokens = sum(
        role.samples
        * (role.expected_prompt_tokens * _BYTES_PER_PROMPT_TOKEN + role.expected_reply_tokens * _BYTES_PER_REPLY_TOKEN)
        for role in workload.roles
    )
    size = tokens + workload.games * _BYTES_PER_GAME + workload.steps * _BYTES_PER_STEP
    return DiskPart("games and metrics", int(size), f"{workload.games:,} games with every turn, token and label")


def plan_of(config: RunConfig) -> Plan:
    """What a run of ``config``, which is checked already, will cost."""
    workload = workload_of(config)
    shape = shape_of(config.policy.model)
    known = shape if isinstance(shape, ModelShape) else None
    return Plan(
        config=config,
        parameters=known.parameters if known else None,
        workload=workload,
        memory=_memory_plan(config, shape, workload),
        disk=disk_of(config, shape, workload) if isinstance(shape, ModelShape) else shape,
        problems=_problems(config, shape),
    )


def what_to_lower(config: RunConfig) -> str:
    """Which options to change where the memory is too small."""
    if config.engine.kind == "local":
        return (
            "lower rollout.batch_size and training.tokens_per_microbatch, set policy.gradient_checkpointing, or take a "
            "smaller policy.model"
        )
    return (
        "lower engine.micro_rollout_batch_size (2) and engine.vllm_memory_fraction (0.5), or take a smaller "
        "policy.model"
    )


def _memory_plan(
    config: RunConfig, shape: Union[ModelShape, Unknown], workload: Workload
) -> Union[MemoryPlan, Unknown]:
    if isinstance(shape, Unknown):
        return shape
    if config.engine.kind == "local":
        return local_memory(config, shape, workload)
    return openrlhf_memory(config, shape)


def _problems(config: RunConfig, shape: Union[ModelShape, Unknown]) -> tuple[str, ...]:
    """What can't start within its share, whatever the sum of the memory says."""
    if config.engine.kind == "local":
        return ()
    found = [judge_problem(config)]
    if isinstance(shape, ModelShape):
        found.append(sampler_problem(config, shape))
    return tuple(problem for problem in found if problem)


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
    """``plan`` as one JSON object, sizes in bytes and times in seconds. What is not known says why."""
    work = plan.workload
    shown: dict[str, Any] = {
        "model": plan.config.policy.model,
        "parameters": plan.parameters,
        "engine": plan.config.engine.kind,
        "work": {
            **asdict(work),
            "games": work.games,
            "samples": work.samples,
            "max_tokens": work.max_tokens,
            "expected_tokens": work.expected_tokens,
            "expected_generated_tokens": work.expected_generated_tokens,
        },
        "memory": asdict(plan.memory),
        "disk": asdict(plan.disk),
        "measured": asdict(plan.measured),
        "time": {"rollout_seconds": plan.rollout_seconds, "training_seconds": plan.training_seconds},
        "problems": list(plan.problems),
    }
    if isinstance(memory := plan.memory, MemoryPlan):
        shown["memory"] |= {
            "bytes_by_phase": {phase.value: memory.bytes_in(phase) for phase in memory.phases},
            "sum_bytes": memory.sum_bytes,
            "peak_bytes": memory.peak_bytes,
            "peak_phase": memory.peak_phase,
            "fits": memory.fits,
        }
    return json.dumps(shown, indent=2) + "\n"


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
    yield ""
    rollout, training = plan.rollout_seconds, plan.training_seconds
    if rollout is None or training is None:
        yield "Time: not measured. A short run of the same configuration shows its speed"
        return
    yield f"Time: {_hours(rollout + training)}, evaluations, loading and waiting for a judge not included"
    yield f"      rollout: {_hours(rollout)}, training: {_hours(training)}, at the speeds that were measured"


def _notes(plan: Plan) -> Iterator[str]:
    if plan.workload.notes:
        yield ""
        yield "Taken for granted:"
        yield from (f"  - {note}" for note in plan.workload.notes)
    if plan.problems:
        yield ""
        yield "It can't start like this:"
        yield from (f"  - {problem}" for problem in plan.problems)
    if isinstance(plan.memory, MemoryPlan) and plan.memory.fits is False:
        yield ""
        yield f"To make it fit: {what_to_lower(plan.config)}"


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
