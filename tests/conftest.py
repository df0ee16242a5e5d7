"""Fixtures that tests of several rooms share."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def medec_folder() -> Path:
    """The folder with MEDEC's files, which are no part of the project; a test that needs them skips without."""
    folder = Path(os.environ.get("MEDICAL_TEAM_MEDEC") or REPOSITORY.parent / "shared" / "medec")
    if not folder.is_dir():
        pytest.skip(f"MEDEC is not at {folder}: name its folder in MEDICAL_TEAM_MEDEC to run this test")
    return folder


@pytest.fixture(scope="session")
def medec_validation_csv(medec_folder: Path) -> Path:
    """MEDEC-MS's validation set, as it was published."""
    path = medec_folder / MEDEC_VALIDATION_FILE
    if not path.is_file():
        pytest.skip(f"{medec_folder} has no {MEDEC_VALIDATION_FILE}: name MEDEC's folder in MEDICAL_TEAM_MEDEC")
    return path
