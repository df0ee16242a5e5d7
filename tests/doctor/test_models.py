from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import hub_server
from tiny_architectures import save_tiny_architecture

from doctor_cases import a_subject, look
from local_server import free_port
from medical_team.config import SMOLLM2_MODEL, EngineConfig, JudgeConfig, PolicyConfig, RolloutConfig, RunConfig
from medical_team.doctor.findings import Finding, Status
from medical_team.errors import PolicyError
from medical_team.policy.policy import Policy
from medical_team.policy.probe import probe_policy
from medical_team.policy.transformers_inside import write_tensors

NAME = "someone/model"
TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWx"


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_bytes(b"{}")
    return folder


def cached(home: Path, name: str = NAME) -> Path:
    """The model ``name`` in a cache of the hub's library, as it lays one out."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    return model_folder(repository / "snapshots" / "0123abc")


def policy(model: str | Path, home: Path, **variables: Any) -> Finding:
    config = RunConfig(policy=PolicyConfig(model=str(model)))
    return look("policy_model", a_subject(config, HF_HOME=home, XDG_CACHE_HOME=home, **variables))


@pytest.fixture
def nowhere() -> str:
    """The address of a hub that is not there."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("model", ["demo", "tiny-random"])
def test_models_that_ship_are_always_there(tmp_path: Path, model: str) -> None:
    assert policy(model, tmp_path, HF_HUB_OFFLINE="1").status is Status.OK


def test_a_model_in_the_cache_needs_no_hub(tmp_path: Path) -> None:
    cached(tmp_path)
    finding = policy(NAME, tmp_path, HF_HUB_OFFLINE="1")
    assert (finding.status, finding.found) == (Status.OK, f"{NAME} is in the Hugging Face cache")


def test_a_model_that_was_fetched_in_part_counts_as_missing(tmp_path: Path, nowhere: str) -> None:
    (cached(tmp_path) / "model.safetensors").unlink()
    assert policy(NAME, tmp_path, HF_ENDPOINT=nowhere).status is Status.FAILED


def test_a_folder_is_looked_into(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    assert policy(folder, tmp_path).status is Status.OK

    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    finding = policy(folder, tmp_path)

    assert finding.status is Status.FAILED
    assert "lacks weights (model.safetensors)" in finding.found


def test_a_tokenizer_s_configuration_alone_is_no_tokenizer(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    (folder / "tokenizer.json").rename(folder / "tokenizer_config.json")
    assert "lacks a tokenizer" in policy(folder, tmp_path).found


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    )
    assert "lacks model-2.safetensors" in policy(folder, tmp_path).found


def test_the_hub_is_asked_for_what_is_not_here_and_nothing_is_fetched(tmp_path: Path) -> None:
    model_folder(tmp_path / "served" / NAME)
    with hub_server(tmp_path / "served") as url:
        finding = policy(NAME, tmp_path / "home", HF_ENDPOINT=url)

    assert finding.status is Status.OK
    assert "the hub gives it" in finding.found
    assert not (tmp_path / "home").exists()


def test_a_gated_model_says_whose_terms_to_accept_and_how_to_log_in(tmp_path: Path) -> None:
    model_folder(tmp_path / NAME)
    with hub_server(tmp_path, gated=frozenset({NAME})) as url:
        without = policy(NAME, tmp_path, HF_ENDPOINT=url)
        refused = policy(NAME, tmp_path, HF_ENDPOINT=url, HF_TOKEN=TOKEN)

    assert without.status is refused.status is Status.FAILED
    assert without.mend == f"accept its terms at {url}/{NAME}, then: hf auth login"
    assert refused.mend == f"accept its terms at {url}/{NAME}"
    assert TOKEN not in f"{without}{refused}"


def test_a_model_that_nobody_has_is_misspelt(tmp_path: Path) -> None:
    with hub_server(tmp_path) as url:
        finding = policy("someone/modle", tmp_path, HF_ENDPOINT=url)
    assert (finding.status, finding.mend) == (Status.FAILED, "correct --policy.model")


@pytest.mark.parametrize(
    ("name", "told"), [(" ", "is no folder here"), ("my model", "is no folder here"), ("notes.csv", "is a file")]
)
def test_what_can_t_be_a_model_is_not_asked_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: str, name: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.csv").write_text("")

    finding = policy(name, tmp_path, HF_ENDPOINT=nowhere)

    assert finding.found.startswith(f"--policy.model is {name!r}, which {told}")


def test_without_a_network_the_way_to_bring_a_model_is_told(tmp_path: Path, nowhere: str) -> None:
    other = policy(NAME, tmp_path, HF_ENDPOINT=nowhere)
    smollm2 = policy(SMOLLM2_MODEL, tmp_path, HF_ENDPOINT=nowhere)

    assert other.status is Status.FAILED
    assert "HF_HOME" in other.mend
    assert smollm2.status is Status.WARNING
    assert "quickstart" in smollm2.mend


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_mode_fails_where_a_model_is_missing(tmp_path: Path, variable: str) -> None:
    finding = policy(NAME, tmp_path, **{variable: "1"})
    assert finding.status is Status.FAILED
    assert finding.mend.startswith(f"unset {variable}")


def test_the_judge_s_model_is_looked_for_where_one_is_loaded(tmp_path: Path, nowhere: str) -> None:
    home: dict[str, Any] = {"HF_HOME": tmp_path, "HF_ENDPOINT": nowhere}
    model = RunConfig(judge=JudgeConfig(kind="hybrid"))

    assert look("judge_model", a_subject(**home)).status is Status.SKIPPED
    finding = look("judge_model", a_subject(model, **home))
    assert finding.status is Status.FAILED
    assert "--judge.model" in finding.mend


def test_the_fork_s_own_models_are_looked_for(tmp_path: Path, nowhere: str) -> None:
    fork = RunConfig(engine=EngineConfig(kind="red-team-fork"))
    home: dict[str, Any] = {"HF_HOME": tmp_path, "HF_ENDPOINT": nowhere}

    missing = look("fork_models", a_subject(fork, **home))
    cached(tmp_path, "sentence-transformers/all-MiniLM-L6-v2")
    cached(tmp_path, "alisawuffles/roberta-large-wanli")

    assert missing.status is Status.FAILED
    assert missing.mend.startswith("hf download sentence-transformers/all-MiniLM-L6-v2")
    assert look("fork_models", a_subject(fork, **home)).status is Status.OK


# The probe


def probe(model: str | Path, **options: Any) -> Finding:
    config = RunConfig(policy=PolicyConfig(model=str(model), device="cpu"), **options)
    return look("policy_probe", a_subject(config, OMP_NUM_THREADS="1"))


def test_prompts_that_train_refuses_fail_before_it() -> None:
    finding = probe("tiny-random", rollout=RolloutConfig(max_prompt_tokens=16))

    assert finding.status is Status.FAILED
    assert "Set it to at least" in finding.found


def test_a_model_that_can_be_trained_passes_the_probe_of_a_run() -> None:
    finding = probe("tiny-random")

    assert finding.status is Status.OK
    assert "sampler and learner differ by" in finding.found


def test_a_model_that_can_t_be_trained_is_told_in_the_words_of_a_run(tmp_path: Path) -> None:
    save_tiny_architecture(tmp_path, "gemma3n_text")
    with pytest.raises(PolicyError) as refused:
        probe_policy(Policy(PolicyConfig(model=str(tmp_path), device="cpu"), seed=0))

    finding = probe(tmp_path)

    assert finding.status is Status.FAILED
    assert finding.found == str(refused.value)


def test_what_is_not_here_or_trained_elsewhere_is_not_probed(tmp_path: Path) -> None:
    finding = probe(NAME)
    assert (finding.status, "when the run starts" in finding.found) == (Status.SKIPPED, True)
    assert probe("tiny-random", engine=EngineConfig(kind="openrlhf")).status is Status.SKIPPED


def test_an_adapter_whose_base_is_not_here_is_probed_when_the_run_starts(tmp_path: Path) -> None:
    settings = {"peft_type": "LORA", "base_model_name_or_path": NAME, "r": 4, "target_modules": ["q_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    write_tensors({"a": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    config = RunConfig(policy=PolicyConfig(model=str(tmp_path), device="cpu"))
    home: dict[str, Any] = {"HF_HOME": tmp_path / "home", "OMP_NUM_THREADS": "1"}

    later = look("policy_probe", a_subject(config, **home))
    never = look("policy_probe", a_subject(config, **home, HF_HUB_OFFLINE="1"))

    assert (later.status, "its base is not on this machine yet" in later.found) == (Status.SKIPPED, True)
    assert (never.status, NAME in never.found) == (Status.FAILED, True)
