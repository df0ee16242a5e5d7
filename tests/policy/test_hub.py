import re
from pathlib import Path
from typing import Any

import pytest

from medical_team.errors import EndpointError, OutputError, UsageError
from medical_team.policy.hub import download_folder, push_folder
from writable_hub import Hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("---\ntags:\n- research-only\n---\n# A model\n", encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def push(folder: Path, repository: str = "me/model", *, is_public: bool = False, said: list[Any] | None = None) -> str:
    notify = (said if said is not None else []).append
    return push_folder(folder, repository, is_public=is_public, sent="weights", notify=notify)


def test_a_new_repository_is_private_and_gets_every_file(hub: Hub, folder: Path) -> None:
    assert push(folder) == f"{hub.url}/me/model"

    assert hub.private == {"me/model": True}
    assert hub.files["me/model"].keys() == {"README.md", "config.json"}
    assert hub.files["me/model"]["README.md"] == (folder / "README.md").read_bytes()


def test_it_is_public_only_where_that_is_said(hub: Hub, folder: Path) -> None:
    push(folder, is_public=True)

    assert hub.private == {"me/model": False}


def test_nothing_is_sent_to_a_public_repository_unasked(hub: Hub, folder: Path) -> None:
    hub.private["me/model"] = False

    with pytest.raises(UsageError, match="everybody can read me/model"):
        push(folder)
    assert hub.files == {}
    push(folder, is_public=True)
    assert hub.files["me/model"]


def test_a_hub_on_this_machine_needs_no_warning_and_another_is_named_first(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    push(folder, said=said)
    assert said == []

    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    with pytest.raises(OutputError, match=r"me/model can't be written at http://hub\.invalid"):
        push(folder, said=said)
    assert "hub.invalid" in said[0]


def test_a_refusal_says_what_to_do(hub: Hub, folder: Path) -> None:
    hub.status = 403

    with pytest.raises(OutputError, match="hf auth login"):
        push(folder)


@pytest.mark.parametrize("name", ["model", "me/model/x", "me/", "../x/y"])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(hub: Hub, folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected OWNER/NAME"):
        push(folder, name)
    assert hub.private == {}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HF_TOKEN", "\u201chf_abcdefgh\u201d", "holds '\\u201c', which no token has"),
        ("HF_ENDPOINT", "http://[::1", "HF_ENDPOINT is 'http://[::1'"),
        ("HF_ENDPOINT", "http://hub:99999", "expected the address of a hub"),
        ("HF_ENDPOINT", "huggingface.co", "expected the address of a hub"),
    ],
)
def test_an_address_or_a_token_that_can_t_be_one_is_told_before_anything_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(EndpointError, match=re.escape(told)):
        push(folder)


def test_a_model_is_not_asked_for_with_a_token_that_can_t_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "\u201chf_abcdefgh\u201d")
    with pytest.raises(EndpointError, match="which no token has"):
        download_folder("me/model", lambda text: None)
