import json
from dataclasses import replace
from pathlib import Path

import pytest

from medical_team.config import RunConfig, TrainingConfig
from medical_team.metrics.run_reader import RunReader
from medical_team.report.overview import CHARTS, MAX_POINTS, chart_data, config_text, duration, overview
from medical_team.report.page_file import GameArchive
from medical_team.runs.config_file import read_tables, to_toml
from medical_team.runs.folder import RunFolder
from report_runs import a_run, a_step


def overview_of(path: Path):
    reader = RunReader(path, GameArchive().add)
    reader.refresh()
    return overview(reader)


def test_a_half_written_last_line_is_told_where_nothing_runs(tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [a_step(0)])
    with (path / "metrics.jsonl").open("ab") as file:
        file.write(b"\0")

    assert overview_of(path)["state"] == "1 of 1 steps, finished; a half-written last line is left out"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1e308", "1e999"])
def test_numbers_that_nobody_can_draw_are_left_out(tmp_path: Path, value: str) -> None:
    path = a_run(tmp_path / "run", [a_step(0), a_step(1)], total_steps=4)
    names = ("policy/kl", "rewards/attacker/total", "seconds/total", "seconds/play", "policy/entropy")
    odd = ", ".join(f'"{name}": {value}' for name in names)
    with (path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(f'{{"step": {step}, "values": {{{odd}}}}}\n' for step in (2, 3))

    found = overview_of(path)

    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert ["Time in steps", "7.0 s"] in found["summary"]
    assert found["state"] == "4 of 4 steps, finished"


def test_the_overview_holds_all_that_the_page_shows(tmp_path: Path) -> None:
    found = overview_of(a_run(tmp_path / "run", [a_step(0), a_step(1)]))

    assert found["name"] == "run"
    assert found["state"] == "2 of 2 steps, finished"
    assert ["Games", "8"] in found["summary"]
    assert [criterion["status"] for criterion in found["criteria"]][1] == "pass"
    assert found["tables"]["Time by phase"][1:] == [
        ["play", "4.0 s", "57%"],
        ["learn", "2.0 s", "29%"],
        ["judge", "1.0 s", "14%"],
        ["all", "7.0 s", ""],
    ]
    assert found["tables"]["Data card"][-2:] == [
        ["all", "1", "1", "1", "1", "4"],
        ["held out", "1", "1", "0", "0", "2"],
    ]
    assert found["tables"]["Versions"][-1] == ["python", "3.11.9"]
    base_model, judge, data = found["licences"]
    assert base_model == "Base model HuggingFaceTB/SmolLM2-135M-Instruct: Apache License 2.0."
    assert judge.startswith("Judge: reference judge: Apache License 2.0")
    assert "CC BY 4.0" in data
    json.dumps(found, allow_nan=False)


def test_a_run_that_has_just_begun_has_an_overview(tmp_path: Path) -> None:
    found = overview_of(a_run(tmp_path / "run", [], total_steps=3))

    assert found["state"].startswith("0 of 3 steps")
    assert found["alarms"] == []


def test_a_run_copied_without_its_data_has_a_report(tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [a_step(0)])
    (path / "data" / "train.jsonl").unlink()

    assert overview_of(path)["licences"][-1] == "Data: not at hand."


def test_the_configuration_names_no_place_of_this_machine_and_no_password(tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [])
    run = RunFolder.open(path)
    config = replace(RunConfig(training=TrainingConfig(steps=1)), data=run.config.data)
    text = to_toml(config).replace("[judge]", '[judge]\nnote = "http://me:secret@judge/v1"')
    (path / "config.toml").write_text(text)

    shown = config_text(run)

    assert "secret" not in shown
    assert "http://judge/v1" in shown


def test_the_configuration_reruns_the_run(tmp_path: Path) -> None:
    import tomllib

    run = RunFolder.open(a_run(tmp_path / "run", [], total_steps=7))

    config, problems = read_tables(tomllib.loads(config_text(run)))

    assert problems == []
    assert config is not None
    assert config.training.steps == 7
    assert str(tmp_path) not in config_text(run)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (59.6, "1 min 0 s")]
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def chart(metrics: dict[int, dict[str, float]], title: str):
    return next(chart for chart in chart_data(metrics) if chart["title"] == title)


def test_a_curve_holds_the_steps_that_have_its_metric() -> None:
    metrics = {0: {"policy/kl": 0.0123456789}, 1: {}, 2: {"policy/kl": 2.0}}

    [curve] = chart(metrics, "KL from the reference policy")["curves"]

    assert curve == {"label": "KL", "steps": [0, 2], "values": [0.012346, 2.0]}


def test_a_star_stands_for_whatever_there_is() -> None:
    metrics = {0: {"judge_source/reference": 0.5, "judge_source/vote": 0.5, "seconds/total": 3.0, "seconds/play": 1.0}}

    assert [curve["label"] for curve in chart(metrics, "Judge: who ruled")["curves"]] == ["reference", "vote"]
    assert [curve["label"] for curve in chart(metrics, "Seconds by phase")["curves"]] == ["play"]


def test_games_in_the_place_of_others_are_drawn_by_category() -> None:
    metrics = {0: {"replacements/vanilla_benign": 1.0}, 1: {"replacements/vanilla_benign": 3.0}}

    [curve] = chart(metrics, "Games in place of others, by category")["curves"]

    assert curve == {"label": "vanilla benign", "steps": [0, 1], "values": [1.0, 3.0]}


def test_a_chart_without_points_is_empty() -> None:
    assert len(chart_data({})) == len(CHARTS)
    assert all(not chart["curves"] for chart in chart_data({}))


def test_a_long_curve_is_thinned_out_and_keeps_its_end() -> None:
    steps = 2 * MAX_POINTS + 1
    [curve] = chart({step: {"policy/kl": 1.0} for step in range(steps)}, "KL from the reference policy")["curves"]

    assert len(curve["steps"]) <= MAX_POINTS
    assert curve["steps"][-1] == steps - 1
