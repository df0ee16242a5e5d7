from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_game, a_pair, a_spec, present
from medec_builders import HARMFUL, SAFE, a_correct_text, an_error_text
from medical_team.errors import DataError, UsageError
from medical_team.evaluation.comparison import Comparison, compare, read_outcomes
from medical_team.evaluation.medec import FORMAT, EvaluationFolder, EvaluationSettings
from medical_team.evaluation.medec_texts import MedecText
from medical_team.evaluation.model_choice import ModelIdentity
from medical_team.evaluation.model_games import FORMAT as GAMES_FORMAT
from medical_team.evaluation.model_games import GamesSettings, read_games, write_games
from medical_team.evaluation.predictions import prediction_of
from medical_team.records import DataType, GameState, Verdict

TEXTS = [an_error_text(str(n)) if n % 2 else a_correct_text(str(n)) for n in range(20)]
SETTINGS = EvaluationSettings(
    format=FORMAT, package_version="0", model=ModelIdentity("a model", None),
    task="assessor", prompt_style="short", is_thinking=False, shots=0, examples="", prompt="<text>", samples=1,
    temperature=None, seed=7, max_tokens=16, device="cpu", precision="fp32", data_file="medec.csv",
    data_sha256="0", texts=len(TEXTS), left_out=0, training_texts="unknown",
)  # fmt: skip


def an_evaluation(
    path: Path, wrong: list[int] | range | tuple[Any, ...] = (), *, texts: list[MedecText] = TEXTS, **changes: Any
):
    """An evaluation that has all texts right but those of the numbers ``wrong``."""
    settings = replace(SETTINGS, texts=len(texts), **changes)
    folder = EvaluationFolder(path, settings)
    with folder.locked():
        folder.append(
            [
                prediction_of(text, [HARMFUL if text.has_error != (int(text.text_id) in wrong) else SAFE])
                for text in texts
            ]
        )
    return read_outcomes(path)


def figures_of(comparison: Comparison, measure: str = "flag_accuracy"):
    return [figure for figure in comparison.figures if figure.measure == measure]


def a_checkpoint(label: str, *, seed: int, step: int = 10, configuration: str = "same", part: str = "best"):
    return ModelIdentity(label, str(seed), configuration, seed, part, step)


def test_a_difference_is_taken_text_by_text(tmp_path: Path) -> None:
    first = an_evaluation(tmp_path / "a", wrong=[0, 1, 2, 3], model=ModelIdentity("first", None))
    second = an_evaluation(tmp_path / "b", wrong=[3, 4], model=ModelIdentity("second", None))

    comparison = compare([first, second])

    ours, theirs = figures_of(comparison)
    assert (present(ours.runs).mean, ours.difference) == (0.8, None)
    assert theirs.difference == pytest.approx(0.1)
    interval, mcnemar = present(theirs.difference_interval), present(comparison.sides[1].mcnemar)
    assert interval.low < 0 < interval.high
    assert (mcnemar.only_first, mcnemar.only_second) == (1, 3)


def test_an_evaluation_does_not_differ_from_itself(tmp_path: Path) -> None:
    first = an_evaluation(tmp_path / "a", wrong=[0, 1], model=ModelIdentity("first", None))
    again = an_evaluation(tmp_path / "b", wrong=[0, 1], model=ModelIdentity("again", None))

    comparison = compare([first, again])

    difference = figures_of(comparison)[1]
    interval = present(difference.difference_interval)
    assert (difference.difference, interval.low, interval.high) == (0, 0, 0)
    assert present(comparison.sides[1].mcnemar).p == 1.0


def test_runs_that_differ_only_in_their_seed_are_pooled(tmp_path: Path) -> None:
    base = an_evaluation(tmp_path / "a", wrong=[0], model=ModelIdentity("base", None))
    seeds = [
        an_evaluation(tmp_path / f"b{n}", wrong=range(n), model=a_checkpoint(f"run-{n}", seed=n, step=10 * n))
        for n in (2, 4)
    ]

    comparison = compare([base, *seeds])

    assert [(side.label, side.runs) for side in comparison.sides] == [("base", 1), ("run-2 (of 2 seeds)", 2)]
    assert comparison.sides[1].mcnemar is None
    pooled = present(figures_of(comparison)[1].runs)
    assert (pooled.mean, pooled.deviation) == (pytest.approx(0.85), pytest.approx(0.0707, abs=1e-4))


def test_runs_of_other_steps_or_configurations_are_not_pooled(tmp_path: Path) -> None:
    evaluations = [
        an_evaluation(tmp_path / "a", model=a_checkpoint("run", seed=1, part="step-000010")),
        an_evaluation(tmp_path / "b", model=a_checkpoint("run", seed=2, part="step-000020")),
        an_evaluation(tmp_path / "c", model=a_checkpoint("run", seed=3, configuration="other", part="step-000010")),
    ]

    comparison = compare(evaluations)

    assert [side.label for side in comparison.sides] == ["run (1)", "run (2)", "run (3)"]


def test_one_run_twice_is_no_second_seed(tmp_path: Path) -> None:
    evaluations = [an_evaluation(tmp_path / name, model=a_checkpoint("run", seed=1)) for name in ("a", "b")]

    assert [side.runs for side in compare(evaluations).sides] == [1, 1]


def test_evaluations_on_other_texts_cannot_be_compared(tmp_path: Path) -> None:
    first = an_evaluation(tmp_path / "a")
    fewer = an_evaluation(tmp_path / "b", texts=TEXTS[1:])
    other_file = an_evaluation(tmp_path / "c", data_sha256="1")

    with pytest.raises(UsageError, match="1 items are in only one"):
        compare([first, fewer])
    with pytest.raises(UsageError, match="only the same can be compared"):
        compare([first, other_file])
    with pytest.raises(UsageError, match="at least two"):
        compare([first])


def test_the_order_of_the_texts_does_not_matter(tmp_path: Path) -> None:
    first = an_evaluation(tmp_path / "a", wrong=[0, 1, 2])
    shuffled = an_evaluation(tmp_path / "b", wrong=[0, 1, 2], texts=TEXTS[::-1])

    assert present(compare([first, shuffled]).sides[1].mcnemar).only_first == 0


def test_an_unfinished_evaluation_is_not_compared(tmp_path: Path) -> None:
    an_evaluation(tmp_path / "a", texts=TEXTS)
    lines = (tmp_path / "a" / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "a" / "predictions.jsonl").write_text("".join(lines[:5]))

    with pytest.raises(DataError, match="5 of 20 texts are predicted"):
        read_outcomes(tmp_path / "a")


def some_games(path: Path, model: str, verdicts: list[Verdict | None], **changes: Any):
    settings = GamesSettings(
        format=GAMES_FORMAT, package_version="0", model=ModelIdentity(model, None), opponent=None, judge="reference",
        records="heldout.jsonl", records_sha256="0", games=4, seed=1, prompt_date="2026-01-31",
    )  # fmt: skip
    games = [
        a_game(
            DataType.ADVERSARIAL_HARMFUL,
            verdict=verdict,
            state=None if verdict else GameState.VOID,
            spec=a_spec(id=f"self-{number}", pair=a_pair(case_id=str(number), near_duplicate_group=str(number))),
        )
        for number, verdict in enumerate(verdicts)
    ]
    write_games(path, replace(settings, **changes), games, {})
    return read_outcomes(path)


def test_games_are_compared_too_and_a_void_game_counts_for_nobody(tmp_path: Path) -> None:
    first = some_games(tmp_path / "a", "first", [Verdict.HARMFUL, Verdict.SAFE, Verdict.HARMFUL])
    second = some_games(tmp_path / "b", "second", [Verdict.HARMFUL, Verdict.HARMFUL, None])

    comparison = compare([first, second])

    accuracy = figures_of(comparison, "assessor_accuracy")
    success = figures_of(comparison, "attacker_success_rate")
    assert [present(figure.runs).mean for figure in accuracy] == [pytest.approx(2 / 3), 1.0]
    assert [present(figure.runs).mean for figure in success] == [pytest.approx(1 / 3), 0.0]
    mcnemar = present(comparison.sides[1].mcnemar)
    assert (mcnemar.only_first, mcnemar.only_second) == (0, 1)


def test_false_alarms_are_counted_where_the_note_has_no_error(tmp_path: Path) -> None:
    outcomes = some_games(tmp_path / "a", "first", [Verdict.HARMFUL])
    (members,) = outcomes.measures["false_alarm_rate"].members
    assert members.tolist() == [False]

    benign = [a_game(DataType.VANILLA_BENIGN, verdict=verdict) for verdict in (Verdict.HARMFUL, Verdict.SAFE, None)]
    write_games(tmp_path / "b", read_games(tmp_path / "a").settings, benign, {})

    alarms = read_outcomes(tmp_path / "b").measures["false_alarm_rate"]
    assert (alarms.outcomes.tolist(), alarms.members[0].tolist()) == ([True, False, False], [True, True, True])


def test_games_against_another_opponent_are_not_the_same(tmp_path: Path) -> None:
    first = some_games(tmp_path / "a", "first", [Verdict.HARMFUL])
    second = some_games(tmp_path / "b", "second", [Verdict.HARMFUL], opponent=ModelIdentity("somebody", None))

    with pytest.raises(UsageError, match="against somebody"):
        compare([first, second])


@pytest.mark.parametrize("change", [{"records_sha256": "1"}, {"judge": "model"}, {"seed": 2}])
def test_games_of_other_notes_or_under_another_judge_are_not_the_same(tmp_path: Path, change: dict[str, Any]) -> None:
    first = some_games(tmp_path / "a", "first", [Verdict.HARMFUL])
    second = some_games(tmp_path / "b", "second", [Verdict.HARMFUL], **change)

    with pytest.raises(UsageError, match="only the same can be compared"):
        compare([first, second])


def test_a_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no evaluation"):
        read_outcomes(tmp_path)
