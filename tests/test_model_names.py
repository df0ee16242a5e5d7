from pathlib import Path

import pytest

from medical_team.model_names import is_folder_name, is_hub_name, model_title, repository_of, settled_model


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A current folder with a model's folder in it."""
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("typed", ["models/mine", "./models/mine", "models/../models/mine/", "{here}/models/mine"])
def test_what_is_a_folder_is_settled_as_its_absolute_path(here, typed):
    settled = settled_model(typed.format(here=here))

    assert settled == str(here / "models" / "mine")
    assert is_folder_name(settled)
    assert settled_model(settled) == settled


def test_a_link_is_settled_as_what_it_leads_to_now(here):
    (here / "latest").symlink_to("models/mine")

    assert settled_model("latest") == str(here / "models" / "mine")


def test_the_user_s_home_is_understood(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))

    assert settled_model("~/models/mine") == str(here / "models" / "mine")


@pytest.mark.parametrize("name", ["owner/model", "gpt2", "demo", "tiny-random", "models/absent", ""])
def test_everything_else_stays_a_name(here, name):
    assert settled_model(name) == name
    assert not is_folder_name(name)


def test_the_names_that_ship_are_no_folders_even_where_one_is_called_so(here):
    (here / "demo").mkdir()

    assert settled_model("demo") == "demo"


def test_a_relative_folder_may_be_looked_for_elsewhere(here):
    assert settled_model("mine", here / "models") == str(here / "models" / "mine")


def test_what_could_be_on_the_hub():
    assert is_hub_name("owner/model-1.5_b")
    assert is_hub_name("gpt2")
    assert not any(
        is_hub_name(name) for name in ("/models/mine", "./mine", "~/mine", "a/b/c", "demo", "tiny-random", "")
    )


def test_a_card_s_front_matter_names_a_repository_and_never_a_folder(here):
    assert repository_of("owner/model") == "owner/model"
    assert [repository_of(name) for name in ("gpt2", "models/mine", str(here / "models" / "mine"), "demo")] == [
        None
    ] * 4


def test_a_title_tells_nothing_of_where_a_folder_lies(here):
    run = here / "runs" / "second"
    (run / "checkpoints" / "step-000010" / "policy").mkdir(parents=True)
    (run / "run.json").write_text("{}", encoding="utf-8")

    assert model_title("owner/model") == "owner/model"
    assert model_title(str(here / "models" / "mine")) == "mine"
    assert model_title(str(run / "final")) == "the model final of the run second"
    assert model_title(str(run / "checkpoints" / "step-000010" / "policy")) == "the model step-000010 of the run second"
    assert model_title("/elsewhere/final") == "final"
