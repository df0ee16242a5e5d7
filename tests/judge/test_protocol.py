from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_cases import CASE, ERROR_NOTE

from builders import (
    CORRECTED_SENTENCE,
    ERROR_SENTENCE,
    a_game,
    a_pair,
    a_spec,
    data_types,
    games,
    labels_for,
    verdicts,
)
from medical_team.data.synthetic import synthetic_cases
from medical_team.game_config import Undecidable
from medical_team.judge.protocol import Finding, JudgeQuery, rule_by_findings, rule_games
from medical_team.judging import reference_judge
from medical_team.records import DataType, ErrorType, Game, GameState, JudgeFailure, Labels, Ruling, Verdict


def test_a_label_says_all_that_was_found() -> None:
    finding = Finding(True, "so it is", "vote", confidence=0.7, plausibility=0.9, error_type=ErrorType.TREATMENT)
    query = JudgeQuery("g", ERROR_NOTE, Verdict.SAFE, CASE, DataType.ADVERSARIAL_BENIGN)

    rulings = rule_by_findings([query], [finding], judge="j", prompt_version="3")

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
    ruling = rule_by_findings([JudgeQuery("g", "A note.", None)], [finding], judge="j")["g"]
    assert isinstance(ruling, Labels)
    assert (ruling.error_type, ruling.error_detected, ruling.faithful_revision) == (None, None, None)


def test_a_failure_is_no_abstention() -> None:
    findings = {"a": Finding(None, "can't tell"), "b": Finding(None, "broke", is_failure=True)}
    queries = [JudgeQuery(game_id, "A note.", None) for game_id in findings]
    rulings = rule_by_findings(queries, list(findings.values()), judge="j")
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


class ScriptedJudge:
    """Answers as its script says, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, script: Callable[[Sequence[JudgeQuery]], object]) -> None:
        self._script = script
        self.asked: list[Sequence[JudgeQuery]] = []

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        self.asked.append(queries)
        return self._script(queries)  # type: ignore[return-value]  # a judge may break its promise


def honest(query: JudgeQuery) -> Labels:
    return labels_for(query.game_id, error_present="mg" in query.note, verdict=query.verdict)


def waiting(game_id: str, data_type: DataType = DataType.VANILLA_HARMFUL, verdict: Verdict = Verdict.SAFE) -> Game:
    spec = a_spec(data_type, id=game_id)
    return a_game(data_type, spec=spec, verdict=verdict, state=GameState.AWAITING_RULING)


def ruled(
    *games: Game,
    script: Callable[[Sequence[JudgeQuery]], object],
    undecidable: Undecidable = "attacker_loses",
) -> list[Game]:
    return rule_games(games, ScriptedJudge(script), undecidable)


def test_the_judge_is_asked_once_for_all_games_that_wait() -> None:
    judge = ScriptedJudge(lambda queries: {query.game_id: honest(query) for query in reversed(queries)})
    played = [waiting("a"), a_game(DataType.VANILLA_BENIGN, verdict=None), waiting("b", verdict=Verdict.HARMFUL)]
    first, second, third = rule_games(played, judge, "attacker_loses")
    assert [[query.game_id for query in queries] for queries in judge.asked] == [["a", "b"]]
    assert judge.asked[0][0].pair == played[0].spec.pair
    assert judge.asked[0][0].note == played[0].note
    assert second == played[1]
    assert (first.state, third.state) == (GameState.DECIDED, GameState.DECIDED)
    assert first.ruling == labels_for("a", error_present=True, verdict=Verdict.SAFE)
    assert third.ruling == labels_for("b", error_present=True, verdict=Verdict.HARMFUL)
    assert first.reason == "the test says so"


def test_nobody_is_asked_when_nothing_waits() -> None:
    judge = ScriptedJudge(lambda queries: {})
    assert rule_games([a_game()], judge, "attacker_loses") == [a_game()]
    assert judge.asked == []


REVISED, PLAIN = DataType.ADVERSARIAL_BENIGN, DataType.VANILLA_BENIGN


@pytest.mark.parametrize(
    ("data_type", "is_abstention", "undecidable", "state"),
    [
        (REVISED, True, "attacker_loses", GameState.UNDECIDABLE),
        (REVISED, True, "void", GameState.VOID),
        (REVISED, False, "attacker_loses", GameState.VOID),
        (PLAIN, True, "attacker_loses", GameState.VOID),
        (PLAIN, False, "attacker_loses", GameState.VOID),
    ],
)
def test_who_writes_what_a_working_judge_cannot_decide_has_failed(
    data_type: DataType, is_abstention: bool, undecidable: Undecidable, state: GameState
) -> None:
    failure = JudgeFailure("a", is_abstention=is_abstention, source="scripted", reason="can't tell")
    (game,) = ruled(waiting("a", data_type), script=lambda queries: {"a": failure}, undecidable=undecidable)
    assert (game.state, game.ruling) == (state, failure)
    blame = "nobody can tell what the attacker wrote: " if state is GameState.UNDECIDABLE else ""
    assert game.reason == f"{blame}can't tell"


def test_a_judge_that_raises_voids_all_that_it_was_asked() -> None:
    def fail(queries: Sequence[JudgeQuery]) -> object:
        raise TimeoutError("no answer")

    first, second = ruled(waiting("a"), waiting("b"), script=fail)
    assert (first.state, second.state) == (GameState.VOID, GameState.VOID)
    assert first.reason == "the judge failed: TimeoutError: no answer"
    assert isinstance(first.ruling, JudgeFailure)
    assert not first.ruling.is_abstention


def reason_for(answer: Callable[[JudgeQuery], object]) -> str:
    (game,) = ruled(waiting("a"), script=lambda queries: {"a": answer(queries[0])})
    assert game.state is GameState.VOID
    return game.reason


def test_what_a_judge_breaks_is_named() -> None:
    assert reason_for(lambda query: None) == "the judge left the game out"
    assert reason_for(lambda query: "Safe") == "the judge gave a str"
    assert reason_for(lambda query: replace(honest(query), game_id="b")) == "the judge gave it the ruling of game 'b'"
    contradiction = reason_for(lambda query: replace(honest(query), error_detected=True))
    assert contradiction == "the judge says error_detected = True, the verdict was Safe"
    (game,) = ruled(waiting("a"), script=lambda queries: [honest(query) for query in queries])
    assert game.reason == "the judge answered with a list, not with rulings by game id"


def test_games_that_share_an_id_are_void_since_no_label_can_belong_to_them() -> None:
    judge = ScriptedJudge(lambda queries: {query.game_id: honest(query) for query in queries})
    states = [game.state for game in rule_games([waiting("a"), waiting("b"), waiting("a")], judge, "attacker_loses")]
    assert states == [GameState.VOID, GameState.DECIDED, GameState.VOID]


def test_a_game_without_a_note_is_void_and_not_asked_about() -> None:
    judge = ScriptedJudge(lambda queries: {})
    (game,) = rule_games([replace(waiting("a"), note=None)], judge, "attacker_loses")
    assert game.state is GameState.VOID
    assert judge.asked == []


MISDEEDS = ("honest", "missing", "none", "other id", "swapped", "abstains", "text", "contradicts")


def misbehave(query: JudgeQuery, misdeed: str, queries: Sequence[JudgeQuery]) -> dict[str, object]:
    labels = honest(query)
    answers: dict[str, dict[str, object]] = {
        "honest": {query.game_id: labels},
        "missing": {},
        "none": {query.game_id: None},
        "other id": {f"{query.game_id}?": labels},
        "swapped": {query.game_id: honest(queries[0])},
        "abstains": {query.game_id: JudgeFailure(query.game_id, True, "scripted", "can't tell")},
        "text": {query.game_id: "DECIDED"},
        "contradicts": {query.game_id: replace(labels, error_detected=not labels.error_detected)},
    }
    return answers[misdeed]


@given(
    st.lists(st.tuples(data_types, verdicts, st.sampled_from(MISDEEDS), st.booleans()), max_size=12),
    st.lists(games(), max_size=3),
)
def test_whatever_a_judge_does_no_game_is_lost_and_each_ends_in_one_state(
    script: list[tuple[DataType, Verdict, str, bool]], others: list[Game]
) -> None:
    ended = [game for game in others if game.state is not GameState.AWAITING_RULING]
    played = [waiting(str(number), kind, verdict) for number, (kind, verdict, _, _) in enumerate(script)] + ended

    def answer(queries: Sequence[JudgeQuery]) -> dict[str, object]:
        answers: dict[str, object] = {"a game of nobody's": None}
        for query, (_, _, misdeed, _) in zip(queries, script, strict=True):
            answers.update(misbehave(query, misdeed, queries))
        return answers

    results = rule_games(played, ScriptedJudge(answer), "attacker_loses")
    assert [game.spec for game in results] == [game.spec for game in played]
    assert results[len(script) :] == ended
    for number, (result, (_, _, misdeed, _)) in enumerate(zip(results, script, strict=False)):
        is_decided = misdeed == "honest" or (misdeed == "swapped" and number == 0)
        is_attackers = misdeed == "abstains" and result.spec.data_type.is_adversarial
        undecided = GameState.UNDECIDABLE if is_attackers else GameState.VOID
        assert result.state is (GameState.DECIDED if is_decided else undecided)
        assert isinstance(result.ruling, Labels if is_decided else JudgeFailure)
        assert result.ruling is not None
        assert result.ruling.game_id == result.spec.id
        assert result.reason


def test_the_reference_judge_rules_on_the_games_of_a_step() -> None:
    played = [waiting(kind.value, kind) for kind in DataType if not kind.is_adversarial]
    results = rule_games(played, reference_judge(), "attacker_loses")
    assert [game.ruling.error_present for game in results if isinstance(game.ruling, Labels)] == [True, False]


# Corrections: the judge is asked about the note as the assessor would have it.


def correcting(game_id: str, correction: str = CORRECTED_SENTENCE, location: int = 1) -> Game:
    game = waiting(game_id, verdict=Verdict.HARMFUL)
    return replace(game, location=location, correction=correction)


def has_tenfold_dose(query: JudgeQuery) -> Labels:
    return labels_for(query.game_id, error_present="5000" in query.note, verdict=query.verdict)


def test_a_correction_counts_where_the_judge_finds_no_error_left() -> None:
    judge = ScriptedJudge(lambda queries: {query.game_id: has_tenfold_dose(query) for query in queries})
    games = [correcting("a"), correcting("b", "He is given 5000 mg."), waiting("c", verdict=Verdict.HARMFUL)]
    first, second, third = rule_games(games, judge, "attacker_loses")

    assert (first.is_corrected, second.is_corrected, third.is_corrected) == (True, False, None)
    assert [[query.game_id for query in queries] for queries in judge.asked] == [
        ["a", "b", "c"],
        ["a-corrected", "b-corrected"],
    ]
    assert judge.asked[1][0].note == games[0].spec.pair.corrected_note
    assert (judge.asked[1][0].verdict, judge.asked[1][0].pair) == (None, games[0].spec.pair)


def test_the_wrong_sentence_corrected_is_no_correction_and_no_question() -> None:
    judge = ScriptedJudge(lambda queries: {query.game_id: has_tenfold_dose(query) for query in queries})
    (game,) = rule_games([correcting("a", location=0)], judge, "attacker_loses")

    assert game.is_corrected is False
    assert len(judge.asked) == 1


def test_nobody_is_asked_about_the_correction_of_what_is_no_error() -> None:
    judge = ScriptedJudge(lambda queries: {query.game_id: has_tenfold_dose(query) for query in queries})
    false_alarm = replace(
        waiting("a", DataType.VANILLA_BENIGN, Verdict.HARMFUL), location=1, correction=CORRECTED_SENTENCE
    )
    decided = replace(rule_games([correcting("b")], judge, "attacker_loses")[0], is_corrected=None)
    asked = len(judge.asked)
    first, second = rule_games([false_alarm, decided], judge, "attacker_loses")

    assert (first.is_corrected, second) == (None, decided)
    assert len(judge.asked) == asked + 1


def second_round(answer: Callable[[Sequence[JudgeQuery]], object]) -> Game:
    def script(queries: Sequence[JudgeQuery]) -> object:
        if queries[0].game_id == "a":
            return {"a": has_tenfold_dose(queries[0])}
        return answer(queries)

    (game,) = ruled(correcting("a"), script=script)
    return game


def test_what_a_judge_cannot_tell_of_a_correction_leaves_it_open_and_the_game_decided() -> None:
    def fail(queries: Sequence[JudgeQuery]) -> object:
        raise TimeoutError("no answer")

    abstains = JudgeFailure("a-corrected", is_abstention=True, source="scripted", reason="can't tell")
    of_another = labels_for("b", error_present=False, verdict=Verdict.HARMFUL)
    answers: list[Callable[[Sequence[JudgeQuery]], object]] = [
        fail,
        lambda queries: {},
        lambda queries: {"a-corrected": abstains},
        lambda queries: {"a-corrected": of_another},
        lambda queries: "yes",
    ]
    for answer in answers:
        game = second_round(answer)
        assert (game.state, game.is_corrected) == (GameState.DECIDED, None)


def test_the_reference_judge_accepts_the_case_s_own_correction() -> None:
    (right,) = rule_games([correcting("a")], reference_judge(), "attacker_loses")
    (unknown,) = rule_games([correcting("a", "He is given doxycycline.")], reference_judge(), "attacker_loses")
    (unchanged,) = rule_games([correcting("a", ERROR_SENTENCE)], reference_judge(), "attacker_loses")

    assert (right.is_corrected, unknown.is_corrected, unchanged.is_corrected) == (True, None, False)
