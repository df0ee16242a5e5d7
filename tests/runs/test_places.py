from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builders import a_record
from medical_team.config import DataConfig, EngineConfig, JudgeConfig, PolicyConfig, RunConfig
from medical_team.game_config import OpponentConfig
from medical_team.runs.config_file import load_config
from medical_team.runs.folder import RunFolder
from medical_team.runs.places import (
    is_folder_name,
    is_hub_name,
    model_title,
    repository_of,
    settled,
    settled_model,
    without_places,
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a model's folder in it."""
    (tmp_path / "work" / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_every_place_in_a_configuration_is_settled(here: Path) -> None:
    (here / "venv").mkdir()
    config = settled(
        RunConfig(
            data=DataConfig("notes/train.jsonl"),
            policy=PolicyConfig(model="models/mine"),
            judge=JudgeConfig(kind="hybrid", fallback="model", model="models/mine", cache="cache"),
            engine=EngineConfig(python="venv", fork="fork"),
        )
    )

    assert config.policy.model == config.judge.model == str(here / "models" / "mine")
    assert config.judge.cache == str(here / "cache")
    assert (config.engine.python, config.engine.fork) == (str(here / "venv"), str(here / "fork"))
    assert config.data.train == "notes/train.jsonl"


def test_a_configuration_that_is_given_away_names_no_folder_of_the_machine(here: Path) -> None:
    config = settled(
        RunConfig(
            data=DataConfig(str(here / "notes" / "train.jsonl")),
            policy=PolicyConfig(model="models/mine"),
            engine=EngineConfig(fork="fork"),
        )
    )

    given = without_places(config)

    assert str(here) not in repr(given)
    assert (given.data.train, given.policy.model, given.engine.fork) == ("train.jsonl", "mine", "fork")
    assert given.training == config.training


def test_what_is_no_place_stays(here: Path) -> None:
    (here / "served").mkdir()
    config = RunConfig(
        judge=JudgeConfig(kind="openai", url="http://127.0.0.1:8000/v1", model="served"),
        engine=EngineConfig(python="python3.11"),
    )

    assert settled(config) == config


def test_an_environment_s_python_stays_the_link_that_it_is(here: Path) -> None:
    (here / "python").symlink_to(sys.executable)

    engine = settled(RunConfig(engine=EngineConfig(python="./python"))).engine

    assert engine.python == str(here / "python")


def test_a_model_in_a_file_may_be_a_folder_beside_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "run.toml").write_text('[policy]\nmodel = "models/mine"\n', encoding="utf-8")
    monkeypatch.chdir(here.parent)

    assert load_config(here / "run.toml").policy.model == str(here / "models" / "mine")


def test_a_model_in_a_file_that_is_no_folder_there_stays_as_it_was_typed(here: Path) -> None:
    (here / "run.toml").write_text('[policy]\nmodel = "owner/model"\n', encoding="utf-8")

    assert load_config(here / "run.toml").policy.model == "owner/model"


def a_run(path: Path, model: str = "models/mine"):
    return RunFolder.create(path, RunConfig(policy=PolicyConfig(model=model)), [a_record()])


def test_a_run_finds_its_model_from_any_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(here / "runs" / "one")
    monkeypatch.chdir(here.parent)

    run = RunFolder.open(here / "runs" / "one")

    assert run.config.policy.model == str(here / "models" / "mine")


def test_a_run_finds_its_model_where_both_were_moved_together(here: Path) -> None:
    a_run(here / "runs" / "one")
    moved = here.rename(here.parent / "elsewhere")

    assert RunFolder.open(moved / "runs" / "one").config.policy.model == str(moved / "models" / "mine")


def test_the_judge_s_model_and_the_fixed_opponent_are_found_there_too(here: Path) -> None:
    for name in ("judge", "opponent"):
        (here / "models" / name).mkdir()
    config = RunConfig(
        judge=JudgeConfig(kind="hybrid", fallback="model", model="models/judge"),
        opponents=OpponentConfig(fixed="models/opponent"),
    )
    RunFolder.create(here / "runs" / "one", config, [a_record()])
    moved = here.rename(here.parent / "elsewhere")

    found = RunFolder.open(moved / "runs" / "one").config

    assert found.judge.model == str(moved / "models" / "judge")
    assert found.opponents.fixed == str(moved / "models" / "opponent")


def test_a_run_that_was_moved_alone_keeps_the_model_where_it_is(here: Path) -> None:
    run = a_run(here / "runs" / "one").path.rename(here.parent / "one")

    assert RunFolder.open(run).config.policy.model == str(here / "models" / "mine")


def test_a_name_stays_a_name_whatever_folders_there_are(here: Path) -> None:
    run = a_run(here / "runs" / "one", model="owner/model")
    (here / "owner" / "model").mkdir(parents=True)

    opened = RunFolder.open(run.path)

    assert opened.config.policy.model == "owner/model"


@pytest.mark.parametrize("typed", ["models/mine", "./models/mine", "models/../models/mine/", "{here}/models/mine"])
def test_what_is_a_folder_is_settled_as_its_absolute_path(here: Path, typed: str) -> None:
    settled = settled_model(typed.format(here=here))

    assert settled == str(here / "models" / "mine")
    assert is_folder_name(settled)
    assert settled_model(settled) == settled


def test_a_link_is_settled_as_what_it_leads_to_now(here: Path) -> None:
    (here / "latest").symlink_to("models/mine")

    assert settled_model("latest") == str(here / "models" / "mine")


def test_the_user_s_home_is_understood(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))

    assert settled_model("~/models/mine") == str(here / "models" / "mine")


@pytest.mark.parametrize("name", ["owner/model", "gpt2", "demo", "tiny-random", "models/absent", ""])
def test_everything_else_stays_a_name(here: Path, name: str) -> None:
    assert settled_model(name) == name
    assert not is_folder_name(name)


def test_the_names_that_ship_are_no_folders_even_where_one_is_called_so(here: Path) -> None:
    (here / "demo").mkdir()

    assert settled_model("demo") == "demo"


def test_a_relative_folder_may_be_looked_for_elsewhere(here: Path) -> None:
    assert settled_model("mine", here / "models") == str(here / "models" / "mine")


def test_what_could_be_on_the_hub() -> None:
    assert is_hub_name("owner/model-1.5_b")
    assert is_hub_name("gpt2")
    assert not any(
        is_hub_name(name) for name in ("/models/mine", "./mine", "~/mine", "a/b/c", "demo", "tiny-random", "")
    )


def test_a_card_s_front_matter_names_a_repository_and_never_a_folder(here: Path) -> None:
    assert repository_of("owner/model") == "owner/model"
    assert [repository_of(name) for name in ("gpt2", "models/mine", str(here / "models" / "mine"), "demo")] == [
        None
    ] * 4


def test_a_title_tells_nothing_of_where_a_folder_lies(here: Path) -> None:
    run = here / "runs" / "second"
    (run / "checkpoints" / "step-000010" / "policy").mkdir(parents=True)
    (run / "run.json").write_text("{}", encoding="utf-8")

    assert model_title("owner/model") == "owner/model"
    assert model_title(str(here / "models" / "mine")) == "mine"
    assert model_title(str(run / "final")) == "the model final of the run second"
    assert model_title(str(run / "checkpoints" / "step-000010" / "policy")) == "the model step-000010 of the run second"
    assert model_title("/elsewhere/final") == "final"
