from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from stand_ins import always

LOCK = """\
# made by make lock
attrs==26.1.0
numpy==1.0 ; python_full_version < '3.2'
numpy==2.4.6 ; python_full_version >= '3.2'
"""


@pytest.fixture(scope="module")
def script(load_script: Callable[..., ModuleType]) -> ModuleType:
    return load_script("compare_with_lock")


def test_the_lock_is_read_for_this_python(script: ModuleType) -> None:
    assert script.locked_versions(LOCK) == {"attrs": "26.1.0", "numpy": "2.4.6"}


def test_what_differs_is_told_with_both_versions(script: ModuleType) -> None:
    locked = {"attrs": "26.1.0", "gone": "1.0", "numpy": "2.4.6"}
    installed = {"attrs": "26.1.0", "numpy": "2.5.0", "torch": "2.13.0", "pip": "26.2", "nvidia-nccl-cu13": "2.29"}

    assert script.differences(locked, installed) == [
        ("gone", "1.0", "-"),
        ("numpy", "2.4.6", "2.5.0"),
        ("torch", "-", "2.13.0"),
    ]


def test_what_a_range_keeps_out_is_told(script: ModuleType) -> None:
    requirements = ["transformers<5.25,>=5.0; extra == 'train'", "Rich<16,>=14"]

    assert script.held_back(requirements, {"rich": "16.0.0", "six": "2.0"}) == [("rich", "<16,>=14", "16.0.0")]


def test_the_installed_versions_have_the_names_of_the_lock(script: ModuleType, repository: Path) -> None:
    locked = script.locked_versions((repository / "requirements" / "test.txt").read_text(encoding="utf-8"))

    assert {"rapidfuzz", "import-linter", "typing-extensions"} <= locked.keys() & script.installed_versions().keys()


def test_the_tables_line_up(
    script: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "differences", always([("numpy", "2.4.6", "2.5.0")]))
    monkeypatch.setattr(script, "newest_releases", dict)

    assert script.main() == 0

    assert capsys.readouterr().out == (
        "Versions that differ from the lock:\n"
        "  name   locked  here\n"
        "  numpy  2.4.6   2.5.0\n\n"
        "Newer releases that were not taken: none\n\n"
    )
