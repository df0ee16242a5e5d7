"""``medical-team export``: from a run, a checkpoint or a folder to a model that the other commands and engines open."""

from __future__ import annotations

import importlib
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from command_lines import told
from medical_team.cli.main import main
from medical_team.policy.transformers_inside import from_pretrained, quiet_transformers
from medical_team.runs.config_file import to_toml
from medical_team.runs.folder import RunFolder
from medical_team.runs.places import without_places
from needs import OPENRLHF
from tiny_models import save_tiny_model
from writable_hub import Hub

PROBE = torch.arange(5, 40)[None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps, of the smallest kind."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "--preset", "smoke", "--run", str(folder)]) == 0
    return folder


def export(capsys: pytest.CaptureFixture[str], *arguments: str | Path):
    return told(capsys, "export", *arguments)


def logits(folder: Path):
    with quiet_transformers(), torch.no_grad():
        return from_pretrained(AutoModelForCausalLM, folder)(PROBE).logits


def test_a_checkpoint_of_the_last_step_is_the_final_model(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = export(capsys, run / "checkpoints" / "step-000002", "-o", tmp_path / "out")

    assert status == 0
    assert "logits differ by at most" in out
    assert f"--policy.model {tmp_path / 'out'}" in out
    assert torch.allclose(logits(tmp_path / "out"), logits(run / "final"), atol=1e-4)


def test_the_card_names_base_licence_and_use(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, run, "-o", tmp_path / "out")

    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Base model: tiny-random. Its licence applies to this model too" in card
    assert "not for clinical use" in card
    assert "after 2 steps" in card
    assert "medical-team export" in card


def test_a_run_is_pushed_with_its_card_and_its_configuration(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], hub: Hub
) -> None:
    status, out, _ = export(capsys, run, "-o", tmp_path / "out", "--push", "me/model")

    assert status == 0
    assert f"{hub.url}/me/model" in out
    sent = hub.files["me/model"]
    assert {"model.safetensors", "config.json", "medical_team.toml", "README.md"} <= sent.keys()
    assert sent["medical_team.toml"].decode() == to_toml(without_places(RunFolder.open(run).config))
    assert "research-only" in yaml.safe_load(sent["README.md"].decode().split("---\n")[1])["tags"]


@pytest.mark.parametrize(
    ("options", "told"), [(["--public"], "add --push OWNER/NAME"), (["--push", "model"], "expected OWNER/NAME")]
)
def test_a_push_that_makes_no_sense_writes_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    status, _, err = export(capsys, run, "-o", tmp_path / "out", *options)

    assert status == 2
    assert told in err
    assert not (tmp_path / "out").exists()


def test_the_best_checkpoint_comes_first_and_another_can_be_chosen(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = RunFolder.open(run).checkpoints
    checkpoints.record_best(1, "balanced_accuracy", 0.75)
    try:
        _, best, _ = export(capsys, run, "-o", tmp_path / "best")
        _, final, _ = export(capsys, run, "-o", tmp_path / "final", "--which", "final")
    finally:
        (run / "checkpoints" / "best.json").unlink()

    assert "the best checkpoint of" in best
    assert "0.750 after 1 steps" in best
    assert "the final model of" in final


def test_what_a_run_does_not_have_names_what_it_has(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = export(capsys, run, "-o", tmp_path / "out", "--which", "best")

    assert status == 2
    assert "--which final, --which latest" in err


def test_an_occupied_folder_and_a_missing_one_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")

    status, _, err = export(capsys, run, "-o", tmp_path / "out")
    assert (status, "mine.txt" in err) == (2, True)
    status, _, err = export(capsys, tmp_path / "nowhere", "-o", tmp_path / "other")
    assert (status, "there is no folder" in err) == (2, True)


def test_self_play_starts_from_an_exported_model(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, run / "checkpoints" / "step-000001", "-o", tmp_path / "out")

    status = main(
        ["train", "--preset", "smoke", "--policy.model", str(tmp_path / "out"), "--run", str(tmp_path / "next"),
         "--training.steps", "1"]
    )  # fmt: skip

    assert status == 0
    assert (tmp_path / "next" / "final" / "model.safetensors").is_file()


@pytest.fixture
def exported(run: Path, tmp_path: Path) -> Path:
    """A run's model as an export in bf16."""
    assert main(["export", str(run), "-o", str(tmp_path / "out"), "--precision", "bf16"]) == 0
    return tmp_path / "out"


@pytest.fixture
def upstream_actor(exported: Path):
    """OpenRLHF's own class that loads the model which learns, with stand-ins for what needs a GPU."""
    OPENRLHF.module("openrlhf")
    stand_ins = ("ray", "ray.util", "ray.util.placement_group", "vllm", "deepspeed", "openrlhf.models.ring_attn_utils")
    families = ("openrlhf", "ray", "vllm", "deepspeed")
    before = dict(sys.modules)
    for name in stand_ins:
        sys.modules[name] = stand_in = MagicMock(__path__=[])
        # transformers looks whether DeepSpeed is installed by its specification.
        stand_in.__spec__ = ModuleSpec(name, None)
    try:
        yield importlib.import_module("openrlhf.models.actor").Actor
    except ImportError as error:
        OPENRLHF.skip(f"its actor can't be imported: {error}")
    finally:
        # Parts of torch that were loaded meanwhile stay: they can't be loaded twice.
        for name in [name for name in sys.modules if name.partition(".")[0] in families]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] in families})


def test_openrlhf_s_own_actor_opens_the_folder(exported: Path, upstream_actor: Any) -> None:
    actor = upstream_actor(str(exported), attn_implementation="eager")

    assert {parameter.dtype for parameter in actor.model.parameters()} == {torch.bfloat16}
    expected = from_pretrained(AutoModelForCausalLM, exported, dtype=torch.bfloat16, attn_implementation="eager")
    with torch.no_grad():
        assert torch.allclose(actor.model(PROBE).logits, expected(PROBE).logits, atol=1e-2)


def test_what_openrlhf_writes_opens_in_our_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its save_model: save_pretrained with the bf16 weights, the configuration once more, the tokenizer."""
    folder = tmp_path / "global_step4_hf"
    save_tiny_model(tmp_path / "base")
    with quiet_transformers():
        model = from_pretrained(AutoModelForCausalLM, tmp_path / "base", dtype=torch.bfloat16)
    model.config.use_cache = False
    # With tied weights, ZeRO-3's consolidated state leaves the output layer out.
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    model.save_pretrained(folder, state_dict=state)
    model.config.to_json_file(str(folder / "config.json"))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((tmp_path / "base" / name).read_bytes())

    status, out, _ = export(capsys, folder, "-o", tmp_path / "out")
    assert status == 0
    assert "in bf16" in out
    status = main(
        ["train", "--preset", "smoke", "--policy.model", str(folder), "--run", str(tmp_path / "run"),
         "--training.steps", "1"]
    )  # fmt: skip
    assert status == 0
    assert json.loads((tmp_path / "run" / "final" / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
