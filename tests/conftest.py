"""Fixtures that tests of several rooms share."""

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings

from needs import MEDEC, MEDERRBENCH, skipped_lines

# Tests run side by side: a thread for each core in each of them would only get in the way. Set before torch is
# imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores Ctrl-C, and so would the processes that tests start and stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long one example takes says nothing on a machine that is shared.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

REPOSITORY = Path(__file__).resolve().parent.parent
MEDEC_VALIDATION_FILE = "MEDEC-MS-ValidationSet-with-GroundTruth-and-ErrorType.csv"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and how to get it."""
    told: list[Any] = [each.longrepr for each in terminalreporter.stats.get("skipped", [])]
    reasons = [str(cast("tuple[object, ...]", each)[2]) for each in told if isinstance(each, tuple)]
    if lines := skipped_lines(reasons):
        terminalreporter.section("skipped here, and how to get it")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A stand-in for the Hugging Face hub, to which this program sends."""
    # Here, since a test loads this file where there is no other beside needs.py.
    from writable_hub import writable_hub

    with writable_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_for_the_test_alone")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        yield hub


@pytest.fixture(scope="session")
def load_script() -> Callable[..., ModuleType]:
    """Imports a script of the checkout by its name, and by its folder if that isn't ``scripts``."""

    def load(name: str, folder: str = "scripts") -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"{folder}_{name}", REPOSITORY / folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up by its name.
        sys.modules[spec.name] = module
        # As when it is run, its folder's other files can be imported.
        with pytest.MonkeyPatch.context() as patch:
            cast("Any", patch).syspath_prepend(REPOSITORY / folder)
            spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def medec_folder() -> Path:
    """The folder with MEDEC's files, which are no part of the project; a test that needs them skips without."""
    folder = Path(os.environ.get("MEDICAL_TEAM_MEDEC") or REPOSITORY.parent / "shared" / "medec")
    if not folder.is_dir():
        MEDEC.skip(f"there is no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def medec_validation_csv(medec_folder: Path) -> Path:
    """MEDEC-MS's validation set, as it was published."""
    path = medec_folder / MEDEC_VALIDATION_FILE
    if not path.is_file():
        MEDEC.skip(f"{medec_folder} has no {MEDEC_VALIDATION_FILE}")
    return path


@pytest.fixture(scope="session")
def mederrbench_folder() -> Path:
    """The folder with MedErrBench's validation sets, which are no part of the project either."""
    folder = Path(os.environ.get("MEDICAL_TEAM_MEDERRBENCH") or REPOSITORY.parent / "shared" / "mederrbench")
    if not folder.is_dir():
        MEDERRBENCH.skip(f"there is no folder {folder}")
    return folder
