"""The memory of the local engine: policy, reference, optimizer and sampler in one process, in turns.

The model states follow section 3.1 of the ZeRO paper (arXiv 1910.02054) with this trainer's own types: weights that
learn are fp32, and so are their gradients and AdamW's two moments. There is no separate master copy.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from ..config import RunConfig
from .activations import (
    AUTOCAST_BF16,
    BF16,
    FP32,
    PURE_BF16,
    PURE_FP32,
    Precisions,
    autocast_bytes,
    inference_bytes,
    kv_cache_bytes,
    training_bytes,
)
from .judge_memory import in_process_judge, judge_server
from .model_shape import ModelShape
from .plan import GIB, MemoryPart, MemoryPlan, Phase, Workload

ALWAYS = (Phase.ROLLOUT, Phase.SCORING, Phase.TRAINING, Phase.UPDATE)
CONTEXT_BYTES = int(0.7 * GIB)
"""CUDA's context with torch's kernels, and a library's workspaces: 0.5 to 0.8 GiB for a process, by experience."""

_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_SPARE_COLUMNS = 64
_BYTES_PER_SAMPLED_LOGIT = 24
"""fp32 logits and probabilities, their fp64 sum, and copies."""
_BYTES_PER_TRAINED_LOGIT = 13
_BYTES_PER_SCORED_LOGIT = 10
"""Measured on a CPU: the logits, their copy at the temperature, their log-softmax; then the gradients of these."""


def local_memory(config: RunConfig, shape: ModelShape, workload: Workload) -> MemoryPlan:
    """The memory of a run of the local engine."""
    is_gpu = is_local_on_gpu(config)
    parts = [*_states(config, shape, is_gpu=is_gpu), *_work(config, shape, workload, is_gpu=is_gpu)]
    parts += in_process_judge(config, is_gpu=is_gpu)
    if is_gpu:
        parts += judge_server(config, ALWAYS)
        parts.append(MemoryPart("CUDA context", CONTEXT_BYTES, ALWAYS, "one process: an estimate"))
    return MemoryPlan(
        device="the GPU" if is_gpu else "this process on a CPU (for a GPU: --policy.device cuda)",
        capacity_bytes=int(config.engine.gpu_memory_gib * GIB) if is_gpu else None,
        parts=tuple(part for part in parts if part.bytes),
        host_bytes=0,
    )


def is_local_on_gpu(config: RunConfig) -> bool:
    """Whether the local engine would compute on a GPU; ``auto`` does where this machine has an NVIDIA driver."""
    return config.policy.device == "cuda" or (config.policy.device == "auto" and _has_nvidia_driver())


def _has_nvidia_driver() -> bool:
    return shutil.which("nvidia-smi") is not None or _NVIDIA_DRIVER.exists()


def computes_in_bf16(config: RunConfig) -> bool:
    """Whether the local engine computes in bf16; ``auto`` does on a GPU."""
    precision = config.policy.precision
    return precision == "bf16" or (precision == "auto" and is_local_on_gpu(config))


def trained_parameters(config: RunConfig, shape: ModelShape) -> int:
    """How many parameters learn."""
    is_lora = config.policy.adaptation == "lora"
    each = shape.lora_parameters(config.policy.lora_rank) if is_lora else shape.parameters
    return each * _learning_policies(config)


def _learning_policies(config: RunConfig) -> int:
    return 2 if config.policy.roles == "separate" else 1


def _states(config: RunConfig, shape: ModelShape, *, is_gpu: bool) -> Iterator[MemoryPart]:
    trained = trained_parameters(config, shape)
    is_lora, is_bf16 = config.policy.adaptation == "lora", computes_in_bf16(config)
    each = BF16 if is_lora and is_bf16 else FP32
    weights = shape.parameters * each
    copies = 1 if is_lora else _learning_policies(config)
    said = f"{shape.parameters:,} parameters x {each} bytes" + (" x 2 roles" if copies > 1 else "")
    yield MemoryPart("policy weights", copies * weights, ALWAYS, said)
    if is_lora:
        yield MemoryPart("LoRA adapter", trained * FP32, ALWAYS, f"{trained:,} parameters x 4 bytes")
    else:
        yield MemoryPart("reference model", weights, ALWAYS, "a frozen copy of the policy as the run started")
    learning = (Phase.TRAINING, Phase.UPDATE)
    yield MemoryPart("gradients", trained * FP32, learning, f"{trained:,} x 4 bytes")
    # Made by the first update, they stay.
    yield MemoryPart("optimizer (AdamW)", trained * 2 * FP32, ALWAYS, f"{trained:,} x 2 moments x 4 bytes")
    if not is_lora and is_bf16:
        working = (Phase.ROLLOUT, Phase.SCORING, Phase.TRAINING)
        yield MemoryPart("bf16 copies of weights", autocast_bytes(shape), working, "autocast keeps them for a pass")


def _work(config: RunConfig, shape: ModelShape, workload: Workload, *, is_gpu: bool) -> Iterator[MemoryPart]:
    precisions = _precisions(config)
    rollout = config.rollout
    longest_reply = max(role.max_reply_tokens for role in workload.roles)
    columns = rollout.max_prompt_tokens + longest_reply + _SPARE_COLUMNS
    rows = min(rollout.batch_size, config.training.games_per_step)
    # Choosing rows copies a layer at a time.
    cache = kv_cache_bytes(shape, rows * columns, precisions.products)
    cache += cache // shape.layers
    drawing = (Phase.ROLLOUT,)
    yield MemoryPart("rollout: KV cache", cache, drawing, f"{rows} rows x {columns:,} tokens, {shape.layers} layers")
    prefill = inference_bytes(shape, rows * rollout.max_prompt_tokens, precisions)
    logits = rows * shape.vocabulary * _BYTES_PER_SAMPLED_LOGIT
    yield MemoryPart("rollout: activations", prefill + logits, drawing, "reading the prompts of a batch")

    tokens, replies = _microbatch(config, workload)
    scored = inference_bytes(shape, tokens, precisions)
    name, said = "activations", f"{tokens:,} tokens in a micro-batch"
    yield MemoryPart(f"scoring: {name}", scored, (Phase.SCORING,), said)
    logits = replies * shape.vocabulary
    said = f"{replies:,} reply tokens x {shape.vocabulary:,} words of the vocabulary"
    scored = logits * _BYTES_PER_SCORED_LOGIT
    yield MemoryPart("scoring: logits", scored, (Phase.SCORING,), f"{said} x {_BYTES_PER_SCORED_LOGIT} bytes")
    is_checkpointed = config.policy.gradient_checkpointing
    kept = training_bytes(shape, tokens, precisions, is_checkpointed=is_checkpointed, is_padded=True)
    how = "only each layer's input (gradient checkpointing)" if is_checkpointed else "all layers' activations kept"
    yield MemoryPart(f"training: {name}", kept, (Phase.TRAINING,), f"{tokens:,} tokens in a micro-batch; {how}")
    trained = logits * _BYTES_PER_TRAINED_LOGIT
    yield MemoryPart("training: logits", trained, (Phase.TRAINING,), f"{said} x {_BYTES_PER_TRAINED_LOGIT} bytes")


def _precisions(config: RunConfig) -> Precisions:
    if not computes_in_bf16(config):
        return PURE_FP32
    return PURE_BF16 if config.policy.adaptation == "lora" else AUTOCAST_BF16


def _microbatch(config: RunConfig, workload: Workload) -> tuple[int, int]:
    """The most tokens in a micro-batch, and the most reply tokens among them."""
    most_tokens = most_replies = 0
    for role in workload.roles:
        longest = role.max_prompt_tokens + role.max_reply_tokens
        allowed = config.training.tokens_per_microbatch
        most_tokens = max(most_tokens, longest, allowed)
        # Many replies of the longest kind behind ordinary prompts, as far as a micro-batch holds them.
        ordinary = int(role.expected_prompt_tokens) + role.max_reply_tokens
        rows = max(1, allowed // ordinary)
        most_replies = max(most_replies, rows * (role.max_reply_tokens + 1))
    return most_tokens, most_replies
