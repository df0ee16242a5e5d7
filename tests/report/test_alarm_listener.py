from medical_team.report.alarm_listener import AlarmListener
from medical_team.runs.folder import RunFolder
from report_runs import a_run


def test_an_alarm_is_told_once_however_long_it_is_up(tmp_path):
    warnings: list[str] = []
    listener = AlarmListener(warnings.append)
    listener.run_started(RunFolder.open(a_run(tmp_path / "run", [])), 0)

    for step in range(3):
        listener.step_ended(step, [], {"disk/free_gib": 0.01})

    assert len(warnings) == 1
    assert "free on the run's disk" in warnings[0]
