"""Tiny models of many architectures, with random weights: the shapes that tests and `benchmarks/architectures.py` try.

Dropout is what each architecture has by default. Sliding windows are shorter than the prompts, so that they matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from medical_team.policy.shipped_models import make_tiny_model
from medical_team.policy.transformers_inside import quiet_transformers

_, TOKENIZER = make_tiny_model()

_COMMON: Mapping[str, Any] = {
    "vocab_size": len(TOKENIZER),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    # Wide enough that replies of different prompts and seeds differ, as a trained model's do.
    "initializer_range": 0.2,
    "bos_token_id": TOKENIZER.bos_token_id,
    "eos_token_id": TOKENIZER.eos_token_id,
    "pad_token_id": TOKENIZER.pad_token_id,
}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_HEAD = {"head_dim": 8}
_WINDOW = {"sliding_window": 16}
_WINDOW_FIRST = {**_WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
_GEMMA = {**_HEAD, **_WINDOW, "query_pre_attn_scalar": 8}
_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8}
_LATENT_ATTENTION = {
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
_DEEPSEEK = {
    **_EXPERTS,
    **_LATENT_ATTENTION,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
_DELTA_NET = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_XLSTM = {
    "num_heads": 4,
    "num_blocks": 2,
    "qk_dim_factor": 1.0,
    "chunkwise_kernel": "chunkwise--native_autograd",
    "sequence_kernel": "native_sequence__native",
    "step_kernel": "native",
}

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "apertus": {},
    "arcee": {},
    "bamba": {**_MAMBA2, "attn_layer_indices": [1]},
    "biogpt": {},
    "bloom": {},
    "codegen": {"rotary_dim": 4},
    "cohere": {},
    "cohere2": _WINDOW_FIRST,
    "dbrx": {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 2048,
        "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
    },
    "deepseek_v2": {**_DEEPSEEK, "topk_method": "greedy"},
    "deepseek_v3": _DEEPSEEK,
    "ernie4_5": _HEAD,
    "exaone4": _WINDOW_FIRST,
    "falcon": {},
    "falcon_h1": {**_MAMBA2, "mamba_n_heads": 4, "mamba_d_ssm": 32},
    "falcon_mamba": {"state_size": 8},
    "gemma": _HEAD,
    "gemma2": _GEMMA,
    "gemma3_text": {**_GEMMA, **_WINDOW_FIRST},
    "gemma3n_text": {
        **_GEMMA,
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "intermediate_size": [64] * 4,
        "activation_sparsity_pattern": [0.9, 0.9, 0.0, 0.0],
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": len(TOKENIZER),
        "laurel_rank": 4,
    },
    "glm": _HEAD,
    "glm4": _HEAD,
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neo": {
        "attention_types": [[["global", "local"], 1]],
        "num_layers": 2,
        "num_heads": 4,
        "window_size": 16,
    },
    "gpt_neox": {},
    "gpt_oss": {**_EXPERTS, **_HEAD, **_WINDOW_FIRST, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    "gptj": {"rotary_dim": 4},
    "granite": {},
    "granitemoe": _EXPERTS,
    "granitemoehybrid": {
        **_EXPERTS,
        **_MAMBA2,
        "layer_types": ["mamba", "attention"],
        "shared_intermediate_size": 16,
    },
    "helium": _HEAD,
    "hunyuan_v1_dense": _HEAD,
    "jamba": {
        **_EXPERTS,
        "mamba_d_state": 8,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "llama": {},
    "llama4_text": {**_EXPERTS, **_HEAD, "intermediate_size_mlp": 64, "attention_chunk_size": 16},
    "mamba": {"state_size": 8},
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1},
    "minimax": {**_EXPERTS, **_HEAD, "layer_types": ["linear_attention", "full_attention"], "block_size": 16},
    "ministral": {**_HEAD, **_WINDOW_FIRST},
    "mistral": _WINDOW,
    "mixtral": {**_EXPERTS, **_WINDOW},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 2048},
    "nemotron": {},
    "nemotron_h": {
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "n_groups": 1,
        "ssm_state_size": 8,
        "layers_block_type": ["mamba", "attention"],
    },
    "olmo": {},
    "olmo2": {},
    "olmo3": _WINDOW,
    "olmo_hybrid": {
        **_HEAD,
        **_DELTA_NET,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 4,
    },
    "olmoe": _EXPERTS,
    "openai-gpt": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "persimmon": {},
    "phi": {},
    "phi3": _WINDOW,
    "phimoe": _EXPERTS,
    "qwen2": {},
    "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 16},
    "qwen3": _HEAD,
    "qwen3_moe": {**_EXPERTS, **_HEAD},
    "qwen3_5_text": {**_HEAD, **_DELTA_NET, "layer_types": ["linear_attention", "full_attention"]},
    "qwen3_next": {
        **_EXPERTS,
        **_HEAD,
        **_DELTA_NET,
        "layer_types": ["linear_attention", "full_attention"],
        "shared_expert_intermediate_size": 16,
    },
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 16, "num_hidden_layers": 3},
    "rwkv": {"attention_hidden_size": 32, "context_length": 2048, "rescale_every": 1},
    "seed_oss": {**_HEAD, "attention_dropout": 0.1, "residual_dropout": 0.1},
    "smollm3": {},
    "stablelm": {"hidden_dropout": 0.1, "attention_dropout": 0.1},
    "starcoder2": _WINDOW,
    "xglm": {"ffn_dim": 64, "attention_heads": 4, "num_layers": 2, "d_model": 32},
    "xlstm": _XLSTM,
    "zamba2": {
        "mamba_d_state": 8,
        "mamba_headdim": 8,
        "n_mamba_heads": 8,
        "mamba_ngroups": 1,
        "num_mem_blocks": 1,
        "layers_block_type": ["mamba", "hybrid", "hybrid"],
        "num_hidden_layers": 3,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
    },
}
"""By transformers' ``model_type``: what makes it tiny, beside what is common to all."""


def tiny_model(model_type: str, **changes: Any) -> PreTrainedModel:
    """The model, in fp32 and evaluation mode; the same weights each time. ``changes`` are of its configuration."""
    with quiet_transformers(), cast("Any", torch.random).fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        config = cast("Any", AutoConfig).for_model(model_type, **{**_COMMON, **SHAPES[model_type], **changes})
        return cast("Any", AutoModelForCausalLM).from_config(config).eval()


def save_tiny_architecture(folder: Path, model_type: str, **changes: Any) -> None:
    """Write :func:`tiny_model`'s model, with a tokenizer of bytes, as a Hugging Face folder."""
    with quiet_transformers():
        cast("Any", tiny_model(model_type, **changes)).save_pretrained(folder)
        cast("Any", TOKENIZER).save_pretrained(folder)
