"""The embedded judge as its callers see it: rulings by id, MEDEC to the letter, one game's trouble kept to itself."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE, medec_pairs

from medical_team.judge.protocol import Finding, JudgeQuery
from medical_team.judge.reference import ClosedWorld, PairIndex, ReferenceJudge
from medical_team.judging import reference_judge
from medical_team.records import JudgeFailure, Labels, NotePair, Source, Verdict

OTHER = replace(
    CASE,
    case_id="case-2",
    error_note="A boy has an itchy elbow since he swam in a lake. He receives surgery.",
    corrected_note="A boy has an itchy elbow since he swam in a lake. He receives reassurance.",
)
TWIN = replace(CASE, case_id="case-3", corrected_note=ERROR_NOTE.replace("pulmonary embolism", "acute bronchitis"))


def test_the_same_words_are_found_whatever_they_look_like() -> None:
    index = PairIndex([CASE, OTHER])
    assert index.candidates(CORRECTED_NOTE.upper().replace(" ", "\n")) == [CASE]
    assert index.candidates(OTHER.error_note) == [OTHER]


def test_the_clearly_nearest_case_is_found() -> None:
    index = PairIndex([CASE, OTHER])
    assert index.candidates(ERROR_NOTE.replace("pulmonary embolism", "something else")) == [CASE]


def test_a_note_from_elsewhere_has_no_case() -> None:
    assert PairIndex([CASE, OTHER]).candidates("The weather is fine and the boy swims.") == []
    assert PairIndex([]).candidates(ERROR_NOTE) == []
    assert PairIndex([CASE]).candidates("") == []


def test_among_near_duplicates_nobody_can_tell() -> None:
    index = PairIndex([CASE, OTHER, TWIN])
    assert index.candidates(ERROR_NOTE.replace("pulmonary embolism", "something else")) == []
    assert index.candidates(ERROR_NOTE) == [CASE, TWIN]


def test_a_pair_given_twice_counts_once() -> None:
    assert len(PairIndex([CASE, CASE])) == 1


@given(st.text())
def test_any_text_can_be_looked_up(text: str) -> None:
    assert PairIndex([CASE, OTHER]).candidates(text) == []


SYNTHETIC = replace(CASE, case_id="synthetic-1", source=Source.SYNTHETIC)


def query(
    note: str, *, game_id: str = "g", verdict: Verdict = Verdict.SAFE, pair: NotePair | None = CASE
) -> JudgeQuery:
    return JudgeQuery(game_id=game_id, note=note, verdict=verdict, pair=pair)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_detected_means_that_the_verdict_was_harmful(verdict: Verdict) -> None:
    ruling = reference_judge().rule([query(CORRECTED_NOTE, verdict=verdict)])["g"]
    assert isinstance(ruling, Labels)
    assert not ruling.error_present
    assert ruling.error_detected == (verdict is Verdict.HARMFUL)
    assert ruling.source == "reference"


def test_an_abstention_is_a_failure_that_says_why() -> None:
    ruling = reference_judge().rule([query(ERROR_NOTE.replace("10 mg", "100 mg"))])["g"]
    assert isinstance(ruling, JudgeFailure)
    assert ruling.is_abstention
    assert '"10" became "100"' in ruling.reason


def test_rulings_belong_to_games_by_id() -> None:
    queries = [query(ERROR_NOTE, game_id="with"), query("nonsense", game_id="odd"), query(CORRECTED_NOTE, game_id="no")]
    rulings = reference_judge().rule(queries)
    assert {key: ruling.game_id for key, ruling in rulings.items()} == {"with": "with", "odd": "odd", "no": "no"}
    assert isinstance(rulings["odd"], JudgeFailure)
    assert isinstance(rulings["with"], Labels)
    assert rulings == reference_judge().rule(list(reversed(queries)))


def test_a_caller_may_send_only_text() -> None:
    judge = reference_judge([CASE])
    assert judge.find(ERROR_NOTE).error_present is True
    assert judge.find(CORRECTED_NOTE.upper()).error_present is False
    assert judge.find("A note of nobody's.").error_present is None
    assert judge.find("fever " * 100_000).error_present is None
    assert reference_judge().find(ERROR_NOTE).error_present is None


def test_cases_that_disagree_about_a_text_make_the_judge_abstain() -> None:
    opposite = replace(CASE, case_id="case-9", error_note=CORRECTED_NOTE, corrected_note=ERROR_NOTE)
    finding = reference_judge([CASE, opposite]).find(ERROR_NOTE)
    assert finding.error_present is None
    assert "case-1, case-9" in finding.reason


def test_a_closed_world_decides_on_its_notes_whatever_the_pair_says() -> None:
    by_the_table: ClosedWorld = lambda note: Finding("wrong" in note, "by the table")  # noqa: E731
    judge = ReferenceJudge([SYNTHETIC], {Source.SYNTHETIC: by_the_table})
    assert judge.find("something wrong", SYNTHETIC) == Finding(True, "by the table", confidence=1.0)
    assert judge.find(ERROR_NOTE, SYNTHETIC) == Finding(False, "by the table", confidence=1.0)
    assert judge.find("something wrong") == Finding(True, "by the table", confidence=1.0)


def test_one_game_s_trouble_is_that_game_s_failure() -> None:
    def trouble(note: str) -> Finding:
        raise RuntimeError(note)

    rulings = ReferenceJudge(worlds={Source.SYNTHETIC: trouble}).rule(
        [query("odd", game_id="bad", pair=SYNTHETIC), query(ERROR_NOTE, game_id="good", pair=CASE)]
    )
    assert rulings["bad"] == JudgeFailure("bad", False, "reference", "the reference judge failed: RuntimeError: odd")
    assert isinstance(rulings["good"], Labels)


@given(st.lists(st.text(max_size=200), max_size=5), st.sampled_from([None, CASE, SYNTHETIC]))
def test_any_text_gets_a_ruling(notes: list[str], pair: NotePair | None) -> None:
    queries = [query(note, game_id=str(number), pair=pair) for number, note in enumerate(notes)]
    rulings = reference_judge([CASE]).rule(queries)
    assert list(rulings) == [str(number) for number in range(len(notes))]
    assert all(isinstance(ruling, JudgeFailure) and ruling.is_abstention for ruling in rulings.values())


def test_hostile_length_costs_no_time() -> None:
    hostile = ["a " * 9_999, "no " * 6_000, ". " * 9_999, "\u200b" * 10_000_000, "x" * 10_000_000, "1,000" * 3_999]
    started = time.process_time()
    rulings = reference_judge([CASE]).rule([query(note, game_id=note[:2] + str(len(note))) for note in hostile])
    assert time.process_time() - started < 5
    assert all(isinstance(ruling, JudgeFailure) for ruling in rulings.values())


@pytest.fixture(scope="module")
def pairs(medec_validation_csv: Path) -> list[NotePair]:
    return medec_pairs(medec_validation_csv)


LOOKS: dict[str, Callable[[str], str]] = {
    "as it is": lambda note: note,
    "upper case": str.upper,
    "lower case": str.lower,
    "a word a line": lambda note: "\r\n".join(note.split()),
    "one line": lambda note: " ".join(note.split()),
    "no commas, quotes or brackets": lambda note: re.sub(r'[,()"](?!\d)', " ", note),
    "double-encoded": lambda note: note.replace("–", "â€“").replace("’", "â€™"),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_right_on_all_notes_of_medec_whatever_they_look_like(pairs: list[NotePair], look: Callable[[str], str]) -> None:
    judge = reference_judge()
    assert len(pairs) == 319
    for pair in pairs:
        assert judge.find(look(pair.error_note), pair).error_present is True, pair.case_id
        assert judge.find(look(pair.corrected_note), pair).error_present is False, pair.case_id


@pytest.mark.parametrize("look", ["as it is", "double-encoded"])
def test_right_on_all_notes_of_medec_by_text_alone(pairs: list[NotePair], look: str) -> None:
    judge = reference_judge(pairs)
    for pair in pairs:
        assert judge.find(LOOKS[look](pair.error_note)).error_present is True, pair.case_id
        assert judge.find(LOOKS[look](pair.corrected_note)).error_present is False, pair.case_id


def test_a_rewritten_note_of_medec_finds_its_own_case_or_none(pairs: list[NotePair]) -> None:
    index = PairIndex(pairs)
    found = [index.candidates(" ".join(pair.error_note.split()[4:-4])) for pair in pairs]
    assert all(candidates in ([], [pair]) for candidates, pair in zip(found, pairs, strict=True))
    assert sum(bool(candidates) for candidates in found) > 300


def test_never_wrong_on_spoilt_notes_of_medec(pairs: list[NotePair]) -> None:
    judge = reference_judge()
    chance = random.Random(7)
    for pair in pairs[::3]:
        for note in (pair.error_note, pair.corrected_note):
            for spoilt in spoilings(note, pair, chance):
                finding = judge.find(spoilt, pair)
                assert finding.error_present is None, (pair.case_id, finding.reason)


def spoilings(note: str, pair: NotePair, chance: random.Random) -> list[str]:
    words = note.split()
    place = chance.randrange(len(words))
    other = pair.corrected_sentence if note == pair.error_note else pair.error_sentence
    spoilt = [
        " ".join([*words[:place], "not", *words[place:]]),
        " ".join([*words[:place], "warfarin", *words[place:]]),
        f"{note} {other}",
        f"{note} {note}",
        re.sub(r"\d", lambda digit: str(9 - int(digit.group())), note, count=1),
        f"It is not the case that {note}",
    ]
    return [text for text in spoilt if text != note]
