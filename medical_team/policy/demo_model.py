"""The demo policy's shape: a small Llama with a word-level tokenizer of the synthetic notes' language.

It is made from nothing and speaks nothing else. A token is a word, a number or a mark; white space is a space, and a
mark that follows a word closely (a full stop, ``/min``, ``-year-old``) is a token without one, so that text comes back
as it was. Words outside the language become one unknown token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ..config import DEMO_MODEL
from ..data.synthetic.writing import several_words, written_texts
from ..prompts import assessor_prompt, attacker_prompt, sentences_prompt
from ..records import DataType, Verdict
from .transformers_inside import name_model, seeded

CONTEXT_WINDOW = 512
_MOST_SENTENCES = 24
"""Sentences of a note that have a number: more than the longest synthetic note has."""

_SPACE = "▁"
_SPECIAL = {"pad_token": "<|pad|>", "unk_token": "<|unknown|>", "eos_token": "<|end|>"}
_PLAYER = "<|player|>"
_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'user' %}<|player|>{% else %}<|end|>{% endif %}{% endfor %}"
)
_PHRASES = "|".join(re.escape(phrase.replace(" ", _SPACE)) for phrase in several_words())
_PIECES = "|".join(
    [
        # A fact, a finding or a history is one token: who exchanges one says nothing that is no medicine.
        rf"{_SPACE}(?:{_PHRASES})(?![\w'-])",
        rf"{_SPACE}?</?[a-z]+>",
        # What follows without a space on what stands before it.
        "-year-old",
        r"/(?:\d+|[a-z]+)",
        # A sentence's number: one token, so that two layers find the sentence by it.
        rf"{_SPACE}?\d+:",
        rf"{_SPACE}?\d+(?:\.\d+)?",
        rf"{_SPACE}?[^\W\d_]+(?:[-'][^\W\d_]+)*",
        rf"{_SPACE}?\S",
    ]
)


def make_demo_model(
    seed: int, *, hidden_size: int = 128, layers: int = 3, heads: int = 4
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A model with random weights, in fp32 on the CPU, and its tokenizer. No global random state is touched.

    Args:
        seed: decides the weights.
        hidden_size: width of the residual stream.
        layers: transformer blocks.
        heads: attention heads of each.
    """
    tokenizer = make_demo_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=CONTEXT_WINDOW,
        tie_word_embeddings=True,
        pad_token_id=cast("int", tokenizer.pad_token_id),
        bos_token_id=None,
        eos_token_id=cast("int", tokenizer.eos_token_id),
    )
    with seeded(seed):
        model = LlamaForCausalLM(config)
    name_model(model, DEMO_MODEL)
    return model.eval(), tokenizer


def make_demo_tokenizer() -> PreTrainedTokenizerFast:
    """The word-level tokenizer of the synthetic notes and of the terse prompts."""
    special = [*_SPECIAL.values(), _PLAYER]
    pieces = sorted({piece for text in _texts() for piece in _pieces(text)})
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys([*special, *pieces]))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=_SPECIAL["unk_token"]))
    backend.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
        ]
    )
    backend.decoder = decoders.Sequence([decoders.Replace(_SPACE, " "), decoders.Fuse()])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **_SPECIAL,
        additional_special_tokens=[_PLAYER],
        chat_template=_TEMPLATE,
        model_max_length=CONTEXT_WINDOW,
        clean_up_tokenization_spaces=False,
    )


def _texts() -> Iterator[str]:
    yield from written_texts()
    yield assessor_prompt("", style="terse", is_thinking=False)
    for data_type in DataType:
        if data_type.is_adversarial:
            yield attacker_prompt("", data_type, style="terse", is_thinking=False)
            yield sentences_prompt("", data_type, style="terse", is_thinking=False, max_edits=1, at_stake="0:")
    yield " ".join(f"{number}:" for number in range(_MOST_SENTENCES))
    yield from (verdict.value for verdict in Verdict)


def _pieces(text: str) -> list[str]:
    return re.findall(_PIECES, _SPACE + re.sub(r"\s+", _SPACE, text.strip()))
