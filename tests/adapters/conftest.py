from __future__ import annotations

from pathlib import Path

import pytest

from golden_replies import THREE_PART, VERDICT, figures_of_eval_medec, write_golden_csv


@pytest.fixture(scope="session")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_golden_csv(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def expected(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """The figures of `eval medec` on the golden replies, by task."""
    folder = tmp_path_factory.mktemp("expected")
    return {task: figures_of_eval_medec(csv, task, folder / task) for task in (THREE_PART, VERDICT)}
