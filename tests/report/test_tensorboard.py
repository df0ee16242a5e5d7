import subprocess
import sys

import pytest

from medical_team.report.tensorboard import TensorBoardWriter
from needs import TENSORBOARD


def test_without_tensorboard_one_notice_and_on_it_goes(tmp_path, monkeypatch):
    # The innermost: another test may have imported it, and then it is found without the outer ones.
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    notices: list[str] = []

    writer = TensorBoardWriter(tmp_path / "tensorboard", 0, notices.append)
    for step in range(3):
        writer.write(step, {"policy/kl": 0.1})
    writer.close()

    assert len(notices) == 1
    assert "not installed" in notices[0]
    assert "metrics.jsonl" in notices[0]


@pytest.mark.slow
def test_scalars_are_written_and_a_resume_hides_what_it_repeats(tmp_path):
    TENSORBOARD.module("torch.utils.tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def write(steps, value, first_step):
        writer = TensorBoardWriter(tmp_path, first_step, pytest.fail)
        for step in steps:
            writer.write(step, {"policy/kl": value})
        writer.close()

    write(range(4), 1.0, first_step=0)
    write(range(2, 4), 2.0, first_step=2)

    events = EventAccumulator(str(tmp_path)).Reload().Scalars("policy/kl")
    assert [(event.step, event.value) for event in events] == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]


def test_importing_the_report_waits_for_no_torch():
    code = (
        "import sys, medical_team.report.tensorboard, medical_team.report.display, medical_team.metrics.step_metrics;"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
