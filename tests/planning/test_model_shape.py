"""Configurations of models that nobody can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from builders import present
from medical_team.planning.model_shape import (
    AUTOCAST_BF16,
    BF16,
    KNOWN_SHAPES,
    PURE_BF16,
    PURE_FP32,
    ModelShape,
    Precisions,
    UnknownShapeError,
    kv_cache_bytes,
    layer_bytes,
    shape_of,
    shape_of_config,
    training_bytes,
)
from medical_team.planning.plan import Unknown
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.policy.transformers_inside import cache_of, text_config

if TYPE_CHECKING:
    pass


SMALL: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 101,
    "pad_token_id": 0,
}
CONFIGS = [
    LlamaConfig(**SMALL),
    LlamaConfig(**SMALL, tie_word_embeddings=True),
    MistralConfig(**SMALL),
    Qwen2Config(**SMALL, tie_word_embeddings=True),
    Qwen3Config(**SMALL, head_dim=16),
    GemmaConfig(**SMALL, head_dim=8),
    Gemma2Config(**SMALL, head_dim=8),
    Gemma3TextConfig(**SMALL, head_dim=8),
    Phi3Config(**SMALL),
]


def model_of(config: PreTrainedConfig) -> PreTrainedModel:
    return cast("Any", AutoModelForCausalLM).from_config(config)


def transformers_parameters(config: PreTrainedConfig) -> int:
    with torch.device("meta"):
        model = model_of(config)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1_543_714_304),
        ("Qwen/Qwen2.5-3B-Instruct", 3_085_938_688),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        # google/gemma-3-4b-it's language model: 3,880,099,328 with 262,144 rows; MedGemma's config has 64 rows more.
        ("google/medgemma-4b-it", 3_880_099_328 + 64 * 2560),
    ],
)
def test_known_models_have_their_published_number_of_parameters(name: str, total: int) -> None:
    assert KNOWN_SHAPES[name].parameters == total


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_the_formula_counts_what_transformers_makes(
    config: LlamaConfig | MistralConfig | Qwen2Config | Qwen3Config,
) -> None:
    # Through JSON, as a config.json is read.
    shape = shape_of_config(json.loads(config.to_json_string(use_diff=False)))

    assert shape.parameters == transformers_parameters(config)


@pytest.mark.parametrize("config", CONFIGS[:7], ids=lambda config: config.model_type)
def test_a_config_that_leaves_out_defaults_is_understood(
    config: LlamaConfig | MistralConfig | Qwen2Config | Qwen3Config,
) -> None:
    shape = shape_of_config(json.loads(config.to_json_string(use_diff=True)) | {"model_type": config.model_type})

    assert shape.parameters == transformers_parameters(config)


def test_the_known_shapes_are_those_of_transformers_models() -> None:
    shape = KNOWN_SHAPES["Qwen/Qwen2.5-3B-Instruct"]
    config = Qwen2Config(
        hidden_size=shape.hidden_size,
        intermediate_size=shape.feed_forward_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.is_tied,
    )

    assert transformers_parameters(config) == shape.parameters


def test_a_multimodal_gemma_counts_as_its_text_model() -> None:
    text = {**SMALL, "head_dim": 8}
    config = Gemma3Config(text_config=text)

    shape = shape_of_config({"model_type": "gemma3", "text_config": text})

    assert shape.parameters == transformers_parameters(text_config(config))


def test_the_adapter_s_parameters_are_peft_s() -> None:
    from peft import LoraConfig, get_peft_model

    config = Qwen2Config(**SMALL)
    with torch.device("meta"):
        model = model_of(config)
        adapted = get_peft_model(model, LoraConfig(r=5, target_modules="all-linear", task_type="CAUSAL_LM"))

    trainable, _ = adapted.get_nb_trainable_parameters()

    assert shape_of_config(config.to_dict()).lora_parameters(5) == trainable


def known_shape(name: str) -> ModelShape:
    shape = shape_of(name)
    assert isinstance(shape, ModelShape)
    return shape


def test_the_models_that_ship_are_known() -> None:
    tiny, _ = make_tiny_model()

    assert known_shape("tiny-random").parameters == sum(parameter.numel() for parameter in tiny.parameters())
    assert 400_000 < known_shape("demo").parameters < 2_000_000


def test_a_folder_s_own_config_decides_even_under_a_known_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "Qwen" / "Qwen2.5-3B-Instruct"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(LlamaConfig(**SMALL).to_json_string())

    assert known_shape("Qwen/Qwen2.5-3B-Instruct").hidden_size == 24


def test_an_adapter_has_its_base_s_shape(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(LlamaConfig(**SMALL).to_json_string())
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "../base"}))

    assert known_shape(str(adapter)).vocabulary == 101


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
def test_the_hugging_face_cache_is_read_without_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    repository = tmp_path / "models--owner--model"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text(LlamaConfig(**SMALL).to_json_string())

    assert isinstance(shape_of("owner/model"), ModelShape)


def test_what_is_not_known_says_how_to_make_it_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    answer = shape_of("owner/unheard-of")

    assert isinstance(answer, Unknown)
    assert "hf download owner/unheard-of config.json" in answer.reason


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"model_type": "t5"}', '{"model_type": "llama"}'])
def test_an_unusable_config_is_no_crash(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)

    assert isinstance(shape_of(str(tmp_path)), Unknown)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownShapeError, match="mamba"):
        shape_of_config({"model_type": "mamba"})


ROWS, COLUMNS = 2, 64
TOKENS = ROWS * COLUMNS
SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "pad_token_id": 0,
}


def a_model(kind: type[PreTrainedConfig], layers: int, dtype: torch.dtype) -> tuple[PreTrainedModel, ModelShape]:
    options: dict[str, Any] = {**SIZES, "num_hidden_layers": layers, "attn_implementation": "sdpa"}
    config = kind(**options)
    return cast("Any", model_of(config)).to(dtype=dtype), shape_of_config(config.to_dict())


def as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def kept_bytes(model: PreTrainedModel, *, is_padded: bool, is_autocast: bool) -> int:
    """The storages that a forward pass keeps for the backward pass, weights aside."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    attention_mask = torch.ones((ROWS, COLUMNS), dtype=torch.long)
    if is_padded:
        attention_mask[:, :3] = 0
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, as_it_is),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast),
    ):
        present(model.base_model)(
            input_ids=torch.randint(1, 100, (ROWS, COLUMNS)), attention_mask=attention_mask, use_cache=False
        )
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize(
    ("precisions", "dtype"),
    [(PURE_FP32, torch.float32), (PURE_BF16, torch.bfloat16), (AUTOCAST_BF16, torch.float32)],
    ids=["fp32", "bf16", "autocast"],
)
@pytest.mark.parametrize("kind", [LlamaConfig, Qwen2Config, Qwen3Config, Gemma3TextConfig])
def test_a_layer_keeps_what_the_formula_says(
    kind: type[PreTrainedConfig], precisions: Precisions, dtype: torch.dtype, is_padded: bool
) -> None:
    is_autocast = precisions is AUTOCAST_BF16
    one, _ = a_model(kind, 1, dtype)
    two, shape = a_model(kind, 2, dtype)
    measured = kept_bytes(two, is_padded=is_padded, is_autocast=is_autocast)
    measured -= kept_bytes(one, is_padded=is_padded, is_autocast=is_autocast)
    if is_autocast:
        measured -= BF16 * shape.layer_parameters

    formula = TOKENS * layer_bytes(shape, precisions, is_padded=is_padded)

    # Gemma's norms differ by more, in some bytes of a token: they add one to their weights anew in each pass.
    assert formula == pytest.approx(measured, rel=0.02 if kind is not Gemma3TextConfig else 0.06)


def test_checkpointing_keeps_each_layer_s_input_alone() -> None:
    model, shape = a_model(Qwen2Config, 6, torch.float32)
    cast("Any", model).gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    measured = kept_bytes(model, is_padded=False, is_autocast=False)

    # What the last layer is computed again with comes on top when the backward pass starts.
    formula = training_bytes(shape, TOKENS, PURE_FP32, is_checkpointed=True, is_padded=False)
    without = training_bytes(shape, TOKENS, PURE_FP32, is_checkpointed=False, is_padded=False)

    inputs = formula - 2 * TOKENS * layer_bytes(shape, PURE_FP32)
    assert inputs == 6 * TOKENS * 4 * shape.hidden_size
    assert inputs <= measured < inputs * 1.6
    assert formula < without


def test_keys_and_values_take_what_a_cache_holds() -> None:
    model, shape = a_model(Qwen2Config, 3, torch.float32)
    cache = cache_of(model(input_ids=torch.randint(1, 100, (ROWS, COLUMNS)), use_cache=True))

    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)

    assert kv_cache_bytes(shape, TOKENS, 4) == held


@pytest.mark.parametrize("content", [b"[" * 100_000, b"", b"[1]", b"\xef\xbb\xbf{}", b"\xff\xfe{}"])
def test_the_shape_is_then_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)

    shape = shape_of(str(tmp_path))

    assert isinstance(shape, Unknown)
    assert "config.json can't be read as JSON" in shape.reason


@pytest.mark.parametrize("revision", [b"\xff\xfe\x00", b"a\0b", b"../../..", b"x" * 5000, b""])
def test_a_damaged_cache_is_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: bytes) -> None:
    refs = tmp_path / "models--a--b" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_bytes(revision)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    shape = shape_of("a/b")

    assert isinstance(shape, Unknown)
    assert "not in the Hugging Face cache" in shape.reason
