"""Three steps of OpenRLHF, whole."""

from pathlib import Path

import pytest
from whole_run import WholeRun

from medical_team.cli.main import main


@pytest.fixture(scope="module")
def trained(policy: Path, tmp_path_factory: pytest.TempPathFactory):
    """A run of three steps, with OpenRLHF's importance correction, which compares the log-probs of vLLM and trainer."""
    run = WholeRun(tmp_path_factory.mktemp("trained") / "run", policy)
    status = run.train()
    assert status == 0, run.words[-4000:]
    return run


def test_three_steps_end_with_a_model_that_learnt(trained: WholeRun) -> None:
    assert trained.is_finite
    assert trained.largest_change > 1e-4
    assert "Done: 3 steps" in trained.words


def test_new_weights_reach_the_rollout_engine(trained: WholeRun) -> None:
    mismatches = trained.curve("vllm_kl")

    assert len(mismatches) == 3
    assert max(map(abs, mismatches)) < 0.005


def test_all_games_of_all_steps_are_in_the_run(trained: WholeRun) -> None:
    run = trained.folder

    assert [line.step for line in run.metrics()] == [0, 1, 2]
    ids = [game.spec.id for game in run.games()]
    assert len(ids) == len(set(ids)) >= 3 * 8


def test_the_report_and_the_judge_work_on_it(trained: WholeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(trained.path)]) == 0
    assert main(["games", str(trained.path), "--limit", "2"]) == 0
    assert main(["rejudge", str(trained.path)]) == 0
    assert (trained.path / "report.html").stat().st_size > 10_000
