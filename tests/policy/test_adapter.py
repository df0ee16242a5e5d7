from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, LoraModel, PeftModel, TaskType, get_peft_model
from safetensors import torch as safetensors_torch
from tiny_architectures import save_tiny_architecture, tiny_model
from transformers import AutoModelForCausalLM

from builders import present
from medical_team.config import PolicyConfig
from medical_team.errors import PolicyError
from medical_team.game.rollout import REFERENCE
from medical_team.policy import adapter
from medical_team.policy.adapter import adaptable_layers, attach_adapter
from medical_team.policy.export import export_model
from medical_team.policy.loading import load_language_model
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_inside import from_pretrained, quiet_transformers, read_tensors
from tiny_models import Architecture, make_tiny_model, save_tiny_model

PROBE = torch.arange(5, 40)[None]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3"])
def test_in_a_plain_transformer_all_linear_layers_but_the_head_are_adapted_as_peft_would(
    architecture: Architecture,
) -> None:
    model, _ = make_tiny_model(architecture=architecture)
    ours = attach_adapter(model, name="tiny", rank=4, generator_seed=7)
    torch.default_generator.manual_seed(7)
    theirs = get_peft_model(
        make_tiny_model(architecture=architecture)[0],
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type=TaskType.CAUSAL_LM),
    )

    expected = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(expected)
    assert all(torch.equal(weights, expected[name]) for name, weights in ours.named_parameters())


@pytest.mark.parametrize(
    ("model_type", "adapted"),
    [
        ("mamba", {"in_proj", "x_proj"}),  # dt_proj's weight is read past the layer; PEFT refuses out_proj
        ("falcon_h1", {"in_proj", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        ("lfm2", {"in_proj", "out_proj", "q_proj", "k_proj", "v_proj", "w1", "w2", "w3"}),
        ("opt", {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}),
        ("phimoe", {"q_proj", "k_proj", "v_proj", "o_proj"}),  # its router gives a tuple
        ("gpt2", {"c_attn", "c_proj", "c_fc"}),
        # Experts in one parameter, for which PEFT would take the names of a shared expert's layers.
        ("mixtral", {"q_proj", "k_proj", "v_proj", "o_proj"}),
        ("qwen3_moe", {"q_proj", "k_proj", "v_proj", "o_proj"}),
        ("deepseek_v3", {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"}),
    ],
)
def test_what_can_t_carry_an_adapter_is_left_out(model_type: str, adapted: set[str]) -> None:
    model: Any = attach_adapter(tiny_model(model_type), name=model_type, rank=2, generator_seed=0)

    names = [name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name]
    assert {name.rpartition(".")[2] for name in names} == adapted
    assert not model.peft_config["default"].target_parameters


def test_weights_that_stand_in_several_places_are_left_out() -> None:
    # Zamba2 uses one block of attention at several depths.
    once = adaptable_layers(tiny_model("zamba2", layers_block_type=["mamba", "hybrid"], num_hidden_layers=2))
    twice = adaptable_layers(tiny_model("zamba2"))

    assert any(name.endswith("q_proj") for name in once)
    assert not any(name.endswith("q_proj") for name in twice)
    assert any(name.endswith("in_proj") for name in twice)


@pytest.mark.parametrize("model_type", ["falcon", "falcon_h1", "gpt2", "jamba", "llama4_text", "mamba", "zamba2"])
def test_every_adapted_layer_learns_and_can_be_merged(model_type: str) -> None:
    model: Any = attach_adapter(tiny_model(model_type), name=model_type, rank=2, generator_seed=0)

    model(input_ids=PROBE, use_cache=False).logits.square().mean().backward()
    gradients = [present(weights.grad) for name, weights in model.named_parameters() if "lora_B" in name]
    assert any(bool(gradient.any()) for gradient in gradients)

    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
        apart = model(input_ids=PROBE, use_cache=False).logits
        merged = model.merge_and_unload()(input_ids=PROBE, use_cache=False).logits
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-4)


def test_a_model_without_a_linear_layer_says_so() -> None:
    model: Any = make_tiny_model()[0]
    model.model.layers = torch.nn.ModuleList()

    with pytest.raises(PolicyError, match=r"tiny .*has no linear layer.*policy\.adaptation to full"):
        attach_adapter(model, name="tiny", rank=2, generator_seed=0)


CPU = torch.device("cpu")
ATTENTION = ["q_proj", "v_proj"]

TIED = {
    "a LoRA on the head": {"target_modules": ["q_proj", "lm_head"]},
    "a LoRA on the embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "two LoRAs": {"target_modules": ["embed_tokens", "lm_head"]},
    "one LoRA on both": {"target_modules": ["embed_tokens"], "ensure_weight_tying": True},
    "a DoRA on the head": {"target_modules": ["lm_head"], "use_dora": True},
    "a head of its own": {"target_modules": ATTENTION, "modules_to_save": ["lm_head"]},
    "embeddings of its own": {"target_modules": ATTENTION, "modules_to_save": ["embed_tokens"]},
    "tokens of its own": {"target_modules": ATTENTION, "trainable_token_indices": {"embed_tokens": [5, 6, 7]}},
    "biases and norms": {"target_modules": ATTENTION, "bias": "all", "modules_to_save": ["norm"]},
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=PROBE, use_cache=False).logits


def save_adapter(folder: Path, base_model: Any, base: Path, **options: Any) -> torch.Tensor:
    """Save an adapter that changes all that it may. Returns the logits of its model, unmerged."""
    with warnings.catch_warnings():
        # peft warns of what is tested here
        warnings.simplefilter("ignore")
        adapted = get_peft_model(base_model, LoraConfig(r=4, task_type=TaskType.CAUSAL_LM, **options)).eval()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for _, weights in adapted.named_parameters():
                if weights.requires_grad:
                    weights += 0.1 * torch.randn(weights.shape, generator=generator)
        adapted.peft_config["default"].base_model_name_or_path = str(base)
        adapted.save_pretrained(str(folder))
    return logits(adapted)


def save_tied_adapter(tmp_path: Path, architecture: Any = "llama", **options: Any) -> torch.Tensor:
    """An adapter in ``tmp_path / "adapter"`` on a model whose head is tied to its embeddings."""
    save_tiny_model(tmp_path / "base", architecture=architecture)
    model, _ = make_tiny_model(architecture=architecture)
    assert model.config.tie_word_embeddings
    return save_adapter(tmp_path / "adapter", model, tmp_path / "base", **options)


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return load_language_model(str(folder), device=CPU, dtype=dtype).model


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
@pytest.mark.parametrize("case", TIED)
def test_where_head_and_embeddings_are_tied_the_merged_model_is_the_adapters(
    case: str, architecture: Architecture, tmp_path: Path
) -> None:
    unmerged = save_tied_adapter(tmp_path, architecture, **TIED[case])
    assert not torch.allclose(unmerged, logits(make_tiny_model(architecture=architecture)[0]), atol=0.1)

    merged = load(tmp_path / "adapter")
    with quiet_transformers():
        merged.save_pretrained(tmp_path / "merged")
        reloaded = from_pretrained(AutoModelForCausalLM, tmp_path / "merged")

    torch.testing.assert_close(logits(merged), unmerged, rtol=0, atol=1e-4)
    torch.testing.assert_close(logits(reloaded), unmerged, rtol=0, atol=1e-4)


def test_in_bf16_too_the_head_alone_changes(tmp_path: Path) -> None:
    unmerged = save_tied_adapter(tmp_path, target_modules=["lm_head"])

    merged = load(tmp_path / "adapter", torch.bfloat16)

    assert not merged.config.tie_word_embeddings
    base: Any = make_tiny_model()[0].bfloat16()
    assert torch.equal(merged.get_input_embeddings().get_parameter("weight"), base.get_input_embeddings().weight)
    torch.testing.assert_close(logits(merged).float(), unmerged, rtol=0, atol=0.1)


def test_a_policy_on_such_an_adapter_starts_from_it_and_is_saved_and_exported_right(tmp_path: Path) -> None:
    unmerged = save_tied_adapter(tmp_path, **TIED["a LoRA on the head"])
    policy = Policy(PolicyConfig(model=str(tmp_path / "adapter"), lora_rank=4, device="cpu"), seed=0)
    with policy.inference_context(REFERENCE) as reference:
        torch.testing.assert_close(logits(reference), unmerged, rtol=0, atol=1e-4)
    with torch.no_grad():
        for _, weights in policy.trainable_parameters():
            weights += 0.05
    learnt = logits(policy.model)
    policy.save(tmp_path / "checkpoint")

    export_model(str(tmp_path / "checkpoint"), tmp_path / "exported", lambda folder: None)
    policy.save_merged(tmp_path / "final")

    for folder in ("exported", "final"):
        torch.testing.assert_close(logits(load(tmp_path / folder)), learnt, rtol=0, atol=1e-4)


def test_a_weight_in_several_places_can_t_be_merged_and_that_is_said(tmp_path: Path) -> None:
    # Zamba2 uses one block of attention at several depths.
    save_tiny_architecture(tmp_path / "base", "zamba2")
    save_adapter(tmp_path / "adapter", tiny_model("zamba2"), tmp_path / "base", target_modules=["q_proj"])

    with pytest.raises(PolicyError, match=r"changes .*q_proj, whose weight stands in several places of Zamba2"):
        load(tmp_path / "adapter")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_merge_that_gives_another_model_is_refused(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tied_adapter(tmp_path, **TIED["a LoRA on the head"])

    def unmerged(adapted: Any, **_: object) -> Any:
        return adapted.unload()

    # PEFT takes the adapter off without adding it to the weights.
    monkeypatch.setattr(LoraModel, "merge_and_unload", unmerged)

    with pytest.raises(PolicyError, match="the merged model's logits differ"):
        load(tmp_path / "adapter", dtype)


@pytest.mark.parametrize("case", TIED)
def test_in_bf16_a_right_merge_is_accepted(case: str, tmp_path: Path) -> None:
    unmerged = save_tied_adapter(tmp_path, **TIED[case])

    merged = load(tmp_path / "adapter", torch.bfloat16)

    assert adapter.relative_difference(logits(merged).float(), unmerged) < 0.1


def test_a_head_that_nobody_adapted_stays_tied(tmp_path: Path) -> None:
    save_tied_adapter(tmp_path, target_modules=ATTENTION)

    merged = load(tmp_path / "adapter")

    assert merged.config.tie_word_embeddings
    assert merged.get_output_embeddings().weight is merged.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("change", "message"),
    [("drop", "has no weights for 1 layers of Llama"), ("rename", "has weights for unknown 1 layers of Llama")],
)
def test_weights_that_are_missing_or_have_no_place_are_not_passed_over(
    change: str, message: str, tmp_path: Path
) -> None:
    save_tied_adapter(tmp_path, target_modules=ATTENTION)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = read_tensors(path)
    name = sorted(weights)[0]
    tensor = weights[name] if change == "rename" else weights.pop(name)
    if change == "rename":
        weights[name.replace("q_proj", "k_proj").replace("v_proj", "k_proj")] = tensor.clone()
    cast("Any", safetensors_torch).save_file(weights, path, metadata={"format": "pt"})

    with pytest.raises(PolicyError, match=message):
        load(tmp_path / "adapter")


def test_a_configuration_of_another_adapter_is_noticed(tmp_path: Path) -> None:
    save_tied_adapter(tmp_path, target_modules=["q_proj", "lm_head"])
    path = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "target_modules": ["q_proj"]}), encoding="utf-8")

    with pytest.raises(PolicyError, match=r"lm_head.*another adapter's"):
        load(tmp_path / "adapter")


def test_the_adapter_is_loaded_as_peft_loads_it(tmp_path: Path) -> None:
    unmerged = save_tied_adapter(tmp_path, target_modules=ATTENTION)

    adapted = adapter.load_adapter(make_tiny_model()[0], tmp_path / "adapter", "adapter")

    assert isinstance(adapted, PeftModel)
    torch.testing.assert_close(logits(adapted), unmerged, rtol=0, atol=1e-6)
