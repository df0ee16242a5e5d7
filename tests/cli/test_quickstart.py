from __future__ import annotations

from pathlib import Path

from medical_team.cli.quickstart import save_demo_plot, scores_text
from medical_team.evaluation.game_metrics import BalancedAccuracy, HeldoutScore
from medical_team.metrics.statistics import Interval
from medical_team.runs.folder import StepMetrics


def a_score(group: str, is_revised: bool, before: float, after: float) -> HeldoutScore:
    was, became = (
        BalancedAccuracy(value, Interval(value - 0.05, min(1.0, value + 0.05)), 64) for value in (before, after)
    )
    return HeldoutScore(group, is_revised, was, became)


SCORES = (
    a_score("untaught", False, 0.5, 0.75),
    a_score("untaught", True, 0.55, 0.7),
    a_score("unseen", False, 0.5, 0.5),
)


def test_each_group_has_a_line_and_what_is_missing_a_dash() -> None:
    lines = scores_text(SCORES).splitlines()
    assert len(lines) == 4
    assert "0.50 [0.45, 0.55]  0.75 [0.70, 0.80]" in lines[2]
    assert lines[2].startswith("untaught ")
    assert lines[3].split()[-2:] == ["-", "-"]


def test_the_picture_is_a_png_of_a_reasonable_size(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    metrics = [StepMetrics(step, {"assessor_accuracy/all": 0.5, "win_rate/attacker": 0.4}) for step in range(3)]
    save_demo_plot(path, metrics, SCORES)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < 300_000
