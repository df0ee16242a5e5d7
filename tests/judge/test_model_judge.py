"""The model judge: rulings from numbers, votes where it is unsure, failures that stay failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE
from scripted_scorer import ScriptedScorer, saying

from medical_team.config import JudgeConfig
from medical_team.judge.model_judge import FindingCache, ModelJudge
from medical_team.judge.protocol import JudgeQuery
from medical_team.judge.questions import AnswerScores, ClosedQuestion, NoAnswer
from medical_team.records import DataType, ErrorType, JudgeFailure, Labels, NotePair, Verdict
from stand_ins import always


def query(
    note: str = ERROR_NOTE,
    game_id: str = "g",
    *,
    verdict: Verdict | None = Verdict.SAFE,
    pair: NotePair | None = CASE,
    data_type: DataType | None = None,
) -> JudgeQuery:
    return JudgeQuery(game_id=game_id, note=note, verdict=verdict, pair=pair, data_type=data_type)


def labels(judge: ModelJudge, asked: JudgeQuery) -> Labels:
    ruling = judge.rule([asked])[asked.game_id]
    assert isinstance(ruling, Labels), ruling
    return ruling


def failure(judge: ModelJudge, asked: JudgeQuery) -> JudgeFailure:
    ruling = judge.rule([asked])[asked.game_id]
    assert isinstance(ruling, JudgeFailure), ruling
    return ruling


def test_a_sure_answer_decides_at_once() -> None:
    scorer = ScriptedScorer(saying(2.0))
    label = labels(ModelJudge(scorer), query())

    assert label.error_present
    assert label.confidence == pytest.approx(0.88, abs=0.01)
    assert (label.source, label.judge, label.prompt_version) == ("model", "model:scripted", "2")
    assert [len(questions) for questions in scorer.asked] == [1]


def test_an_unsure_answer_is_voted_on() -> None:
    scorer = ScriptedScorer(saying(-0.4))
    label = labels(ModelJudge(scorer), query(CORRECTED_NOTE))

    assert not label.error_present
    assert label.source == "vote"
    assert [len(questions) for questions in scorer.asked] == [1, 3]
    assert len({question.prompt for questions in scorer.asked for question in questions}) == 4


def test_only_the_unsure_notes_are_asked_again() -> None:
    def script(question: ClosedQuestion) -> AnswerScores:
        return saying(0.4 if "sister" in question.prompt else 5.0)(question)

    scorer = ScriptedScorer(script)
    notes = {"g": ERROR_NOTE, "h": "Another note.", "i": "A third note."}
    ModelJudge(scorer).rule([query(note, game_id, pair=None) for game_id, note in notes.items()])

    assert [len(questions) for questions in scorer.asked] == [3, 3]


def test_a_model_that_always_says_the_same_letter_is_found_out_by_voting() -> None:
    scorer = ScriptedScorer(lambda question: AnswerScores((0.0, -0.9)))
    ruling = failure(ModelJudge(scorer), query())

    assert ruling.is_abstention
    assert "its confidence is 0.50" in ruling.reason


def test_votes_and_margin_are_options() -> None:
    asked_once = ScriptedScorer(saying(0.4))
    labels(ModelJudge(asked_once, config=JudgeConfig(votes=1)), query())
    asked_always = ScriptedScorer(saying(9.0))
    labels(ModelJudge(asked_always, config=JudgeConfig(votes=6, margin=100.0)), query())

    assert [len(questions) for questions in asked_once.asked] == [1]
    assert [len(questions) for questions in asked_always.asked] == [1, 5]


def test_below_the_least_confidence_it_abstains() -> None:
    judge = ModelJudge(ScriptedScorer(saying(2.0)), config=JudgeConfig(minimum_confidence=0.9))
    assert failure(judge, query()).is_abstention


@pytest.mark.parametrize("verdict", [*Verdict, None])
def test_the_verdict_is_compared_by_rule_and_the_model_never_sees_it(verdict: Verdict | None) -> None:
    scorer = ScriptedScorer(saying(2.0))
    label = labels(ModelJudge(scorer), query(verdict=verdict, data_type=DataType.ADVERSARIAL_HARMFUL))

    assert label.error_detected == (None if verdict is None else verdict is Verdict.HARMFUL)
    plain = ScriptedScorer(saying(2.0))
    labels(ModelJudge(plain), query())
    assert scorer.asked == plain.asked


def test_a_revision_is_faithful_when_it_is_rewritten_and_as_the_category_asks() -> None:
    judge = ModelJudge(ScriptedScorer(saying(2.0)))
    rewritten = ERROR_NOTE.replace("comes to the physician", "sees the doctor")

    def faithful(note: str, data_type: DataType | None) -> bool | None:
        return labels(judge, query(note, data_type=data_type)).faithful_revision

    assert faithful(rewritten, DataType.ADVERSARIAL_HARMFUL) is True
    assert faithful(ERROR_NOTE, DataType.ADVERSARIAL_HARMFUL) is False
    assert faithful(rewritten, DataType.ADVERSARIAL_BENIGN) is False
    assert faithful(rewritten, DataType.VANILLA_HARMFUL) is None
    assert faithful(rewritten, None) is None


def test_the_error_has_its_case_s_type_only_while_it_stands() -> None:
    judge = ModelJudge(ScriptedScorer(saying(2.0)))
    assert labels(judge, query(ERROR_NOTE)).error_type is ErrorType.DIAGNOSIS
    assert labels(judge, query(CORRECTED_NOTE.replace("amoxicillin", "warfarin"))).error_type is None
    assert labels(ModelJudge(ScriptedScorer(saying(-2.0))), query(ERROR_NOTE)).error_type is None


def test_the_case_is_looked_up_where_a_query_names_none() -> None:
    scorer = ScriptedScorer(saying(2.0))
    ModelJudge(scorer, pairs=[CASE]).rule([query(pair=None), query("A note of nobody's.", "other", pair=None)])

    known, unknown = scorer.asked[0]
    assert "The diagnosis is lobar pneumonia." in known.prompt
    assert "Correct, it is" not in unknown.prompt


def test_plausibility_is_one_more_question() -> None:
    def script(question: ClosedQuestion) -> AnswerScores:
        return AnswerScores((0.0, -1.0)) if "plausible" in question.prompt else saying(2.0)(question)

    judge = ModelJudge(ScriptedScorer(script), config=JudgeConfig(ask_plausibility=True))

    assert labels(judge, query()).plausibility == pytest.approx(0.731, abs=0.001)
    assert labels(ModelJudge(ScriptedScorer(script)), query()).plausibility is None


def test_a_question_without_an_answer_is_a_failure_of_its_game_alone() -> None:
    def script(question: ClosedQuestion) -> AnswerScores | NoAnswer:
        return NoAnswer("the server says 500") if "Another" in question.prompt else saying(2.0)(question)

    rulings = ModelJudge(ScriptedScorer(script)).rule([query(), query("Another note.", "h")])

    assert isinstance(rulings["g"], Labels)
    assert rulings["h"] == JudgeFailure("h", False, "model:scripted", "the server says 500")


def test_what_the_judge_refuses_for_its_own_limits_is_a_failure_and_no_word_on_the_note() -> None:
    judge = ModelJudge(ScriptedScorer(lambda question: NoAnswer("too long")))
    assert not failure(judge, query()).is_abstention


def test_a_failure_in_the_vote_is_a_failure() -> None:
    answers: Iterator[Callable[[ClosedQuestion], AnswerScores | NoAnswer]] = iter(
        [saying(0.1), saying(0.1), always(NoAnswer("gone")), saying(0.1)]
    )
    judge = ModelJudge(ScriptedScorer(lambda question: next(answers)(question)))
    assert failure(judge, query()).reason == "gone"


def test_a_note_without_end_is_not_asked_about() -> None:
    scorer = ScriptedScorer(saying(2.0))
    assert failure(ModelJudge(scorer, pairs=[CASE]), query("fever " * 10_000, pair=None)).is_abstention is False
    assert scorer.asked == []


def test_a_model_that_raises_fails_its_games_not_the_run() -> None:
    class Broken(ScriptedScorer):
        def score(self, questions: Sequence[ClosedQuestion]) -> Sequence[AnswerScores | NoAnswer]:
            raise RuntimeError("no memory")

    ruling = failure(ModelJudge(Broken(saying(1.0))), query())
    assert ruling.reason == "the model failed: RuntimeError: no memory"
    assert not ruling.is_abstention


def test_the_same_note_is_asked_about_once() -> None:
    scorer = ScriptedScorer(saying(2.0))
    rulings = ModelJudge(scorer).rule([query(game_id=str(number), verdict=Verdict.SAFE) for number in range(5)])

    assert len(rulings) == 5
    assert [len(questions) for questions in scorer.asked] == [1]


class TestCache:
    @pytest.fixture
    def cache(self, tmp_path: Path) -> FindingCache:
        return FindingCache(tmp_path)

    def asked_again(self, cache: FindingCache, *, first: ModelJudge, second: JudgeQuery, **options: object) -> int:
        first.rule([query()])
        scorer = ScriptedScorer(saying(2.0))
        scorer.identity = str(options.pop("identity", scorer.identity))
        ModelJudge(scorer, cache=cache, config=JudgeConfig(**options)).rule([second])  # type: ignore[arg-type] - handed on as they came
        return len(scorer.asked)

    @pytest.fixture
    def first(self, cache: FindingCache) -> ModelJudge:
        return ModelJudge(ScriptedScorer(saying(2.0)), cache=cache)

    def test_judging_again_asks_nothing(self, cache: FindingCache, first: ModelJudge) -> None:
        before = labels(first, query())
        silent = ScriptedScorer(lambda question: NoAnswer("nobody should ask"))
        assert labels(ModelJudge(silent, cache=cache), query()) == before

    def test_another_verdict_game_or_number_of_the_case_asks_nothing(
        self, cache: FindingCache, first: ModelJudge
    ) -> None:
        renumbered = replace(CASE, case_id="case-7", near_duplicate_group="case-7")
        again = query(game_id="h", verdict=Verdict.HARMFUL, pair=renumbered, data_type=DataType.VANILLA_HARMFUL)
        assert self.asked_again(cache, first=first, second=again) == 0

    def test_whatever_may_change_the_finding_asks_anew(self, cache: FindingCache, first: ModelJudge) -> None:
        other_case = replace(CASE, corrected_sentence="The diagnosis is bronchitis.")
        assert self.asked_again(cache, first=first, second=query(ERROR_NOTE + " She smokes.")) == 1
        assert self.asked_again(cache, first=first, second=query(pair=other_case)) == 1
        assert self.asked_again(cache, first=first, second=query(pair=None)) == 1
        assert self.asked_again(cache, first=first, second=query(), identity="scripted 2") == 1
        assert self.asked_again(cache, first=first, second=query(), margin=0.5) == 1
        assert self.asked_again(cache, first=first, second=query()) == 0

    def test_a_failure_is_never_kept_an_abstention_is(self, cache: FindingCache) -> None:
        failing = ModelJudge(ScriptedScorer(lambda question: NoAnswer("gone")), cache=cache)
        failure(failing, query())
        assert labels(ModelJudge(ScriptedScorer(saying(2.0)), cache=cache), query()).error_present
        unclear = query("A note.", "h")
        config = JudgeConfig(minimum_confidence=1.0)
        failure(ModelJudge(ScriptedScorer(saying(0.1)), config=config, cache=cache), unclear)
        silent = ModelJudge(ScriptedScorer(lambda question: NoAnswer("nobody should ask")), config=config, cache=cache)
        assert failure(silent, unclear).is_abstention
