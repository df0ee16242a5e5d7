from pathlib import Path

import pytest

from builders import present
from medec_builders import CORRECTION, HARMFUL, SAFE, UNREADABLE, a_correct_text, an_error_text
from medical_team.evaluation.medec_metrics import medec_metrics
from medical_team.evaluation.medec_texts import MedecText, load_medec
from medical_team.evaluation.official import official_scores
from medical_team.evaluation.predictions import Vote, answers_of, baseline_predictions, prediction_of
from medical_team.evaluation.submission import read_submission, write_submission
from medical_team.metrics.statistics import Figure
from medical_team.records import ErrorType


def metrics_of(*judged: tuple[MedecText, Vote], has_sentences: bool = False):
    texts = [text for text, _ in judged]
    predictions = [prediction_of(text, [vote]) for text, vote in judged]
    return medec_metrics(texts, predictions, has_sentences=has_sentences, seed=1)


def values(figures: dict[str, Figure]):
    return {name: figure.value for name, figure in figures.items()}


def test_an_unreadable_reply_is_neither_a_detection_nor_a_false_alarm_and_is_wrong_everywhere() -> None:
    metrics = metrics_of(
        (an_error_text("a"), HARMFUL),
        (an_error_text("b"), UNREADABLE),
        (a_correct_text("c"), SAFE),
        (a_correct_text("d"), UNREADABLE),
    )

    assert values(metrics.figures) == {
        "flag_accuracy": 0.5,
        "balanced_accuracy": 0.5,
        "detection_rate": 0.5,
        "false_alarm_rate": 0.0,
        "no_prediction_rate": 0.5,
        "unreadable_reply_rate": 0.5,
    }
    assert metrics.unreadable == {"neither Safe nor Harmful": 2}


def test_a_set_without_correct_texts_has_no_balanced_accuracy() -> None:
    metrics = metrics_of((an_error_text("a"), HARMFUL))

    assert metrics.figures["balanced_accuracy"].value is None
    assert metrics.figures["balanced_accuracy"].interval is None
    assert metrics.figures["false_alarm_rate"].of == 0


def test_rows_by_error_type_and_length_count_their_own_texts() -> None:
    metrics = metrics_of(
        (an_error_text("a"), HARMFUL),
        (an_error_text("b", error_type=ErrorType.DIAGNOSIS, text="word " * 120), SAFE),
        (a_correct_text("c", text="word " * 200), HARMFUL),
    )

    types = {name: (row["flag_accuracy"].value, row["flag_accuracy"].of) for name, row in metrics.by_error_type.items()}
    lengths = {name: row["flag_accuracy"].value for name, row in metrics.by_length.items()}
    assert types == {"diagnosis": (0.0, 1), "pharmacotherapy": (1.0, 1), "(no error)": (0.0, 1)}
    assert lengths == {"up to 100 words": 1.0, "101 to 150 words": 0.0, "more than 150 words": 0.0}


def test_a_near_duplicate_group_is_drawn_whole() -> None:
    apart = metrics_of(*((an_error_text(str(n)), HARMFUL if n % 2 else SAFE) for n in range(20)))
    twins = metrics_of(*((an_error_text(str(n), group="one"), HARMFUL if n % 2 else SAFE) for n in range(20)))

    assert present(apart.figures["flag_accuracy"].interval).low < 0.5
    assert present(twins.figures["flag_accuracy"].interval).low == 0.5


def test_official_figures_have_the_official_value_and_an_interval_around_it() -> None:
    judged = [
        (an_error_text("a"), Vote("", True, 1, CORRECTION)),
        (an_error_text("b"), Vote("", True, 0, "He is given 500 mg.")),
        (a_correct_text("c"), SAFE),
        (a_correct_text("d"), Vote("", True, 2, "No.")),
    ]
    metrics = metrics_of(*judged, has_sentences=True)

    answers = answers_of([prediction_of(text, [vote]) for text, vote in judged])
    official = official_scores([text.reference for text, _ in judged], answers).values()
    assert {name: metrics.figures[name].value for name in official} == official
    for name, value in official.items():
        interval = present(metrics.figures[name].interval)
        assert interval.low <= present(value) <= interval.high


def test_a_flag_without_a_sentence_gets_no_figure_for_sentences() -> None:
    metrics = metrics_of((an_error_text("a"), HARMFUL), (a_correct_text("b"), HARMFUL), has_sentences=True)

    assert metrics.floors["all-harmful"]["sentence_accuracy"] is None
    assert metrics.floors["all-harmful-last"]["sentence_accuracy"] == 0.0


def test_the_floors_of_the_validation_set(medec_validation_csv: Path) -> None:
    texts = load_medec(medec_validation_csv).texts
    predictions = baseline_predictions("all-safe", texts)

    floors = medec_metrics(texts, predictions, has_sentences=True, seed=1).floors

    assert floors["all-safe"]["flag_accuracy"] == floors["all-safe"]["sentence_accuracy"] == 255 / 574
    assert floors["all-safe"]["R1F_composite"] == 255 / 574
    assert floors["all-harmful"]["flag_accuracy"] == 319 / 574
    assert floors["copy-oracle"]["R1F"] == pytest.approx(0.6295, abs=5e-5)


def test_the_oracles_submission_scores_on_disk_what_it_scores_here(medec_validation_csv: Path, tmp_path: Path) -> None:
    texts = load_medec(medec_validation_csv).texts
    predictions = baseline_predictions("copy-oracle", texts)
    write_submission(tmp_path / "submission.txt", answers_of(predictions).values())

    here = medec_metrics(texts, predictions, has_sentences=True, seed=1).figures
    on_disk = official_scores(
        [text.reference for text in texts], read_submission(tmp_path / "submission.txt").answers, with_learned=False
    )

    assert {name: here[name].value for name in on_disk.values()} == on_disk.values()
