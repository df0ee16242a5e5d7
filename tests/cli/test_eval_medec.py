import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from builders import a_record
from command_lines import told
from medec_builders import ScriptedRollout
from medec_csv import some_rows, write_csv
from medical_team.config import GameConfig, RolloutConfig, RunConfig
from medical_team.policy import rollout_engines
from medical_team.runs.folder import RunFolder
from openai_server import a_completion, openai_server
from stand_ins import always


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "medec.csv", some_rows(3))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path):
    return told(capsys, "eval", "medec", *arguments)


def test_a_baseline_is_told_with_intervals_and_floors_and_breakdowns(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, "copy-oracle", "--medec", csv, "-o", tmp_path / "out")

    assert status == 0
    header = next(line for line in out.splitlines() if "95% interval" in line)
    assert header.split()[-4:] == ["all-safe", "all-harmful", "all-harmful-last", "copy-oracle"]
    assert "flag_accuracy       1.000" in out
    assert "by error type" in out
    assert "by length" in out
    assert "BERTScore: absent" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "evaluation.json", "lock", "metrics.json", "predictions.jsonl", "submission.txt",
    ]  # fmt: skip


def test_a_local_model_is_asked_and_its_unreadable_replies_are_counted(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "tiny-random", "--medec", csv, "-o", tmp_path / "out", "--texts", "4")

    assert status == 0
    assert "zero-shot, no thinking" in out
    assert "greedy" in out
    assert "4 texts" in out
    assert "unreadable: 4 replies (neither Safe nor Harmful); they count as wrong, and never as a detection" in out
    assert "4/4 texts" in err


def test_a_served_model_is_asked_for_all_three_parts(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(body: dict[str, Any]):
        return a_completion("1 Patient 0 is given 500 mg of amoxicillin." if "5000" in str(body) else "CORRECT")

    with openai_server(answer) as server:
        arguments = ["some-model", "--url", server.url, "--medec", csv, "--task", "three-part", "-o", tmp_path / "out"]
        status, out, err = run(capsys, *arguments)
        asked = len(server.bodies)
        again = run(capsys, *arguments)

    assert status == 0
    assert "flag_accuracy          1.000" in out
    assert "Warning" not in err
    assert again == (0, out, "")
    assert asked == len(server.bodies) == 6
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["figures"]["sentence_accuracy"]["value"] == 1.0
    assert metrics["settings"]["shots"] == 0


def test_a_server_that_is_away_is_an_error_and_no_wrong_answer(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with openai_server(lambda body: (401, {"error": "no key"})) as server:
        status, out, err = run(capsys, "m", "--url", server.url, "--medec", csv, "-o", tmp_path / "out")

    assert (status, out) == (2, "")
    assert "MEDICAL_TEAM_ENDPOINT_TOKEN" in err
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_a_server_that_is_not_running_is_named_and_the_same_command_goes_on_when_it_is(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with openai_server(lambda body: a_completion("Safe")) as server:
        pass
    arguments = ["m", "--url", server.url, "--medec", csv, "-o", tmp_path / "out", "--patience-seconds", "0.1"]

    status, out, err = run(capsys, *arguments)

    assert (status, out) == (2, "")
    assert f"{server.url}/chat/completions can't be asked" in err
    assert "Is the server running?" in err


def test_solved_examples_are_shown_and_told_but_none_of_their_words_is_written_down(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = write_csv(tmp_path / "others.csv", some_rows(6)[6:])
    with openai_server(lambda body: a_completion("Safe")) as server:
        options = ["--url", server.url, "--medec", csv, "--shots", "2", "--examples", others, "-o", tmp_path / "out"]
        status, out, _ = run(capsys, "m", *options)

    assert status == 0
    assert "2-shot" in out
    assert "examples    others.csv" in out
    asked = server.bodies[0]["messages"][0]["content"]
    assert asked.count("</note>") == 3
    assert "<answer>Harmful</answer>" in asked
    assert "is given" not in (tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8")


def test_several_replies_vote_and_an_unreadable_one_never_wins(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = itertools.cycle(["Harmful", "Hm.", "Harmful", "Safe", "Hm."])
    with openai_server(lambda body: a_completion(next(replies))) as server:
        options = ["--samples", "5", "--concurrency", "1", "--url", server.url, "--medec", csv, "-o", tmp_path / "out"]
        status, out, _ = run(capsys, "m", *options)

    assert status == 0
    assert "temperature 0.7, majority of 5 replies" in out
    assert "detection_rate         1.000" in out
    assert "unreadable_reply_rate  0.400" in out
    assert len({body["seed"] for body in server.bodies}) == len(server.bodies) == 30


def test_a_folder_of_another_model_is_left_alone_and_the_models_are_named(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "all-safe", "--medec", csv, "-o", tmp_path / "out")

    status, _, err = run(capsys, "all-harmful", "--medec", csv, "-o", tmp_path / "out")

    assert status == 2
    assert 'holds another evaluation (model label "all-safe" there, "all-harmful" here)' in err


def test_predictions_that_are_a_folder_are_told(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "all-safe", "--medec", csv, "-o", tmp_path / "out")
    (tmp_path / "out" / "predictions.jsonl").unlink()
    (tmp_path / "out" / "predictions.jsonl").mkdir()

    status, _, err = run(capsys, "all-safe", "--medec", csv, "-o", tmp_path / "out")

    assert status == 2
    assert "predictions.jsonl can't be read:\n  - Is a directory" in err


def test_shots_need_a_file_of_examples(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "go together" in run(capsys, "m", "--medec", csv, "--shots", "2", "-o", tmp_path / "out")[2]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--shots", "-1"),
        ("--patience-seconds", "-1"),
        ("--samples", "0"),
        ("--temperature", "0"),
        ("--max-tokens", "0"),
        ("--patience-seconds", "nan"),
        ("--seed", "-1"),
        ("--texts", "0"),
    ],
)
def test_an_option_out_of_bounds_is_named(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    status, _, err = run(capsys, "all-safe", "--medec", csv, "-o", tmp_path / "out", option, value)

    assert status == 2
    assert f"{option} is {value}" in err


def test_an_assessor_that_corrects_is_scored_on_all_three_tasks_and_one_that_locates_on_two(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(body: dict[str, Any]):
        correction = ": Patient 0 is given 500 mg of amoxicillin." if "corrected sentence" in str(body) else ""
        return a_completion(f"Harmful 1{correction}" if "5000" in str(body) else "Safe")

    figures: dict[str, Any] = {}
    with openai_server(answer) as server:
        for asked in ("locate", "correct"):
            out = tmp_path / asked
            options = ["--url", server.url, "--medec", csv, "--assessor", asked, "-o", out]
            status, told, err = run(capsys, "some-model", *options)
            assert (status, "Warning" in err) == (0, False)
            assert f"assessor ({asked})" in told
            figures[asked] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["figures"]

    for found in figures.values():
        assert (found["flag_accuracy"]["value"], found["sentence_accuracy"]["value"]) == (1.0, 1.0)
    assert "R1F" not in figures["locate"]
    assert figures["correct"]["R1F"]["value"] > 0.7
    assert " 1 1 NA" in (tmp_path / "locate" / "submission.txt").read_text(encoding="utf-8")
    assert " 1 1 Patient 0 is given 500 mg" in (tmp_path / "correct" / "submission.txt").read_text(encoding="utf-8")


def test_what_an_assessor_says_is_no_matter_of_the_paper_s_task(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--task", "three-part", "--assessor", "locate", "--medec", csv, "-o", tmp_path / "out"]

    status, _, err = run(capsys, "tiny-random", *options)

    assert status == 2
    assert "--assessor is for --task assessor" in err


def test_a_run_s_model_is_asked_by_its_own_rules_and_limits(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout_engines, "local_rollout", always(ScriptedRollout(always("Safe"))))
    config = RunConfig(
        game=GameConfig(assessor="correct", prompt_style="terse"), rollout=RolloutConfig(max_verdict_tokens=50)
    )
    run_path = RunFolder.create(tmp_path / "run", config, [a_record()]).path
    (run_path / "final").mkdir()

    options = ["--medec", csv, "--texts", "2", "--training-texts", "keep"]
    assert run(capsys, run_path, *options, "-o", tmp_path / "own")[0] == 0
    assert run(capsys, run_path, *options, "--assessor", "verdict", "-o", tmp_path / "verdict")[0] == 0

    own, verdict = (
        json.loads((tmp_path / name / "evaluation.json").read_text(encoding="utf-8")) for name in ("own", "verdict")
    )
    assert (own["assessor"], own["max_tokens"], own["prompt_style"]) == ("correct", 50, "terse")
    assert (verdict["assessor"], verdict["max_tokens"]) == (None, 16)
