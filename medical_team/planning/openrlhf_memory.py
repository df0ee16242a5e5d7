"""The memory of OpenRLHF 0.11.2 with all models on the same GPUs, by phase of a step.

Model states: section 5 of the ZeRO paper (arXiv 1910.02054): bf16 weights (2 bytes a parameter), bf16 gradients (2),
and for AdamW an fp32 master copy and two moments (12); stage 1 divides the optimizer's states by the number of GPUs,
stage 2 the gradients too, stage 3 the weights too. What OpenRLHF adds was read in its source: with
``--ds.enable_sleep`` gradients and optimizer move to the machine's memory outside of training, and the bf16 weights
stay; with ``--vllm.enable_sleep`` the rollout engine keeps its memory in the rollout alone, and its weights while new
ones come in. DeepSpeed's buffers are its defaults, since OpenRLHF leaves them at "auto": a reduce bucket of 5e8
numbers, at most 1e9 parameters gathered at a time, an optimizer step by groups of 1e9 parameters with fp32 gradients.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..config import RunConfig
from .activations import BF16, FP32, PURE_BF16, inference_bytes, training_bytes
from .judge_memory import judge_server
from .model_shape import ModelShape
from .plan import GIB, MemoryPart, MemoryPlan, Phase

EVERY_PHASE = tuple(Phase)
ADAM_OFFLOAD = "--ds.adam_offload"
REFERENCE_OFFLOAD = "--ref.offload"

OPTIMIZER_BYTES = 12
_REDUCE_BUCKET = 500_000_000
_GATHERED_PARAMETERS = 1_050_000_000
"""``stage3_max_live_parameters`` and the prefetch bucket."""
_SUB_GROUP = 1_000_000_000
_BYTES_PER_TRAINED_LOGIT = 10
"""The fp32 logits, their gradient, and both in bf16 as they change type: OpenRLHF computes the logits of all tokens."""
_BYTES_PER_SCORED_LOGIT = 6
_CONTEXT_BYTES = int(0.7 * GIB)
_ASLEEP_BYTES = int(1.0 * GIB)
"""What a sleeping vLLM keeps besides its context: CUDA graphs, buffers. An estimate."""


def openrlhf_memory(config: RunConfig, shape: ModelShape) -> MemoryPlan:
    """The memory of the GPU that has most to hold: the one with the judge, if one has."""
    engine = config.engine
    gpus = engine.nodes * engine.gpus_per_node
    parts = [
        *_policy(config, shape, gpus),
        *_reference(config, shape, gpus),
        *_buffers(config, shape, gpus),
        *_work(config, shape),
        *_rollout(config, shape),
        *judge_server(config, EVERY_PHASE),
        _contexts(config),
    ]
    return MemoryPlan(
        device="the GPU" if gpus == 1 else f"each of {gpus} GPUs" + (" (with the judge)" * bool(_has_judge(config))),
        capacity_bytes=int(engine.gpu_memory_gib * GIB),
        parts=tuple(part for part in parts if part.bytes),
        host_bytes=_host_bytes(config, shape, gpus),
    )


def longest_sample(config: RunConfig) -> int:
    """``--data.max_len``: the longest prompt and the longest reply."""
    rollout = config.rollout
    return rollout.max_prompt_tokens + max(rollout.max_revision_tokens, rollout.max_verdict_tokens)


def _has_judge(config: RunConfig) -> bool:
    return config.engine.judge_memory_fraction > 0


def _is_offloaded(config: RunConfig) -> bool:
    return ADAM_OFFLOAD in config.engine.extra_arguments


def _shared(gpus: int, stage: int, from_stage: int) -> tuple[int, str]:
    """Over how many GPUs something is cut, and how to say so."""
    return (gpus, f" / {gpus} GPUs (ZeRO-{stage})") if stage >= from_stage and gpus > 1 else (1, "")


def _policy(config: RunConfig, shape: ModelShape, gpus: int) -> Iterator[MemoryPart]:
    count, stage = shape.parameters, config.engine.zero_stage
    over, said = _shared(gpus, stage, 3)
    yield MemoryPart("policy weights", BF16 * count // over, EVERY_PHASE, f"{count:,} x 2 bytes{said}")
    if _is_offloaded(config):
        return
    awake = (Phase.TRAINING, Phase.UPDATE) if config.engine.sleep else EVERY_PHASE
    over, said = _shared(gpus, stage, 2)
    yield MemoryPart("gradients", BF16 * count // over, awake, f"{count:,} x 2 bytes{said}")
    over, said = _shared(gpus, stage, 1)
    states = OPTIMIZER_BYTES * count // over
    yield MemoryPart("optimizer (AdamW)", states, awake, f"{count:,} x 12 bytes: fp32 master, two moments{said}")
    step = FP32 * min(count // over, _SUB_GROUP)
    yield MemoryPart("optimizer step", step, (Phase.UPDATE,), "fp32 gradients of a group of at most 1e9 parameters")


def _reference(config: RunConfig, shape: ModelShape, gpus: int) -> Iterator[MemoryPart]:
    if config.training.kl_coefficient == 0 or REFERENCE_OFFLOAD in config.engine.extra_arguments:
        return
    over, said = _shared(gpus, config.engine.zero_stage, 3)
    weights = BF16 * shape.parameters // over
    yield MemoryPart("reference model", weights, EVERY_PHASE, f"{shape.parameters:,} x 2 bytes{said}")


def _buffers(config: RunConfig, shape: ModelShape, gpus: int) -> Iterator[MemoryPart]:
    if config.engine.zero_stage == 0:
        return
    awake = EVERY_PHASE if not config.engine.sleep or _is_offloaded(config) else (Phase.TRAINING, Phase.UPDATE)
    yield MemoryPart("DeepSpeed: bucket", BF16 * _REDUCE_BUCKET, awake, "5e8 numbers x 2 bytes")
    if config.engine.zero_stage == 3 and gpus > 1:
        gathered = BF16 * min(shape.parameters, _GATHERED_PARAMETERS)
        computing = (Phase.SCORING, Phase.TRAINING)
        yield MemoryPart("DeepSpeed: gathered", gathered, computing, "parameters of all GPUs, at most 1.05e9 at a time")


def _work(config: RunConfig, shape: ModelShape) -> Iterator[MemoryPart]:
    engine, longest = config.engine, longest_sample(config)
    tokens = engine.micro_rollout_batch_size * longest
    said = f"{engine.micro_rollout_batch_size} samples x {longest:,} tokens"
    scored = inference_bytes(shape, tokens, PURE_BF16)
    yield MemoryPart("scoring: activations", scored, (Phase.SCORING,), said)
    logits = tokens * shape.vocabulary * _BYTES_PER_SCORED_LOGIT
    words = f"x {shape.vocabulary:,} words of the vocabulary"
    yield MemoryPart("scoring: logits", logits, (Phase.SCORING,), f"{said} {words} x {_BYTES_PER_SCORED_LOGIT} bytes")

    tokens = engine.micro_train_batch_size * longest
    said = f"{engine.micro_train_batch_size} samples x {longest:,} tokens"
    is_checkpointed = config.policy.gradient_checkpointing
    kept = training_bytes(
        shape, tokens, PURE_BF16, is_checkpointed=is_checkpointed, is_padded=engine.attention != "flash_attention_2"
    )
    how = "only each layer's input (gradient checkpointing)" if is_checkpointed else "all layers' activations kept"
    yield MemoryPart("training: activations", kept, (Phase.TRAINING,), f"{said}; {how}")
    if engine.attention == "eager":
        scores = engine.micro_train_batch_size * shape.heads * longest**2 * (BF16 + FP32)
        scores *= 1 if is_checkpointed else shape.layers
        yield MemoryPart("training: attention scores", scores, (Phase.TRAINING,), "engine.attention is eager")
    logits = tokens * shape.vocabulary * _BYTES_PER_TRAINED_LOGIT
    yield MemoryPart(
        "training: logits", logits, (Phase.TRAINING,), f"{said} {words} x {_BYTES_PER_TRAINED_LOGIT} bytes"
    )


def _rollout(config: RunConfig, shape: ModelShape) -> Iterator[MemoryPart]:
    engine = config.engine
    taken = int(engine.vllm_memory_fraction * engine.gpu_memory_gib * GIB)
    weights = BF16 * shape.parameters // engine.tensor_parallel_size
    if not engine.sleep:
        said = f"engine.vllm_memory_fraction {engine.vllm_memory_fraction:g}, all the time: it does not sleep"
        yield MemoryPart("sampler (vLLM)", taken, EVERY_PHASE, said)
        return
    rollout = (Phase.ROLLOUT,)
    yield MemoryPart("sampler: weights", min(weights, taken), (Phase.ROLLOUT, Phase.SYNC), f"{weights:,} bytes")
    said = f"the rest of engine.vllm_memory_fraction {engine.vllm_memory_fraction:g}"
    yield MemoryPart("sampler: KV cache", max(0, taken - weights), rollout, said)
    asleep = (Phase.SCORING, Phase.TRAINING, Phase.UPDATE, Phase.SYNC)
    yield MemoryPart("sampler: asleep", _ASLEEP_BYTES, asleep, "CUDA graphs and buffers: an estimate")
    largest = BF16 * shape.vocabulary * shape.hidden_size
    yield MemoryPart("weights on their way", 2 * largest, (Phase.SYNC,), "the largest matrix, gathered and copied")


def _contexts(config: RunConfig) -> MemoryPart:
    processes = 2 + (config.training.kl_coefficient > 0)
    return MemoryPart("CUDA contexts", processes * _CONTEXT_BYTES, EVERY_PHASE, f"{processes} processes: an estimate")


def _host_bytes(config: RunConfig, shape: ModelShape, gpus: int) -> int:
    """Pinned memory of one machine: what sleeps or is offloaded there."""
    engine = config.engine
    states = (BF16 + OPTIMIZER_BYTES) * shape.parameters
    is_moved = engine.sleep or _is_offloaded(config)
    share = states * engine.gpus_per_node // gpus if engine.zero_stage >= 2 else states * engine.gpus_per_node
    engines_here = max(1, engine.gpus_per_node // engine.tensor_parallel_size)
    asleep = BF16 * shape.parameters * engines_here if engine.sleep else 0
    return (share if is_moved else 0) + asleep


def sampler_problem(config: RunConfig, shape: ModelShape) -> str | None:
    """Why the rollout engine can't start within its fraction; None if nothing speaks against it."""
    engine = config.engine
    taken = engine.vllm_memory_fraction * engine.gpu_memory_gib * GIB
    weights = BF16 * shape.parameters / engine.tensor_parallel_size
    one_reply = 2 * shape.layers * shape.kv_size * BF16 * longest_sample(config) / engine.tensor_parallel_size
    # vLLM measures a pass over its largest batch before it says how much is left for keys and values.
    needed = 1.15 * weights + one_reply + 1.5 * GIB
    if taken >= needed:
        return None
    least = needed / engine.gpu_memory_gib / GIB
    return (
        f"engine.vllm_memory_fraction {engine.vllm_memory_fraction:g} gives the rollout engine {taken / GIB:.1f} GiB, "
        f"and it needs about {needed / GIB:.1f} GiB to start: set it to at least {least:.2f}"
    )
