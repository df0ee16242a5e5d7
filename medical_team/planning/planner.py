"""From a configuration to its plan, with what it takes on the disk and, where it doesn't fit, which option to
change. Loads no model, asks no network, makes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Union

from ..config import RunConfig
from .memory import (
    ADAM_OFFLOAD,
    OPTIMIZER_BYTES,
    REFERENCE_OFFLOAD,
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
    Duration,
    Measurement,
    MemoryPlan,
    Plan,
    Speeds,
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


PeakOf = Callable[[RunConfig], "MemoryPlan | None"]

_SMALLER = (
    "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen2.5-3B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
    "Qwen/Qwen2.5-0.5B-Instruct",
)
_LEAST_VLLM_FRACTION = 0.2
_LEAST_EFFECT = GIB // 20


def advice_for(config: RunConfig, memory: MemoryPlan, memory_of: PeakOf) -> tuple[str, ...]:
    """Changes of single options that lower the peak, the greatest effect first; empty where it fits."""
    if memory.fits is not False:
        return ()
    found: list[tuple[int, str]] = []
    for option, changed in _changes(config):
        planned = memory_of(changed)
        if planned is None or planned.peak_bytes > memory.peak_bytes - _LEAST_EFFECT:
            continue
        verdict = "which fits" if planned.fits else f"still over {MEMORY_THRESHOLD:.0%}"
        text = f"{option}: the peak becomes {planned.peak_bytes / GIB:.1f} GiB ({planned.peak_share:.0%}), {verdict}"
        found.append((planned.peak_bytes, text))
    return tuple(text for _, text in sorted(found))


def _changes(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    policy = config.policy
    if not policy.gradient_checkpointing:
        yield "policy.gradient_checkpointing true", _with(config, "policy", gradient_checkpointing=True)
    if policy.model in _SMALLER[:-1]:
        smaller = _SMALLER[_SMALLER.index(policy.model) + 1]
        yield f"policy.model {smaller}", _with(config, "policy", model=smaller)
    for limit in ("max_prompt_tokens", "max_revision_tokens", "max_verdict_tokens"):
        value = getattr(config.rollout, limit)
        if value >= 256:
            yield (
                f"rollout.{limit} {value // 2} (where the data allow it)",
                _with(config, "rollout", **{limit: value // 2}),
            )
    yield from _local_changes(config) if config.engine.kind == "local" else _engine_changes(config)


def _local_changes(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    if config.policy.adaptation == "full":
        yield "policy.adaptation lora", _with(config, "policy", adaptation="lora")
    if config.policy.precision == "fp32":
        yield "policy.precision bf16", _with(config, "policy", precision="bf16")
    tokens, rows = config.training.tokens_per_microbatch, config.rollout.batch_size
    if tokens > 1:
        yield (
            f"training.tokens_per_microbatch {tokens // 2}",
            _with(config, "training", tokens_per_microbatch=tokens // 2),
        )
    if rows > 1:
        yield f"rollout.batch_size {rows // 2}", _with(config, "rollout", batch_size=rows // 2)
    if config.judge.kind in ("model", "hybrid"):
        yield "judge.kind reference (or a server elsewhere)", _with(config, "judge", kind="reference")


def _engine_changes(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    engine = config.engine
    if not engine.sleep:
        yield "engine.sleep true", _with(config, "engine", sleep=True)
    if engine.zero_stage < 3 and engine.nodes * engine.gpus_per_node > 1:
        yield "engine.zero_stage 3", _with(config, "engine", zero_stage=3)
    for option in ("micro_train_batch_size", "micro_rollout_batch_size"):
        value = getattr(engine, option)
        if value > 1:
            yield f"engine.{option} {value // 2}", _with(config, "engine", **{option: value // 2})
    if engine.vllm_memory_fraction > _LEAST_VLLM_FRACTION:
        fraction = round(max(_LEAST_VLLM_FRACTION, engine.vllm_memory_fraction - 0.15), 2)
        yield f"engine.vllm_memory_fraction {fraction}", _with(config, "engine", vllm_memory_fraction=fraction)
    if engine.judge_memory_fraction > 0:
        yield "engine.judge_memory_fraction 0 (the judge elsewhere)", _with(config, "engine", judge_memory_fraction=0.0)
    if engine.attention == "eager":
        yield "engine.attention flash_attention_2", _with(config, "engine", attention="flash_attention_2")
    for argument in (ADAM_OFFLOAD, REFERENCE_OFFLOAD):
        if argument not in engine.extra_arguments:
            arguments = (*engine.extra_arguments, argument)
            yield f"engine.extra_arguments with {argument}", _with(config, "engine", extra_arguments=arguments)


def _with(config: RunConfig, section: str, **values: Any) -> RunConfig:
    return replace(config, **{section: replace(getattr(config, section), **values)})


NO_SPEEDS = Speeds()
NOT_MEASURED = Unknown("nobody asked for it")


def plan_of(
    config: RunConfig, speeds: Speeds = NO_SPEEDS, measured: Union[Measurement, Unknown] = NOT_MEASURED
) -> Plan:
    """What a run of ``config`` will cost.

    Args:
        config: checked already.
        speeds: what the time is reckoned with.
        measured: gives the speeds that ``speeds`` leaves open; without it they have no time.
    """
    workload = workload_of(config)
    shape = shape_of(config.policy.model)
    known = shape if isinstance(shape, ModelShape) else None
    memory = _memory(config, shape, workload)

    def memory_after(changed: RunConfig) -> MemoryPlan | None:
        planned = _memory(changed, shape_of(changed.policy.model), _with_limits(workload, changed))
        return planned if isinstance(planned, MemoryPlan) else None

    return Plan(
        config=config,
        parameters=known.parameters if known else None,
        workload=workload,
        memory=memory,
        disk=disk_of(config, shape, workload) if isinstance(shape, ModelShape) else shape,
        duration=_duration(config, workload, _known(speeds, measured)),
        measured=measured,
        problems=_problems(config, shape),
        advice=advice_for(config, memory, memory_after) if isinstance(memory, MemoryPlan) else (),
    )


def _known(stated: Speeds, measured: Union[Measurement, Unknown]) -> Speeds:
    found = measured.speeds if isinstance(measured, Measurement) else NO_SPEEDS
    return Speeds(stated.rollout or found.rollout, stated.training or found.training)


def _duration(config: RunConfig, workload: Workload, speeds: Speeds) -> Duration:
    learnt = workload.expected_tokens * config.training.epochs_per_step
    return Duration(
        speeds,
        rollout_seconds=workload.expected_generated_tokens / speeds.rollout if speeds.rollout else None,
        training_seconds=learnt / speeds.training if speeds.training else None,
    )


def _memory(config: RunConfig, shape: Union[ModelShape, Unknown], workload: Workload) -> Union[MemoryPlan, Unknown]:
    if isinstance(shape, Unknown):
        return shape
    if config.engine.kind == "local":
        return local_memory(config, shape, workload)
    return openrlhf_memory(config, shape)


def _with_limits(workload: Workload, config: RunConfig) -> Workload:
    """``workload`` with the limits on tokens that ``config`` sets, without reading the data again."""
    limits = {"attacker": config.rollout.max_revision_tokens, "assessor": config.rollout.max_verdict_tokens}
    roles = (
        replace(role, max_prompt_tokens=config.rollout.max_prompt_tokens, max_reply_tokens=limits[role.role])
        for role in workload.roles
    )
    return replace(workload, roles=tuple(roles))


def _problems(config: RunConfig, shape: Union[ModelShape, Unknown]) -> tuple[str, ...]:
    """What can't start within its share, whatever the sum of the memory says."""
    if config.engine.kind == "local":
        return ()
    found = [judge_problem(config)]
    if isinstance(shape, ModelShape):
        found.append(sampler_problem(config, shape))
    return tuple(problem for problem in found if problem)
