import shutil
from types import SimpleNamespace

from medical_team.metrics.alarms import alarms
from medical_team.rl.surroundings import disk_metrics
from medical_team.runs.folder import RunFolder
from report_runs import a_run


def test_the_disk_is_told_with_what_the_latest_checkpoint_takes(tmp_path):
    run = RunFolder.open(a_run(tmp_path / "run", []))
    before = disk_metrics(run)
    checkpoint = run.checkpoints.path_of(2)
    checkpoint.mkdir(parents=True)
    (checkpoint / "checkpoint.json").write_text("{}")
    (checkpoint / "weights").write_bytes(bytes(2**20))

    after = disk_metrics(run)

    assert set(before) == {"disk/free_gib"}
    assert abs(before["disk/free_gib"] - shutil.disk_usage(tmp_path).free / 2**30) < 1
    assert round(after["disk/checkpoint_gib"] * 2**10, 3) == 1.0


def test_a_full_disk_is_an_alarm(tmp_path, monkeypatch):
    run = RunFolder.open(a_run(tmp_path / "run", []))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=100, used=99, free=1))

    assert "disk" in alarms([disk_metrics(run)])


def test_a_file_system_that_tells_nothing_stops_no_run(tmp_path):
    run = RunFolder.open(a_run(tmp_path / "run", []))
    shutil.rmtree(run.path)

    assert disk_metrics(run) == {}
