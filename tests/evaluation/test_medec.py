import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from command_lines import killed_while_writing
from medec_builders import ScriptedRollout, a_correct_text, an_error_text
from medical_team.errors import DataError, RunFolderError, UsageError
from medical_team.evaluation.medec import FORMAT, TEXTS_AT_ONCE, EvaluationFolder, EvaluationSettings, predict
from medical_team.evaluation.medec_metrics import medec_metrics
from medical_team.evaluation.medec_texts import MedecText
from medical_team.evaluation.model_choice import ModelIdentity
from medical_team.evaluation.tasks import AssessorTask
from medical_team.game.rollout import PromptTooLong, Reply, RolloutRequest
from medical_team.runs.lock import exclusive_lock

TASK = AssessorTask(False, 16)
TEXTS = [an_error_text(str(n)) if n % 2 else a_correct_text(str(n)) for n in range(2 * TEXTS_AT_ONCE + 3)]
SETTINGS = EvaluationSettings(
    format=FORMAT, package_version="0", model=ModelIdentity("scripted", None),
    task="assessor", prompt_style="short", is_thinking=False, shots=0, examples="", prompt="<text>", samples=1,
    temperature=None, seed=7, max_tokens=16, device="cpu", precision="fp32", data_file="medec.csv",
    data_sha256="0", texts=len(TEXTS), left_out=0, training_texts="unknown",
)  # fmt: skip


def says_what_is_right(request: RolloutRequest) -> str:
    return "Harmful" if "5000" in request.prompt else "Safe"


def evaluate(folder: EvaluationFolder, rollout: ScriptedRollout, texts: list[MedecText] = TEXTS):
    with folder.locked():
        return predict(texts, TASK, lambda: rollout, folder)


@pytest.fixture
def folder(tmp_path: Path) -> EvaluationFolder:
    return EvaluationFolder(tmp_path / "evaluation", SETTINGS)


def test_every_text_is_asked_once_greedily_and_its_verdict_is_predicted(folder: EvaluationFolder) -> None:
    rollout = ScriptedRollout(says_what_is_right)

    predictions = evaluate(folder, rollout)

    assert [prediction.text_id for prediction in predictions] == [text.text_id for text in TEXTS]
    assert all(prediction.is_flag_right for prediction in predictions)
    assert len(rollout.requests) == len(TEXTS)
    assert all(request.is_greedy for request in rollout.requests)


def test_a_stopped_evaluation_goes_on_where_it_was_and_ends_the_same(folder: EvaluationFolder, tmp_path: Path) -> None:
    class Stopping(ScriptedRollout):
        def generate(
            self, requests: Sequence[RolloutRequest], on_progress: Callable[[int, int], None] | None = None
        ) -> list[Reply | PromptTooLong]:
            if len(self.requests) >= TEXTS_AT_ONCE:
                raise KeyboardInterrupt
            return super().generate(requests)

    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, Stopping(says_what_is_right))
    rest = ScriptedRollout(says_what_is_right)
    resumed = evaluate(EvaluationFolder(folder.path, SETTINGS), rest)

    assert len(rest.requests) == len(TEXTS) - TEXTS_AT_ONCE
    whole = EvaluationFolder(tmp_path / "whole", SETTINGS)
    assert resumed == evaluate(whole, ScriptedRollout(says_what_is_right))


def test_a_line_that_a_killed_process_left_half_written_is_asked_again(folder: EvaluationFolder) -> None:
    evaluate(folder, ScriptedRollout(says_what_is_right))
    path = folder.path / "predictions.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    rollout = ScriptedRollout(says_what_is_right)

    predictions = evaluate(folder, rollout)

    assert len(rollout.requests) == 1
    assert len(predictions) == len(TEXTS)


def test_a_finished_evaluation_loads_no_model(folder: EvaluationFolder) -> None:
    evaluate(folder, ScriptedRollout(says_what_is_right))

    def load():
        raise AssertionError("the model was loaded")

    with folder.locked():
        assert len(predict(TEXTS, TASK, load, folder)) == len(TEXTS)


def test_several_replies_have_seeds_of_their_own_that_other_texts_do_not_change(tmp_path: Path) -> None:
    settings = replace(SETTINGS, samples=3, temperature=0.7)
    many, few = ScriptedRollout(says_what_is_right), ScriptedRollout(says_what_is_right)

    evaluate(EvaluationFolder(tmp_path / "many", settings), many)
    evaluate(EvaluationFolder(tmp_path / "few", settings), few, TEXTS[4:5])

    seeds = [request.seed for request in many.requests]
    assert len(set(seeds)) == len(seeds) == 3 * len(TEXTS)
    assert [request.seed for request in few.requests] == seeds[12:15]
    assert not any(request.is_greedy for request in many.requests)


def test_a_prompt_that_does_not_fit_is_no_prediction(folder: EvaluationFolder) -> None:
    (prediction,) = evaluate(folder, ScriptedRollout(lambda request: PromptTooLong("9 tokens")), TEXTS[:1])

    assert (prediction.flag, prediction.votes[0].problem) == (None, "the prompt does not fit into the model")


def test_another_evaluation_in_the_same_folder_is_refused_and_the_difference_named(folder: EvaluationFolder) -> None:
    evaluate(folder, ScriptedRollout(says_what_is_right))

    with pytest.raises(UsageError, match="seed 7 there, 8 here"):
        evaluate(EvaluationFolder(folder.path, replace(SETTINGS, seed=8)), ScriptedRollout(says_what_is_right))


def test_predictions_of_other_texts_are_refused(folder: EvaluationFolder) -> None:
    evaluate(folder, ScriptedRollout(says_what_is_right), TEXTS[:3])

    with pytest.raises(DataError, match="'2', which is not evaluated"):
        evaluate(folder, ScriptedRollout(says_what_is_right), TEXTS[:2])


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")

    with pytest.raises(UsageError, match="is no evaluation"):
        evaluate(EvaluationFolder(tmp_path, SETTINGS), ScriptedRollout(says_what_is_right))


def test_a_folder_without_an_evaluation_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no evaluation"):
        EvaluationFolder.open(tmp_path)


def test_submission_and_metrics_are_written_with_what_was_run(folder: EvaluationFolder) -> None:
    predictions = evaluate(folder, ScriptedRollout(says_what_is_right))
    folder.finish(predictions, medec_metrics(TEXTS, predictions, has_sentences=False, seed=1))

    metrics = json.loads((folder.path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["settings"]["model"]["label"] == "scripted"
    assert metrics["figures"]["flag_accuracy"]["value"] == 1.0
    assert metrics["floors"]["all-safe"]["flag_accuracy"] < 1.0
    assert (folder.path / "submission.txt").read_text().splitlines()[:2] == ["0 0 -1 NA", "1 1 -1 NA"]


def test_an_evaluation_that_was_killed_before_its_settings_stood_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "evaluation"
    killed_while_writing(path / "evaluation.json")
    (path / "lock").touch()

    evaluate(EvaluationFolder(path, SETTINGS), ScriptedRollout(says_what_is_right))

    assert sorted(file.name for file in path.iterdir()) == ["evaluation.json", "lock", "predictions.jsonl"]


@pytest.mark.parametrize("name", ["predictions.jsonl", "submission.txt", "metrics.json"])
def test_what_a_killed_process_had_half_written_is_gone_at_the_next_start(folder: EvaluationFolder, name: str) -> None:
    evaluate(folder, ScriptedRollout(says_what_is_right))
    (folder.path / name).unlink(missing_ok=True)
    left = killed_while_writing(folder.path / name)
    strange = folder.path / ".notes.jsonl.abcdefgh"
    strange.touch()

    evaluate(folder, ScriptedRollout(says_what_is_right))

    assert not left.exists()
    assert strange.exists()


def test_of_two_evaluations_that_begin_at_once_the_second_does_not_change_the_settings_of_the_first(
    tmp_path: Path,
) -> None:
    path = tmp_path / "evaluation"
    path.mkdir()

    with exclusive_lock(path / "lock"), pytest.raises(RunFolderError, match="in use by process"):
        evaluate(EvaluationFolder(path, replace(SETTINGS, seed=8)), ScriptedRollout(says_what_is_right))

    assert not (path / "evaluation.json").exists()
