"""Tiny models with random weights, of families whose habits a trainer must cope with: Qwen2's repetition penalty in
the generation settings and its two ends of a reply, Gemma 3's sliding windows and its template that refuses a system
role."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from medical_team.config import TINY_RANDOM_MODEL
from medical_team.policy import shipped_models
from medical_team.policy.transformers_inside import name_model, quiet_transformers, save_pretrained, seeded

Architecture = Literal["llama", "qwen2", "gemma3"]

_GEMMA_TOKENS = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
_GEMMA_TURN_TOKENS = ("<start_of_turn>", "<end_of_turn>")
_GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def make_tiny_model(
    seed: int = 0, architecture: Architecture = "llama"
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The tiny model that ships, or one of another family's shape, with its tokenizer."""
    model, tokenizer = shipped_models.make_tiny_model(seed)
    if architecture == "llama":
        return model, tokenizer
    if architecture == "gemma3":
        tokenizer = _gemma_tokenizer()
    with seeded(seed):
        model = _qwen2(tokenizer) if architecture == "qwen2" else _gemma3(tokenizer)
    name_model(model, TINY_RANDOM_MODEL)
    return model.eval(), tokenizer


def save_tiny_model(folder: Path, seed: int = 0, architecture: Architecture = "llama") -> None:
    """Write :func:`make_tiny_model`'s model and tokenizer as a Hugging Face folder."""
    model, tokenizer = make_tiny_model(seed, architecture)
    with quiet_transformers():
        save_pretrained(model, tokenizer, folder)


def _shape(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": shipped_models.CONTEXT_WINDOW,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _qwen2(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    model = Qwen2ForCausalLM(Qwen2Config(**_shape(tokenizer)))
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.repetition_penalty = 1.05
    return model


def _gemma3(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    shape = _shape(tokenizer)
    shape["eos_token_id"] = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_turn>")]
    layer_types = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(**shape, head_dim=8, query_pre_attn_scalar=8, sliding_window=64, layer_types=layer_types)
    )


def _gemma_tokenizer() -> PreTrainedTokenizerFast:
    characters = [*_GEMMA_TOKENS.values(), *_GEMMA_TURN_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(characters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **_GEMMA_TOKENS,
        additional_special_tokens=list(_GEMMA_TURN_TOKENS),
        chat_template=_GEMMA_TEMPLATE,
        model_max_length=shipped_models.CONTEXT_WINDOW,
        clean_up_tokenization_spaces=False,
    )
