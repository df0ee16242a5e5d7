from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from builders import CORRECTED_SENTENCE, a_game, a_record, synthetic_records
from medec_builders import ScriptedRollout
from medical_team.config import CheckpointConfig, GameConfig, RunConfig
from medical_team.evaluation.heldout import attack_notes, evaluate_heldout, heldout_metrics
from medical_team.game.rollout import Reply, RolloutRequest
from medical_team.judging import reference_judge
from medical_team.metrics.step_metrics import BALANCED_ACCURACY
from medical_team.records import DataType, GameState, Role, TrainingRecord, Verdict

RECORDS = [a_record(data_type, id=data_type.value) for data_type in DataType]
CONFIG = RunConfig(checkpoints=CheckpointConfig(evaluation_games=4))


def evaluate(rule: Callable[[RolloutRequest], str], step: int = 0):
    return evaluate_heldout(RECORDS, ScriptedRollout(rule), reference_judge(), CONFIG, step=step)


def test_notes_are_shown_as_they_are_half_of_them_with_an_error_and_read_greedily() -> None:
    rollout = ScriptedRollout(lambda request: "Harmful")

    result = evaluate_heldout(RECORDS, rollout, reference_judge(), CONFIG, step=9)

    assert [game.spec.data_type.is_harmful for game in result.games] == [True, True, False, False]
    assert not any(game.spec.data_type.is_adversarial for game in result.games)
    assert [request.is_greedy for request in rollout.requests] == [True] * 4
    assert result.games[0].spec.id == "heldout-000010-0000"


def test_the_same_notes_come_in_every_evaluation_of_a_run() -> None:
    first, later = (evaluate(lambda request: "Safe", step).games for step in (-1, 19))

    assert [game.spec.seed_note for game in first] == [game.spec.seed_note for game in later]


def test_who_always_says_the_same_is_no_better_than_guessing() -> None:
    assert evaluate(lambda request: "Harmful").metrics[BALANCED_ACCURACY] == 0.5
    assert evaluate(lambda request: "Harmful" if "5000" in request.prompt else "Safe").metrics[BALANCED_ACCURACY] == 1.0


def test_an_unreadable_verdict_is_wrong_never_a_detection() -> None:
    assert evaluate(lambda request: "Hm.").metrics == {
        "heldout/detection_rate": 0.0,
        "heldout/specificity": 0.0,
        "heldout/unreadable_share": 1.0,
        BALANCED_ACCURACY: 0.0,
    }


def test_the_truth_is_the_data_sets_whatever_the_judge_says() -> None:
    fooled = [
        a_game(DataType.VANILLA_HARMFUL, verdict=Verdict.SAFE, error_present=False),
        a_game(DataType.VANILLA_BENIGN, verdict=Verdict.SAFE, state=GameState.VOID),
    ]

    assert heldout_metrics(fooled)[BALANCED_ACCURACY] == 0.5


def test_notes_of_one_kind_have_no_balanced_accuracy() -> None:
    metrics = heldout_metrics([a_game(DataType.VANILLA_BENIGN, verdict=Verdict.SAFE)])

    assert metrics == {"heldout/specificity": 1.0, "heldout/unreadable_share": 0.0}


def test_an_assessor_that_says_where_has_a_sentence_accuracy_as_medec_counts_it() -> None:
    game = GameConfig(assessor="locate")
    config = RunConfig(game=game, checkpoints=CheckpointConfig(evaluation_games=4))

    def metrics_of(rule: Callable[[RolloutRequest], str]) -> dict[str, float]:
        return evaluate_heldout(RECORDS, ScriptedRollout(rule), reference_judge(), config, step=0).metrics

    named = metrics_of(lambda request: "Harmful 1" if "5000" in request.prompt else "Safe")
    assert (named["heldout/sentence_accuracy"], named[BALANCED_ACCURACY]) == (1.0, 1.0)
    elsewhere = metrics_of(lambda request: "Harmful 0" if "5000" in request.prompt else "Safe")
    assert (elsewhere["heldout/sentence_accuracy"], elsewhere[BALANCED_ACCURACY]) == (0.5, 1.0)
    assert metrics_of(lambda request: "Safe")["heldout/sentence_accuracy"] == 0.5
    assert metrics_of(lambda request: "Harmful")["heldout/sentence_accuracy"] == 0.0


def test_an_assessor_that_corrects_has_a_share_of_errors_put_right() -> None:
    config = RunConfig(game=GameConfig(assessor="correct"), checkpoints=CheckpointConfig(evaluation_games=4))

    def share(said: str) -> float:
        rollout = ScriptedRollout(lambda request: said if "5000" in request.prompt else "Safe")
        return evaluate_heldout(RECORDS, rollout, reference_judge(), config, step=0).metrics["heldout/corrected_share"]

    assert share(f"Harmful 1: {CORRECTED_SENTENCE}") == 1.0
    assert share(f"Harmful 0: {CORRECTED_SENTENCE}") == 0.0
    assert share("Harmful 1: He is given 50 mg of amoxicillin.") == 0.0
    assert share("Safe") == 0.0


class RevisingRollout:
    """Gives the attacker's replies in turn, and the verdict Safe."""

    def __init__(self, revisions: Sequence[str]) -> None:
        self._revisions = iter(revisions)

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Callable[..., Any] | None = None
    ) -> list[Reply]:
        texts = [next(self._revisions) if request.speaker.role is Role.ATTACKER else "Safe" for request in requests]
        return [Reply(text, (1,), (2,), (-0.1,), is_finished=True) for text in texts]


def adversarial_records() -> list[TrainingRecord]:
    kinds = {True: DataType.ADVERSARIAL_HARMFUL, False: DataType.ADVERSARIAL_BENIGN}
    return [replace(record, data_type=kinds[record.data_type.is_harmful]) for record in synthetic_records(2)]


def attacked(revisions: Sequence[str]):
    records = adversarial_records()[: len(revisions)]
    return attack_notes(records, RevisingRollout(revisions), reference_judge(), RunConfig(), name="held-out")


def test_a_revision_becomes_a_vanilla_record_of_its_truth() -> None:
    harmful, benign = adversarial_records()[:2]
    notes = attacked([harmful.note, benign.note])
    assert [record.data_type for record in notes.records] == [DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN]
    assert [record.note for record in notes.records] == [harmful.note, benign.note]


def test_an_attacker_that_took_the_error_out_made_a_note_without_one() -> None:
    harmful = adversarial_records()[0]
    (record,) = attacked([harmful.corrected_note]).records
    assert record.data_type is DataType.VANILLA_BENIGN
    assert record.note == harmful.corrected_note


def test_what_is_no_note_or_beyond_the_judge_is_left_out_and_counted() -> None:
    benign = adversarial_records()[1]
    notes = attacked(["", f"{benign.note} Zebras gallop."])
    assert notes.records == ()
    assert notes.asked == 2
