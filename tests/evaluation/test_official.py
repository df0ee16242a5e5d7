import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge import Rouge

from builders import present
from medical_team.evaluation.medec_texts import load_medec
from medical_team.evaluation.official import OfficialScores, official_scores
from medical_team.evaluation.submission import Answer, parse_submission, read_submission, safe_answer
from stand_ins import always

GOLDEN = {
    "flag_accuracy": 0.4895470383275261,
    "sentence_accuracy": 0.30662020905923343,
    "R1F": 0.41834537258990434,
    "R2F": 0.3211881832743209,
    "RLF": 0.415449052076309,
    "R1F_composite": 0.22202644314239503,
    "R2F_composite": 0.17734090659306748,
    "RLF_composite": 0.2206943375403233,
}
"""What the organisers' script gives for the baseline run that they ship."""

WORKED_EXAMPLE = """\
ms-val-0 1 5 Culture tests indicate Trichomonas vaginalis.
ms-val-2 1 0 Pathology confirms Streptococcus pneumoniae is the causal organism.
ms-val-3 0 -1 NA
ms-val-1 0 -1 NA
ms-val-5 1 2 "The patient is given aspirin."
"""


def an_error(text_id: str = "a", sentence_id: str = "2", correction: str = "Give 500 mg of amoxicillin."):
    return Answer(text_id, "1", sentence_id, correction)


def a_correct_text(text_id: str = "b"):
    return Answer(text_id, "0", "-1", "NA")


def scored(references: list[Answer], *answers: Answer):
    return official_scores(references, {answer.text_id: answer for answer in answers}, with_learned=False)


def rouge_of(scores: OfficialScores):
    return {metric.name: metric for metric in scores.metrics}


def test_the_golden_run_is_equal_to_the_last_digit(medec_validation_csv: Path, medec_folder: Path) -> None:
    references = [text.reference for text in load_medec(medec_validation_csv).texts]
    submission = read_submission(medec_folder / "baseline-run-1.txt")

    values = official_scores(references, submission.answers, with_learned=False).values()

    assert values == GOLDEN


def test_the_worked_example_of_five_texts(medec_validation_csv: Path) -> None:
    ids = [f"ms-val-{number}" for number in (0, 1, 2, 3, 5)]
    references = {text.text_id: text.reference for text in load_medec(medec_validation_csv).texts}

    scores = official_scores(
        [references[text_id] for text_id in ids], parse_submission(WORKED_EXAMPLE).answers, with_learned=False
    )

    assert scores.values() == {
        "flag_accuracy": 0.6,
        "sentence_accuracy": 0.4,
        "R1F": pytest.approx(0.937499995, abs=1e-12),
        "R2F": pytest.approx(0.8571428521, abs=1e-10),
        "RLF": pytest.approx(0.937499995, abs=1e-12),
        "R1F_composite": pytest.approx(0.574999998, abs=1e-12),
        "R2F_composite": pytest.approx(0.5428571408571429, abs=1e-10),
        "RLF_composite": pytest.approx(0.574999998, abs=1e-12),
    }


def test_a_missing_answer_is_wrong_for_a_correct_text_too() -> None:
    scores = scored([an_error(), a_correct_text()])

    assert (scores.flag_accuracy, scores.sentence_accuracy, scores.answered) == (0.0, 0.0, 0)


def test_a_correct_text_counts_in_sentence_accuracy() -> None:
    assert scored([an_error(), a_correct_text()], safe_answer("a"), safe_answer("b")).sentence_accuracy == 0.5


def test_both_say_na_counts_one_and_one_says_na_counts_nothing() -> None:
    references = [an_error("a"), an_error("b"), a_correct_text("c"), a_correct_text("d")]

    scores = scored(
        references,
        Answer("a", "1", "2", "Give 500 mg of amoxicillin."),
        safe_answer("b"),
        safe_answer("c"),
        Answer("d", "1", "0", "Give 500 mg."),
    )

    assert scores.pair_ids == ("a",)
    assert scores.both_na == ("c",)
    assert rouge_of(scores)["R1F"].mean == pytest.approx(1.0, abs=1e-8)
    assert rouge_of(scores)["R1F"].composite == pytest.approx(0.5, abs=1e-8)


def test_without_a_pair_there_is_no_mean_and_no_made_up_number() -> None:
    scores = scored([an_error(), a_correct_text()], safe_answer("a"), safe_answer("b"))

    assert rouge_of(scores)["R1F"].mean is None
    assert rouge_of(scores)["R1F"].composite == 0.5


@pytest.mark.parametrize("correction", [".", "..."])
def test_a_correction_without_a_word_scores_nothing_instead_of_failing(correction: str) -> None:
    with pytest.raises(ValueError, match="Hypothesis is empty"):
        cast("Any", Rouge()).get_scores(correction, "Give 500 mg.")

    scores = scored([an_error()], Answer("a", "1", "2", correction))

    assert (rouge_of(scores)["R1F"].mean, scores.unscorable) == (0.0, 1)


def test_a_long_correction_is_scored_where_the_package_alone_runs_out_of_stack() -> None:
    long = " ".join(f"word{number}" for number in range(1500))
    with pytest.raises(RecursionError):
        cast("Any", Rouge()).get_scores(long, "Give 500 mg.")

    scores = scored([an_error(correction="Give word3.")], Answer("a", "1", "2", long))

    assert present(rouge_of(scores)["RLF"].mean) > 0


@given(st.lists(st.text(alphabet="ab. \n", min_size=1), min_size=1, max_size=4))
def test_any_correction_can_be_scored(corrections: list[str]) -> None:
    references = [an_error(str(number)) for number in range(len(corrections))]

    scores = scored(references, *(Answer(str(n), "1", "2", text) for n, text in enumerate(corrections)))

    assert all(0 <= metric.composite <= 1 for metric in scores.metrics)


def test_bertscore_and_bleurt_are_absent_with_a_reason_where_they_are_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bert_score", None)
    monkeypatch.setitem(sys.modules, "bleurt", None)
    monkeypatch.setitem(sys.modules, "bleurt.score", None)

    scores = official_scores([an_error()], {"a": Answer("a", "1", "2", "Give 500 mg.")})

    assert [metric.name for metric in scores.absent] == ["BERTScore", "BLEURT"]
    assert "aggregate" not in scores.values()


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bert_scores: list[float], bleurt_scores: list[float]
) -> None:
    """Modules with the interfaces of bert_score and bleurt, which give these scores."""

    class BleurtScorer:
        def __init__(self, checkpoint: str) -> None:
            pass

        def score(self, references: list[str], candidates: list[str], batch_size: int):
            return bleurt_scores

    contents: dict[str, dict[str, object]] = {
        "bert_score": {"score": always((0, 0, bert_scores))},
        "bleurt": {},
        "bleurt.score": {"BleurtScorer": BleurtScorer},
    }
    for name, content in contents.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    (folder / "BLEURT-20").mkdir()
    monkeypatch.setenv("MEDICAL_TEAM_BLEURT", str(folder / "BLEURT-20"))


def test_with_both_installed_scores_are_clipped_and_the_aggregate_is_their_mean_with_rouge_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, bert_scores=[1.2, 0.4], bleurt_scores=[-0.3, 0.7])
    references = [an_error("a"), an_error("b"), a_correct_text("c")]
    right = "Give 500 mg of amoxicillin."

    values = official_scores(
        references,
        {"a": Answer("a", "1", "2", right), "b": Answer("b", "1", "2", right), "c": safe_answer("c")},
    ).values()

    assert values["BERTScore"] == pytest.approx(0.7)
    assert values["BLEURT"] == pytest.approx(0.35)
    assert values["aggregate"] == pytest.approx(((1 + 1 + 0) / 3 + (1 + 0.4 + 0.7) / 3) / 2, abs=1e-8)
    assert values["aggregate_composite"] == pytest.approx((2 * present(values["aggregate"]) + 1) / 3)


def test_a_learned_metric_that_fails_is_absent_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, bert_scores=[0.5], bleurt_scores=[0.5])
    monkeypatch.setenv("MEDICAL_TEAM_BLEURT", str(tmp_path / "nowhere"))

    scores = official_scores([an_error()], {"a": Answer("a", "1", "2", "Give 500 mg.")})

    assert scores.values()["BERTScore"] == 0.5
    assert [(metric.name, "nowhere" in metric.reason) for metric in scores.absent] == [("BLEURT", True)]


def test_only_who_scores_needs_the_library_of_the_official_metrics() -> None:
    program = """
import sys
sys.modules["rouge"] = None
import medical_team.train.session, medical_team.doctor.examination, medical_team.cli.judge_audit
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
