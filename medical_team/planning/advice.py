"""Where a run doesn't fit: which option to change. Every change is planned, and named with what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..config import RunConfig
from .openrlhf_memory import ADAM_OFFLOAD, REFERENCE_OFFLOAD
from .plan import GIB, MEMORY_THRESHOLD, MemoryPlan

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
