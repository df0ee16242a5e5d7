"""The shape of a decoder-only model, found without loading it, and what follows of it: how many parameters it has,
and what a forward pass keeps for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from ..config import DEMO_MODEL, MEDGEMMA_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL
from ..model_files import ADAPTER_CONFIG_FILE, CONFIG_FILE, DEMO_FOLDER, cached_snapshot, read_json_object
from .plan import Unknown

_LLAMA_LIKE = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3")
_FOUR_NORMS = ("gemma2", "gemma3_text")
_NORMED_HEADS = ("qwen3", "gemma3_text")
_TIED_UNLESS_TOLD = ("gemma", "gemma2", "gemma3_text")
_FIXED_HEAD_SIZE: Mapping[str, int] = {"gemma": 256, "gemma2": 256, "gemma3_text": 256, "qwen3": 128}

_GEMMA3_TEXT_DEFAULTS: Mapping[str, int] = {
    "vocab_size": 262208,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
}
"""What a multi-modal Gemma 3's ``text_config`` may leave out, by transformers' own defaults."""


class UnknownShapeError(ValueError):
    """A configuration of a kind whose parts are not known here."""


@dataclass(frozen=True)
class ModelShape:
    """A model whose layers are attention and a gated feed-forward network, as Llama's are (arXiv 2302.13971)."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward_size: int
    vocabulary: int
    is_tied: bool
    """Whether the output layer shares the embedding's weights."""
    has_qkv_bias: bool = False
    norms_per_layer: int = 2
    has_head_norms: bool = False
    """Whether queries and keys are normalised in each head."""

    @property
    def query_size(self) -> int:
        """Width of all queries of a token."""
        return self.heads * self.head_size

    @property
    def kv_size(self) -> int:
        """Width of all keys of a token, and of all values."""
        return self.kv_heads * self.head_size

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding, and of the output layer where it has its own."""
        return self.vocabulary * self.hidden_size * (1 if self.is_tied else 2)

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer: attention, feed-forward network, norms."""
        hidden, width, query, kv = self.hidden_size, self.feed_forward_size, self.query_size, self.kv_size
        attention = hidden * (query + 2 * kv) + query * hidden
        biases = (query + 2 * kv) * self.has_qkv_bias
        norms = self.norms_per_layer * hidden + 2 * self.head_size * self.has_head_norms
        return attention + biases + 3 * hidden * width + norms

    @property
    def parameters(self) -> int:
        """All parameters: embedding, layers and the last norm."""
        return self.embedding_parameters + self.layers * self.layer_parameters + self.hidden_size

    def lora_parameters(self, rank: int) -> int:
        """Parameters of a LoRA adapter (arXiv 2106.09685) on every linear layer but the output layer."""
        hidden, width, query, kv = self.hidden_size, self.feed_forward_size, self.query_size, self.kv_size
        ends = [(hidden, query), (hidden, kv), (hidden, kv), (query, hidden)]
        ends += [(hidden, width), (hidden, width), (width, hidden)]
        return self.layers * rank * sum(inner + outer for inner, outer in ends)


def shape_of_config(config: Mapping[str, Any]) -> ModelShape:
    """The shape that a ``config.json`` describes. Of a multi-modal Gemma 3, the text model's.

    Raises:
        UnknownShapeError: the model is of a kind that is not known here, or a number is missing.
    """
    model_type = config.get("model_type")
    if model_type == "gemma3" and isinstance(config.get("text_config"), dict):
        return shape_of_config({**_GEMMA3_TEXT_DEFAULTS, "model_type": "gemma3_text", **config["text_config"]})
    if model_type not in _LLAMA_LIKE:
        raise UnknownShapeError(f"the parts of a model of type {model_type!r} are not known here")
    heads = _number(config, "num_attention_heads")
    hidden_size = _number(config, "hidden_size")
    head_size = config.get("head_dim") or _FIXED_HEAD_SIZE.get(model_type) or hidden_size // heads
    return ModelShape(
        hidden_size=hidden_size,
        layers=_number(config, "num_hidden_layers"),
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=int(head_size),
        feed_forward_size=_number(config, "intermediate_size"),
        vocabulary=_number(config, "vocab_size"),
        is_tied=bool(config.get("tie_word_embeddings", model_type in _TIED_UNLESS_TOLD)),
        # Other biases, which few models have, are a thousandth of a layer.
        has_qkv_bias=model_type == "qwen2" or bool(config.get("attention_bias")),
        norms_per_layer=4 if model_type in _FOUR_NORMS else 2,
        has_head_norms=model_type in _NORMED_HEADS,
    )


def _number(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if not isinstance(value, int) or value <= 0:
        raise UnknownShapeError(f"its config.json has {name} = {value!r}, expected a positive number")
    return value


FP32 = 4
BF16 = 2


@dataclass(frozen=True)
class Precisions:
    """Bytes of a number in the stream between layers (``stream``) and inside matrix products (``products``)."""

    stream: int
    products: int


PURE_BF16 = Precisions(BF16, BF16)
PURE_FP32 = Precisions(FP32, FP32)
AUTOCAST_BF16 = Precisions(FP32, BF16)
"""fp32 weights whose products are computed in bf16, as torch's autocast does."""


def layer_bytes(shape: ModelShape, precisions: Precisions, *, is_padded: bool = False) -> int:
    """What one layer keeps of one token for its backward pass.

    Args:
        is_padded: rows are padded to one length; then torch's attention is told a mask, and keeps keys and values
            repeated for every query head besides.
    """
    hidden, query, kv = shape.hidden_size, shape.query_size, shape.kv_size
    # A norm keeps its input in fp32, the root, and the normalised values (Gemma's stay in fp32).
    is_gemma = shape.norms_per_layer > 2
    norm = FP32 + (FP32 + (FP32 if is_gemma else precisions.stream)) * hidden
    head_norm = FP32 + (FP32 + (FP32 if is_gemma else precisions.products)) * shape.head_size
    head_norms = (shape.heads + shape.kv_heads) * head_norm
    # Autocast makes a copy of what comes in for every matrix that it meets: three here, two in the network below.
    is_cast = precisions.stream != precisions.products
    # What comes in, queries, keys and values, the result, and a number of each head's softmax.
    inputs = hidden * (3 if is_cast else 1)
    attention = precisions.products * (inputs + 2 * query + 2 * kv + 2 * query * is_padded) + FP32 * shape.heads
    # What comes in, the gate before and after its SiLU, the other branch, and their product.
    inputs = hidden * (2 if is_cast else 1)
    feed_forward = precisions.products * (inputs + 4 * shape.feed_forward_size)
    return shape.norms_per_layer * norm + head_norms * shape.has_head_norms + attention + feed_forward


def autocast_bytes(shape: ModelShape) -> int:
    """The bf16 copies of fp32 weights that torch's autocast makes and keeps until the pass is done."""
    return BF16 * (shape.parameters - (0 if shape.is_tied else shape.vocabulary * shape.hidden_size))


def training_bytes(
    shape: ModelShape, tokens: int, precisions: Precisions, *, is_checkpointed: bool, is_padded: bool
) -> int:
    """The activations of ``tokens`` tokens in training.

    With gradient checkpointing each layer keeps its input alone, and one layer at a time is computed again
    (arXiv 2205.05198, section 5: full recomputation).
    """
    layer = layer_bytes(shape, precisions, is_padded=is_padded)
    if not is_checkpointed:
        return tokens * shape.layers * layer
    # While one layer is computed again and differentiated, its activations' gradients stand beside them.
    return tokens * (shape.layers * precisions.stream * shape.hidden_size + 2 * layer)


def inference_bytes(shape: ModelShape, tokens: int, precisions: Precisions) -> int:
    """What the widest part of one layer needs of ``tokens`` tokens, where nothing is kept."""
    widest = 3 * precisions.products * shape.feed_forward_size
    return tokens * (widest + (2 * precisions.stream + FP32) * shape.hidden_size)


def kv_cache_bytes(shape: ModelShape, tokens: int, bytes_per_number: int) -> int:
    """Keys and values of ``tokens`` tokens in every layer."""
    return 2 * shape.layers * shape.kv_size * bytes_per_number * tokens


def _qwen25(hidden: int, layers: int, heads: int, kv_heads: int, width: int, *, tied: bool) -> ModelShape:
    return ModelShape(
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_size=hidden // heads,
        feed_forward_size=width,
        vocabulary=151936 if tied else 152064,
        is_tied=tied,
        has_qkv_bias=True,
    )


KNOWN_SHAPES: Mapping[str, ModelShape] = {
    SMOLLM2_MODEL: ModelShape(576, 30, 9, 3, 64, 1536, 49152, is_tied=True),
    TINY_RANDOM_MODEL: ModelShape(16, 2, 2, 1, 8, 32, 259, is_tied=True),
    "Qwen/Qwen2.5-0.5B-Instruct": _qwen25(896, 24, 14, 2, 4864, tied=True),
    "Qwen/Qwen2.5-1.5B-Instruct": _qwen25(1536, 28, 12, 2, 8960, tied=True),
    "Qwen/Qwen2.5-3B-Instruct": _qwen25(2048, 36, 16, 2, 11008, tied=True),
    "Qwen/Qwen2.5-7B-Instruct": _qwen25(3584, 28, 28, 4, 18944, tied=False),
    MEDGEMMA_MODEL: ModelShape(
        2560, 34, 8, 4, 256, 10240, 262208, is_tied=True, norms_per_layer=4, has_head_norms=True
    ),
}
"""What the ``config.json`` of these models says. Of MedGemma, the text model; its image encoder is not counted."""

MEDGEMMA_IMAGE_PARAMETERS = 420_000_000
"""Of MedGemma's image encoder and projector, about; vLLM loads them too."""


def shape_of(name: str) -> Union[ModelShape, Unknown]:
    """The shape of the model ``name``: what ``policy.model`` takes. Of an adapter, its base's. Nothing is fetched."""
    folder = DEMO_FOLDER if name == DEMO_MODEL else Path(name).expanduser()
    if (folder / ADAPTER_CONFIG_FILE).is_file() and not (folder / CONFIG_FILE).is_file():
        try:
            base = str(read_json_object(folder / ADAPTER_CONFIG_FILE)["base_model_name_or_path"])
        except (ValueError, KeyError):
            return Unknown(f"{folder / ADAPTER_CONFIG_FILE} names no base model")
        return _shape_of_model(str(folder / base) if (folder / base).is_dir() else base)
    return _shape_of_model(str(folder) if name == DEMO_MODEL else name)


def _shape_of_model(name: str) -> Union[ModelShape, Unknown]:
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / CONFIG_FILE).is_file():
            return _read_shape(folder / CONFIG_FILE, name)
        return Unknown(f"{name} holds no {CONFIG_FILE}, so its shape is not known")
    if name in KNOWN_SHAPES:
        return KNOWN_SHAPES[name]
    snapshot = cached_snapshot(name)
    if snapshot is None or not (snapshot / CONFIG_FILE).is_file():
        return Unknown(
            f"the shape of {name} is not known: it is no folder here, not in the Hugging Face cache and not in our "
            f"table. Fetch its configuration (hf download {name} {CONFIG_FILE}) and ask again."
        )
    return _read_shape(snapshot / CONFIG_FILE, name)


def _read_shape(path: Path, name: str) -> Union[ModelShape, Unknown]:
    try:
        return shape_of_config(read_json_object(path))
    except UnknownShapeError as error:
        return Unknown(f"the shape of {name} is not known: {error}")
    except ValueError:
        return Unknown(f"{path} can't be read as JSON")
