"""Two judges in a row: the second is asked only what the first can't tell."""

from __future__ import annotations

from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE
from scripted_scorer import ScriptedScorer, saying

from medical_team.judge.model_judge import ModelJudge
from medical_team.judge.protocol import JudgeQuery
from medical_team.judge.questions import NoAnswer
from medical_team.judge.reference import HybridJudge
from medical_team.judging import reference_judge
from medical_team.records import JudgeFailure, Labels, Verdict

REWORDED = CORRECTED_NOTE.replace("lobar pneumonia", "an infection of a lobe")


def query(note: str, game_id: str) -> JudgeQuery:
    return JudgeQuery(game_id, note, Verdict.SAFE, CASE)


def hybrid(scorer: ScriptedScorer) -> HybridJudge:
    return HybridJudge(reference_judge(), ModelJudge(scorer))


def test_the_model_is_asked_only_what_the_reference_judge_cannot_tell() -> None:
    scorer = ScriptedScorer(saying(-3.0))
    rulings = hybrid(scorer).rule([query(ERROR_NOTE, "a"), query(REWORDED, "b"), query(CORRECTED_NOTE, "c")])

    assert all(isinstance(ruling, Labels) for ruling in rulings.values())
    told = {
        game_id: (ruling.source, ruling.error_present)
        for game_id, ruling in rulings.items()
        if isinstance(ruling, Labels)
    }
    assert told == {"a": ("reference", True), "b": ("model", False), "c": ("reference", False)}
    assert [len(questions) for questions in scorer.asked] == [1]


def test_the_model_is_asked_about_the_rewritten_sentence() -> None:
    scorer = ScriptedScorer(saying(3.0))
    ruling = hybrid(scorer).rule([query(CORRECTED_NOTE.replace("a fever", "a rash"), "a")])["a"]

    assert isinstance(ruling, Labels)
    assert (ruling.error_present, ruling.source) == (True, "model")
    ((asked,),) = scorer.asked
    before = "A 34-year-old woman comes to the physician because of a cough and a fever for 3 days."
    assert f"<note>\n{before}\n</note>" in asked.prompt
    assert f"<note>\n{before.replace('fever', 'rash')}\n</note>" in asked.prompt
    assert "the note held the correct sentence and was medically correct" in asked.prompt


def test_nobody_is_asked_when_the_first_knows_all() -> None:
    scorer = ScriptedScorer(saying(3.0))
    hybrid(scorer).rule([query(ERROR_NOTE, "a")])
    assert scorer.asked == []


def test_the_failure_of_the_second_is_the_game_s() -> None:
    ruling = hybrid(ScriptedScorer(lambda question: NoAnswer("gone"))).rule([query(REWORDED, "a")])["a"]
    assert ruling == JudgeFailure("a", False, "model:scripted", "gone")


def test_its_name_names_both() -> None:
    assert hybrid(ScriptedScorer(saying(0.0))).name == "hybrid:reference+model:scripted"
