import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from needs import ALL, AXE, CHROMIUM, MEDEC, Need, skipped_lines

SKIPPING = """
import pytest

from needs import CHROMIUM, MEDEC, Need

@pytest.mark.parametrize("case", range(3))
def test_a_page(browser, case): ...

@pytest.fixture
def browser():
    CHROMIUM.skip()

@pytest.mark.skipif(True, reason=MEDEC.reason("there is no folder"))
def test_real_notes(): ...

def test_another_reason():
    pytest.skip("on Mondays")

def test_that_passes(): ...
"""


def test_what_was_skipped_is_summed_up_with_its_remedy() -> None:
    reasons = [AXE.reason(), CHROMIUM.reason(), "Skipped: " + CHROMIUM.reason("no chromedriver"), "Skipped: on Mondays"]

    assert skipped_lines(reasons) == [
        f"    2 tests: {CHROMIUM.reason()}",
        f"    1 test: {AXE.reason()}",
        "    1 test: on Mondays",
    ]
    assert "apt-get install chromium chromium-driver" in CHROMIUM.reason()
    assert skipped_lines([]) == []


def test_each_need_is_told_from_every_other() -> None:
    assert {MEDEC, CHROMIUM} <= set(ALL)
    for need in ALL:
        assert [other for other in ALL if need.reason("why").startswith(other.reason())] == [need]


def test_a_module_that_is_missing_skips() -> None:
    assert Need("the standard library", "-").module("json").dumps(1) == "1"
    with pytest.raises(pytest.skip.Exception, match=r"needs a toy: buy it .*no_such_module"):
        Need("a toy", "buy it").module("no_such_module.part")


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_run_ends_with_what_it_skipped(repository: Path, tmp_path: Path, processes: str) -> None:
    for name in ("conftest.py", "needs.py"):
        shutil.copy(repository / "tests" / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    (tmp_path / "test_skipping.py").write_text(SKIPPING, encoding="utf-8")
    environment = {**os.environ, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist.plugin", "-n", processes],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = ended.stdout.partition("skipped here, and how to get it")[2].splitlines()
    assert summary[1:] == [
        f"    3 tests: {CHROMIUM.reason()}",
        f"    1 test: {MEDEC.reason()}",
        "    1 test: on Mondays",
        summary[-1],
    ]
    assert "1 passed, 5 skipped" in summary[-1]


def test_no_test_skips_without_telling_how_to_get_what_it_lacks(repository: Path) -> None:
    files = sorted((repository / "tests").rglob("*.py"))
    assert len(files) > 100
    for path in files:
        source = path.read_text(encoding="utf-8")
        if path.name not in ("needs.py", "test_needs.py"):
            assert "importorskip(" not in source, f"{path}: skip by a need of tests/needs.py"
            assert "pytest.skip(" not in source, f"{path}: skip by a need of tests/needs.py"
            for marker in re.findall(r"mark\.skipif\((.*?)\n\S", source, re.DOTALL):
                assert ".reason(" in marker, f"{path}: give skipif a reason of tests/needs.py"
