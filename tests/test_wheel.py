"""What users install: a wheel built from the checkout, in an empty environment, run from an empty folder."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from medical_team.runs.config_file import preset_names
from needs import HATCHLING, PIP

pytestmark = pytest.mark.slow

WHERE_AND_WHAT = """
import medical_team
from medical_team.runs.config_file import load_preset, preset_names

print(medical_team.__file__)
print([load_preset(name) and name for name in preset_names()])
"""


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    HATCHLING.module("hatchling")
    PIP.module("pip")
    folder = tmp_path_factory.mktemp("wheel")
    building = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, repository]
    subprocess.run([sys.executable, "-m", "pip", *building], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and with the libraries of this one but not its medical_team."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel], check=True
    )
    # Files of paths count in an environment's own folder alone, so an editable installation stays behind.
    own = next(folder.glob("lib/python3.*/site-packages"))
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "libraries.pth").write_text("\n".join(sorted(libraries)), encoding="utf-8")
    return python


@pytest.fixture
def run(python: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a program of the environment in an empty folder, as a user who has nothing else."""
    (tmp_path / "home").mkdir()
    (tmp_path / "empty").mkdir()
    environment = {"PATH": os.defpath, "HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

    def run(program: str, *arguments: str) -> str:
        ended = subprocess.run(
            [python.parent / program, *arguments],
            cwd=tmp_path / "empty", env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path, repository: Path) -> None:
    package = repository / "medical_team"
    ours = {
        str(path.relative_to(repository))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert held == ours


def test_an_installed_wheel_finds_its_presets(run: Callable[..., str], python: Path) -> None:
    where, presets = run("python", "-c", WHERE_AND_WHAT).splitlines()

    assert where.startswith(str(python.parent.parent))
    assert presets == str(list(preset_names()))


def test_an_installed_wheel_plays_the_quickstart_from_an_empty_folder(run: Callable[..., str], tmp_path: Path) -> None:
    told = run("medical-team", "quickstart", "--steps", "1", "--games", "8")
    run("medical-team", "report", "runs/quickstart", "-o", "page.html")

    assert "before and after self-play" in told
    assert (tmp_path / "empty" / "runs" / "quickstart" / "self_play.png").stat().st_size > 0
    assert "<script" in (tmp_path / "empty" / "page.html").read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"runs", "page.html"}
