"""The memory of a run by its parts: the local engine in one process, OpenRLHF 0.11.2 with all models on the same
GPUs by phase of a step, and a judge that shares a GPU with either."""

from __future__ import annotations

from collections.abc import Iterator

from ..config import MEDGEMMA_MODEL, RunConfig
from ..this_machine import has_nvidia_driver
from .model_shape import (
    AUTOCAST_BF16,
    BF16,
    FP32,
    MEDGEMMA_IMAGE_PARAMETERS,
    PURE_BF16,
    PURE_FP32,
    ModelShape,
    Precisions,
    autocast_bytes,
    inference_bytes,
    kv_cache_bytes,
    shape_of,
    training_bytes,
)
from .plan import GIB, MemoryPart, MemoryPlan, Phase, Workload

_VLLM_HEADROOM = 1.25
"""A server needs more than its weights: activations, and room for keys and values."""


def in_process_judge(config: RunConfig, *, is_gpu: bool) -> Iterator[MemoryPart]:
    """A model that judges in the trainer's own process; it is never put away."""
    if _judge_kind(config) != "model" or (is_gpu and config.judge.device == "cpu"):
        return
    shape = shape_of(config.judge.model)
    if not isinstance(shape, ModelShape):
        return
    is_bf16 = config.judge.precision == "bf16" or (config.judge.precision == "auto" and is_gpu)
    weights = shape.parameters * (BF16 if is_bf16 else FP32)
    yield MemoryPart("judge: weights", weights, ALWAYS, f"{config.judge.model}, {shape.parameters:,} parameters")
    tokens = config.judge.tokens_per_batch
    # The judge works when the sampler has finished; it is counted with the sampler's phase.
    work = inference_bytes(shape, tokens, PURE_BF16 if is_bf16 else PURE_FP32)
    yield MemoryPart("judge: activations", work, (Phase.ROLLOUT,), f"{tokens:,} tokens in a batch")


def judge_server(config: RunConfig, phases: tuple[Phase, ...]) -> Iterator[MemoryPart]:
    """A judge's vLLM server on a GPU of the run: it keeps its fraction of the memory all the time."""
    fraction = config.engine.judge_memory_fraction
    if fraction > 0:
        taken = int(fraction * config.engine.gpu_memory_gib * GIB)
        said = f"its vLLM server's --gpu-memory-utilization {fraction:g}"
        yield MemoryPart("judge (vLLM)", taken, phases, said)


def judge_problem(config: RunConfig) -> str | None:
    """Why the judge's server can't start within its fraction; None if nothing speaks against it."""
    fraction, name = config.engine.judge_memory_fraction, config.judge.model
    shape = shape_of(name)
    if fraction == 0 or _judge_kind(config) not in ("model", "openai") or not isinstance(shape, ModelShape):
        return None
    parameters = shape.parameters + (MEDGEMMA_IMAGE_PARAMETERS if name == MEDGEMMA_MODEL else 0)
    needed = _VLLM_HEADROOM * BF16 * parameters / GIB
    given = fraction * config.engine.gpu_memory_gib
    if given >= needed:
        return None
    return (
        f"engine.judge_memory_fraction {fraction:g} gives the judge {given:.1f} GiB, and {name} needs about "
        f"{needed:.1f} GiB: set it to at least {needed / config.engine.gpu_memory_gib:.2f}"
    )


def _judge_kind(config: RunConfig) -> str:
    """Who judges what the reference judge doesn't."""
    return config.judge.fallback if config.judge.kind == "hybrid" else config.judge.kind


ALWAYS = (Phase.ROLLOUT, Phase.SCORING, Phase.TRAINING, Phase.UPDATE)
CONTEXT_BYTES = int(0.7 * GIB)
"""CUDA's context with torch's kernels, and a library's workspaces: 0.5 to 0.8 GiB for a process, by experience."""

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
    return config.policy.device == "cuda" or (config.policy.device == "auto" and has_nvidia_driver())


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
    columns = rollout.max_prompt_tokens + longest_reply
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


EVERY_PHASE = tuple(Phase)
ADAM_OFFLOAD = "--ds.adam_offload"
REFERENCE_OFFLOAD = "--ref.offload"

OPTIMIZER_BYTES = 12
_REDUCE_BUCKET = 500_000_000
_GATHERED_PARAMETERS = 1_050_000_000
"""``stage3_max_live_parameters`` and the prefetch bucket."""
_SUB_GROUP = 1_000_000_000
_OPENRLHF_BYTES_PER_TRAINED_LOGIT = 10
"""The fp32 logits, their gradient, and both in bf16 as they change type: OpenRLHF computes the logits of all tokens."""
_OPENRLHF_BYTES_PER_SCORED_LOGIT = 6
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
        *_openrlhf_work(config, shape),
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


def _openrlhf_work(config: RunConfig, shape: ModelShape) -> Iterator[MemoryPart]:
    engine, longest = config.engine, longest_sample(config)
    tokens = engine.micro_rollout_batch_size * longest
    said = f"{engine.micro_rollout_batch_size} samples x {longest:,} tokens"
    scored = inference_bytes(shape, tokens, PURE_BF16)
    yield MemoryPart("scoring: activations", scored, (Phase.SCORING,), said)
    logits = tokens * shape.vocabulary * _OPENRLHF_BYTES_PER_SCORED_LOGIT
    words = f"x {shape.vocabulary:,} words of the vocabulary"
    yield MemoryPart(
        "scoring: logits", logits, (Phase.SCORING,), f"{said} {words} x {_OPENRLHF_BYTES_PER_SCORED_LOGIT} bytes"
    )

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
    logits = tokens * shape.vocabulary * _OPENRLHF_BYTES_PER_TRAINED_LOGIT
    yield MemoryPart(
        "training: logits", logits, (Phase.TRAINING,), f"{said} {words} x {_OPENRLHF_BYTES_PER_TRAINED_LOGIT} bytes"
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
    return MemoryPart("CUDA contexts", processes * CONTEXT_BYTES, EVERY_PHASE, f"{processes} processes: an estimate")


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
