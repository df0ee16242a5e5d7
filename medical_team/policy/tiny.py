"""A randomly initialised model of a few thousand parameters, made on the spot: for tests and for trying things out.

It speaks bytes: every character of ASCII is one token, so a prompt has about as many tokens as characters. It knows
nothing and writes noise; what it shows is that the machinery around it works. The same seed gives the same weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from ..config import TINY_RANDOM_MODEL
from .quiet import quiet_transformers
from .transformers_inside import name_model

Architecture = Literal["llama", "qwen2", "gemma3"]

CONTEXT_WINDOW = 8192

_CHATML_TOKENS = {"pad_token": "<|endoftext|>", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
_CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

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
    """The model, in fp32 and eval mode on the CPU, and its tokenizer. No global random state is touched.

    Args:
        seed: decides the weights.
        architecture: whose shape the model, the special tokens and the chat template have. ``qwen2`` carries a
            repetition penalty in its generation settings and two end tokens, ``gemma3`` has sliding windows and a
            template that refuses a system role: the habits of those families that a trainer must cope with.
    """
    tokenizer = _tokenizer(architecture)
    with torch.random.fork_rng(devices=[]):
        # The CPU's own generator: torch.manual_seed would seed the GPUs too, which fork_rng doesn't restore here.
        torch.default_generator.manual_seed(seed)
        model = _model(architecture, tokenizer)
    name_model(model, TINY_RANDOM_MODEL)
    return model.eval(), tokenizer


def save_tiny_model(folder: Path, seed: int = 0, architecture: Architecture = "llama") -> None:
    """Write :func:`make_tiny_model`'s model and tokenizer as a Hugging Face folder."""
    model, tokenizer = make_tiny_model(seed, architecture)
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _tokenizer(architecture: Architecture) -> PreTrainedTokenizerFast:
    is_gemma = architecture == "gemma3"
    named = _GEMMA_TOKENS if is_gemma else _CHATML_TOKENS
    turn_tokens = _GEMMA_TURN_TOKENS if is_gemma else ()
    special = [*named.values(), *turn_tokens]
    characters = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {token: number for number, token in enumerate(characters)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **named,
        additional_special_tokens=list(turn_tokens),
        chat_template=_GEMMA_TEMPLATE if is_gemma else _CHATML_TEMPLATE,
        model_max_length=CONTEXT_WINDOW,
        clean_up_tokenization_spaces=False,
    )


def _model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": CONTEXT_WINDOW,
        "tie_word_embeddings": True,
        # Wide enough that replies of different prompts and seeds differ, as a trained model's do.
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape))
    if architecture == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**shape))
        model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
        model.generation_config.repetition_penalty = 1.05
        return model
    shape["eos_token_id"] = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_turn>")]
    layer_types = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(**shape, head_dim=8, query_pre_attn_scalar=8, sliding_window=64, layer_types=layer_types)
    )
