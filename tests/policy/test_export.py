"""Exported folders: the same model, whole, wherever it came from, opened by transformers alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from builders import present
from medical_team.config import DEMO_MODEL, Adaptation, PolicyConfig
from medical_team.errors import OutputError, PolicyError
from medical_team.policy.export import TOLERANCE, ExportPrecision, export_model, write_for_transformers_4
from medical_team.policy.loading import load_language_model
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_inside import from_pretrained, quiet_transformers
from tiny_models import make_tiny_model, save_tiny_model

PROBE = torch.arange(5, 40)[None]


def no_card(folder: Path) -> None:
    pass


def a_trained_policy(model: str, adaptation: Adaptation) -> Policy:
    """A policy whose weights have moved away from where they started."""
    policy = Policy(PolicyConfig(model=model, adaptation=adaptation, lora_rank=4, device="cpu"), seed=1)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return policy


def policy_logits(policy: Policy, probe: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), policy.inference_context() as model:
        return model(probe).logits.float()


def opened_logits(folder: Path, probe: torch.Tensor, **options: Any) -> torch.Tensor:
    """As transformers alone opens the folder."""
    with quiet_transformers(), torch.no_grad():
        return from_pretrained(AutoModelForCausalLM, folder, **options)(probe).logits.float()


def save_untied_model(folder: Path) -> None:
    _, tokenizer = make_tiny_model()
    torch.default_generator.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    cast("Any", LlamaForCausalLM(config)).save_pretrained(folder)
    cast("Any", tokenizer).save_pretrained(folder)


@pytest.fixture(params=["llama", "qwen2", "gemma3", "untied", "demo"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A model of each kind, as a folder or by its name."""
    if request.param == "demo":
        return "demo"
    folder = tmp_path / "base"
    if request.param == "untied":
        save_untied_model(folder)
    else:
        save_tiny_model(folder, seed=2, architecture=request.param)
    return str(folder)


@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_the_folder_speaks_as_the_policy_did(base: str, adaptation: Adaptation, tmp_path: Path) -> None:
    policy = a_trained_policy(base, adaptation)
    probe = PROBE % 250
    before = policy_logits(policy, probe)
    policy.save(tmp_path / "checkpoint")

    exported = export_model(str(tmp_path / "checkpoint"), tmp_path / "out", no_card)

    assert torch.allclose(opened_logits(tmp_path / "out", probe), before, atol=TOLERANCE)
    assert present(exported.difference) <= TOLERANCE
    assert present(exported.from_source) <= TOLERANCE
    assert exported.precision == "fp32"


def test_an_adapter_on_a_warm_started_adapter_is_merged_with_both(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "base")
    a_trained_policy(str(tmp_path / "base"), "lora").save(tmp_path / "warm")
    policy = a_trained_policy(str(tmp_path / "warm"), "lora")
    before = policy_logits(policy, PROBE)
    policy.save(tmp_path / "checkpoint")

    export_model(str(tmp_path / "checkpoint"), tmp_path / "out", no_card)

    assert torch.allclose(opened_logits(tmp_path / "out", PROBE), before, atol=TOLERANCE)
    assert not torch.allclose(opened_logits(tmp_path / "base", PROBE), before, atol=1e-2)


def test_the_folder_has_all_that_a_server_needs(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "base", architecture="qwen2")
    a_trained_policy(str(tmp_path / "base"), "lora").save(tmp_path / "checkpoint")

    export_model(str(tmp_path / "checkpoint"), tmp_path / "out", no_card)

    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not any("adapter" in name for name in names)
    config = json.loads((out / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    generation = json.loads((out / "generation_config.json").read_text())
    assert len(generation["eos_token_id"]) == 2
    assert "repetition_penalty" not in generation
    tokenizer = from_pretrained(AutoTokenizer, out)
    assert "Hello" in tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
    assert str(tmp_path) not in "".join(
        path.read_text(encoding="utf-8") for path in out.iterdir() if path.suffix in (".json", ".jinja")
    )


def test_the_tokenizer_is_written_in_words_that_older_versions_of_transformers_know(tmp_path: Path) -> None:
    export_model(DEMO_MODEL, tmp_path / "out", no_card)

    written = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "extra_special_tokens" not in written
    ours = load_language_model(DEMO_MODEL, device=torch.device("cpu"), dtype=torch.float32).tokenizer
    again = from_pretrained(AutoTokenizer, tmp_path / "out")
    text = "<|player|> A woman has a cough. <|end|>"
    assert again(text)["input_ids"] == ours(text)["input_ids"]
    assert again.all_special_ids == ours.all_special_ids


def test_transformers_4_finds_the_base_of_rotary_positions_where_it_looks_for_it(tmp_path: Path) -> None:
    exported = export_model(DEMO_MODEL, tmp_path / "out", no_card, is_for_transformers_4=True)

    written = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert written["rope_theta"] == written["rope_parameters"]["rope_theta"] == 10000.0
    assert "rope_scaling" not in written
    assert written["torch_dtype"] == written["dtype"]
    assert exported.difference == 0.0, "transformers 5 opens the same model"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"rope_type": "default", "rope_theta": 5e5}, {"rope_theta": 5e5}),
        (
            {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0},
            {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}},
        ),
        (
            {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5},
            {"rope_theta": 1e4, "partial_rotary_factor": 0.5},
        ),
    ],
    ids=["plain", "scaled", "partial"],
)
def test_rotary_positions_are_said_in_the_words_of_transformers_4(
    parameters: dict[str, Any], words: dict[str, Any], tmp_path: Path
) -> None:
    config = {"dtype": "bfloat16", "rope_parameters": parameters}
    (tmp_path / "config.json").write_text(json.dumps(config))

    write_for_transformers_4(tmp_path)

    written = json.loads((tmp_path / "config.json").read_text())
    assert written == config | {"torch_dtype": "bfloat16"} | words


def test_a_model_without_rotary_positions_needs_no_words_for_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')

    write_for_transformers_4(tmp_path)

    assert json.loads((tmp_path / "config.json").read_text()) == {"model_type": "gpt2"}


def test_rotary_positions_that_differ_by_layer_are_refused(tmp_path: Path) -> None:
    config = {"rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}}
    (tmp_path / "config.json").write_text(json.dumps(config))

    with pytest.raises(PolicyError, match=r"several kinds.*--transformers-4"):
        write_for_transformers_4(tmp_path)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_fewer_bits_are_written_when_asked_and_what_they_cost_is_told(
    precision: ExportPrecision, dtype: torch.dtype, tmp_path: Path
) -> None:
    save_tiny_model(tmp_path / "base")
    policy = a_trained_policy(str(tmp_path / "base"), "lora")
    before = policy_logits(policy, PROBE)
    policy.save(tmp_path / "checkpoint")

    exported = export_model(str(tmp_path / "checkpoint"), tmp_path / "out", no_card, precision=precision)

    with cast("Any", safe_open)(tmp_path / "out" / "model.safetensors", framework="pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {dtype}  # noqa: SIM118
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    assert present(exported.difference) <= TOLERANCE
    assert 0 < present(exported.from_source) < 0.2
    written = opened_logits(tmp_path / "out", PROBE, dtype=dtype)
    assert torch.allclose(written, before, atol=0.2)


def test_auto_keeps_the_precision_of_a_whole_model(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "base")
    export_model(str(tmp_path / "base"), tmp_path / "bf16", no_card, precision="bf16")

    assert export_model(str(tmp_path / "bf16"), tmp_path / "again", no_card).precision == "bf16"


def test_an_occupied_folder_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")

    with pytest.raises(OutputError, match=r"notes\.txt"):
        export_model("nowhere", tmp_path / "out", no_card)

    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    export_model("tiny-random", tmp_path / "out", no_card)

    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_model_that_comes_back_different_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = cast("Any", PreTrainedModel).save_pretrained
    other = make_tiny_model(seed=9)[0]

    def write_other(_model: PreTrainedModel, *where: Any, **options: Any) -> None:
        write(other, *where, **options)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", write_other)

    with pytest.raises(PolicyError, match="other logits"):
        export_model("tiny-random", tmp_path / "out", no_card)

    assert list(tmp_path.iterdir()) == []


def test_a_card_that_can_t_be_written_leaves_nothing(tmp_path: Path) -> None:
    def broken(folder: Path):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        export_model("tiny-random", tmp_path / "out", broken)

    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").rename(tmp_path / "base" / "pytorch_model.bin")

    with pytest.raises(PolicyError, match="pickle"):
        export_model(str(tmp_path / "base"), tmp_path / "out", no_card)
