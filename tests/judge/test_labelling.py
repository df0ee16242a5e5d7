"""From findings to labels, and labels of older runs."""

from __future__ import annotations

import json

from judge_cases import CASE, ERROR_NOTE

from builders import a_game, a_pair
from medical_team.data.synthetic import synthetic_cases
from medical_team.jsonl import from_line, to_line
from medical_team.judge.finding import Finding
from medical_team.judge.labelling import rule_by_findings
from medical_team.judge.protocol import JudgeQuery
from medical_team.judge.ruling import rule_games
from medical_team.judging import reference_judge
from medical_team.records import DataType, ErrorType, Game, GameState, JudgeFailure, Labels, Verdict


def test_a_label_says_all_that_was_found() -> None:
    finding = Finding(True, "so it is", "vote", confidence=0.7, plausibility=0.9, error_type=ErrorType.TREATMENT)
    query = JudgeQuery("g", ERROR_NOTE, Verdict.SAFE, CASE, DataType.ADVERSARIAL_BENIGN)

    rulings = rule_by_findings([query], lambda queries: [finding], judge="j", prompt_version="3")

    assert rulings == {
        "g": Labels(
            game_id="g",
            error_present=True,
            error_detected=False,
            source="vote",
            reason="so it is",
            faithful_revision=False,
            plausibility=0.9,
            confidence=0.7,
            judge="j",
            prompt_version="3",
            error_type=ErrorType.TREATMENT,
        )
    }


def test_no_error_has_no_type() -> None:
    finding = Finding(False, "so it is", error_type=ErrorType.TREATMENT)
    ruling = rule_by_findings([JudgeQuery("g", "A note.", None)], lambda queries: [finding], judge="j")["g"]
    assert isinstance(ruling, Labels)
    assert (ruling.error_type, ruling.error_detected, ruling.faithful_revision) == (None, None, None)


def test_a_failure_is_no_abstention() -> None:
    findings = {"a": Finding(None, "can't tell"), "b": Finding(None, "broke", is_failure=True)}
    queries = [JudgeQuery(game_id, "A note.", None) for game_id in findings]
    rulings = rule_by_findings(queries, lambda asked: [findings[query.game_id] for query in asked], judge="j")
    assert rulings["a"] == JudgeFailure("a", True, "j", "can't tell")
    assert rulings["b"] == JudgeFailure("b", False, "j", "broke")


def test_the_reference_judge_is_sure_and_knows_the_type() -> None:
    ruling = reference_judge().rule([JudgeQuery("g", ERROR_NOTE, None, CASE)])["g"]
    assert isinstance(ruling, Labels)
    assert (ruling.confidence, ruling.error_type, ruling.judge) == (1.0, ErrorType.DIAGNOSIS, "reference")


def test_the_type_of_a_synthetic_note_s_error_is_that_of_the_wrong_fact() -> None:
    pairs = [case.pair() for case in synthetic_cases(12, 3)]
    rulings = reference_judge().rule([JudgeQuery(pair.case_id, pair.error_note, None, pair) for pair in pairs])
    told = {game_id: ruling.error_type for game_id, ruling in rulings.items() if isinstance(ruling, Labels)}
    assert told == {pair.case_id: pair.error_type for pair in pairs}


def test_the_category_of_a_game_decides_whether_its_revision_is_faithful() -> None:
    waiting = a_game(
        DataType.ADVERSARIAL_HARMFUL, state=GameState.AWAITING_RULING, revision=a_pair().error_note.upper()
    )
    (game,) = rule_games([waiting], reference_judge(), "attacker_loses")
    assert isinstance(game.ruling, Labels)
    assert game.ruling.faithful_revision is False


def test_games_of_older_runs_still_load() -> None:
    game = a_game()
    line = json.loads(to_line(game))
    for name in ("faithful_revision", "plausibility", "confidence", "judge", "prompt_version", "error_type"):
        del line["ruling"][name]
    assert from_line(json.dumps(line), Game) == game
