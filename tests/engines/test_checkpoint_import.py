"""What counts as a whole model, and bringing an engine's models into a run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import fake_engine
from builders import synthetic_records
from medical_team.config import RunConfig
from medical_team.engines.checkpoint_import import folder_problem, import_models, last_resumable_step
from medical_team.engines.command import EngineFiles
from medical_team.runs.folder import RunFolder


def write_card(folder: Path, steps: int) -> None:
    (folder / "README.md").write_text(f"after {steps} steps")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    fake_engine.save_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    config = RunConfig()
    config = replace(
        config, training=replace(config.training, steps=4), engine=replace(config.engine, kind="red-team-fork"),
    )  # fmt: skip
    return RunFolder.create(tmp_path / "run", config, synthetic_records(4))


def saved(run: RunFolder, step: int, *, is_half: bool = False) -> Path:
    folder = EngineFiles(run.path).checkpoints / f"global_step{step}_hf"
    fake_engine.save_model(folder, is_half=is_half)
    return folder


def test_a_whole_folder_has_no_problem(model: Path) -> None:
    assert folder_problem(model) is None


def test_weights_in_several_files_are_all_looked_at(model: Path) -> None:
    shutil.copy(model / "model.safetensors", model / "a.safetensors")
    (model / "model.safetensors").rename(model / "b.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert folder_problem(model) is None

    (model / "b.safetensors").unlink()
    assert folder_problem(model) == "b.safetensors is missing"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_without_one_of_its_files_is_not_whole(model: Path, name: str) -> None:
    (model / name).unlink()

    assert folder_problem(model) is not None


@pytest.mark.parametrize("length", range(0, 90, 7))
def test_weights_that_are_cut_off_anywhere_are_not_whole(model: Path, length: int) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:length])

    assert folder_problem(model) is not None


def test_pickles_are_not_taken_over(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")

    assert "pickle" in (folder_problem(model) or "")


def test_checkpoints_become_the_runs_own_and_the_forks_last_one_its_final_model(run: RunFolder) -> None:
    for step in (2, 4):
        saved(run, step)

    assert import_models(run, write_card) == []

    assert run.checkpoints.steps() == [2, 4]
    assert (run.checkpoints.path_of(2) / "policy/README.md").read_text() == "after 2 steps"
    assert (run.final_path / "README.md").read_text() == "after 4 steps"
    assert json.loads((run.checkpoints.path_of(4) / "checkpoint.json").read_text())["engine"] == "red-team-fork"


def test_weights_are_linked_and_not_copied(run: RunFolder) -> None:
    inode = (saved(run, 4) / "model.safetensors").stat().st_ino

    import_models(run, write_card)

    assert (run.final_path / "model.safetensors").stat().st_ino == inode


def test_half_a_checkpoint_stays_where_it_is(run: RunFolder) -> None:
    folder = saved(run, 4, is_half=True)

    (problem,) = import_models(run, write_card)

    assert str(folder) in problem
    assert run.checkpoints.steps() == []
    assert not run.final_path.exists()
    assert folder.is_dir()


def test_importing_again_changes_nothing(run: RunFolder) -> None:
    saved(run, 4)
    import_models(run, write_card)

    assert import_models(run, write_card) == []
    assert run.checkpoints.steps() == [4]


def test_while_the_engine_runs_only_what_nobody_writes_to_is_taken(run: RunFolder) -> None:
    saved(run, 2)

    import_models(run, write_card, is_over=False, settled_seconds=3600)
    assert run.checkpoints.steps() == []
    import_models(run, write_card, is_over=False, settled_seconds=0)
    assert run.checkpoints.steps() == [2]


def test_a_card_that_cant_be_written_leaves_the_engines_model_where_it_is(run: RunFolder) -> None:
    folder = saved(run, 2)

    def failing(target: Path, steps: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        import_models(run, failing)

    assert folder_problem(folder) is None
    assert run.checkpoints.steps() == []


def test_the_engines_own_last_checkpoint_is_what_its_folder_says(run: RunFolder) -> None:
    actor = EngineFiles(run.path).checkpoints / "_actor"
    assert last_resumable_step(run) is None

    (actor / "global_step20").mkdir(parents=True)
    (actor / "latest").write_text("global_step20\n")
    assert last_resumable_step(run) == 20

    (actor / "latest").write_text("global_step30")
    assert last_resumable_step(run) is None, "it names a folder that is not there"
