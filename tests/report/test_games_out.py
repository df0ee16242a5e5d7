import csv
import io
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builders import a_game, a_pair, a_spec, games
from medical_team.config import RunConfig
from medical_team.game.play import score
from medical_team.metrics.run_reader import Outcome, outcome_of
from medical_team.records import DataType, ErrorType, Game, GameState, Verdict
from medical_team.report.game_export import COLUMNS, GameFilter, csv_parts, game_row, json_parts
from medical_team.sentences import error_location


def test_each_game_has_one_outcome() -> None:
    def outcome(present: bool, verdict: Verdict):
        return outcome_of(a_game(error_present=present, verdict=verdict))

    assert outcome(True, Verdict.HARMFUL) is Outcome.ERROR_FOUND
    assert outcome(True, Verdict.SAFE) is Outcome.ERROR_MISSED
    assert outcome(False, Verdict.HARMFUL) is Outcome.FALSE_ALARM
    assert outcome(False, Verdict.SAFE) is Outcome.RIGHTLY_SAFE
    assert outcome_of(a_game(state=GameState.VOID)) is Outcome.UNDECIDED


def test_a_filter_wants_any_of_its_values_and_all_of_its_kinds() -> None:
    game = a_game(DataType.VANILLA_HARMFUL)
    either = (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)

    assert GameFilter().matches(game)
    assert GameFilter(categories=either, error_types=(ErrorType.PHARMACOTHERAPY,)).matches(game)
    assert not GameFilter(categories=either, error_types=(ErrorType.DIAGNOSIS,)).matches(game)
    assert GameFilter(judges=("a test",), outcomes=(Outcome.ERROR_FOUND,)).matches(game)
    assert not GameFilter(states=(GameState.VOID,)).matches(game)
    assert not GameFilter(ids=("another",)).matches(game)


def test_a_filter_by_steps_holds_both_ends() -> None:
    game = a_game(spec=replace(a_spec(), step=5))

    assert GameFilter(first_step=5, last_step=5).matches(game)
    assert not GameFilter(first_step=6).matches(game)
    assert not GameFilter(last_step=4).matches(game)


def test_the_search_finds_whatever_was_said_in_any_case() -> None:
    game = a_game(thinking="Something Hidden")

    for text in ("something hidden", "AMOXICILLIN", "gentleman", "the test says so", game.spec.id, "case-0"):
        assert GameFilter(search=text).matches(game), text
    assert not GameFilter(search="nowhere").matches(game)


def test_a_row_is_flat_and_has_a_place_for_everything() -> None:
    [game] = score([a_game(verdict=Verdict.SAFE, thinking="hm")], RunConfig().game)

    row = game_row(game, is_heldout=False)

    assert (row["outcome"], row["is_verdict_right"], row["error_present"]) == ("error_missed", False, True)
    assert (row["attacker_total"], row["assessor_total"]) == (2.5, 0.0)
    assert row["assessor_thinking"] == "hm"
    assert (row["location"], row["is_located"], row["assessor_location"]) == (None, None, None)


def test_a_row_holds_the_sentence_that_was_named() -> None:
    found = a_game(DataType.VANILLA_HARMFUL, verdict=Verdict.HARMFUL)
    [game] = score(
        [replace(found, location=error_location(found), correction="He rests.", is_corrected=True)], RunConfig().game
    )

    row = game_row(game, is_heldout=False)

    assert (row["location"], row["is_located"], row["assessor_location"]) == (1, True, 0.5)
    assert (row["correction"], row["is_corrected"], row["assessor_correction"]) == ("He rests.", True, 0.5)


@given(st.lists(games(), max_size=3))
def test_json_reads_back(played: list[Game]) -> None:
    rows = [game_row(game, is_heldout=True) for game in played]

    read = json.loads("".join(json_parts(rows)))

    assert [list(row.values()) for row in read] == [[row[name] for name in COLUMNS] for row in rows]


def test_csv_reads_back_with_any_text_in_it() -> None:
    note = 'a "quoted" note,\nwith a comma; and a line'
    bare_return = "typed on\ran old machine"
    game = a_game(DataType.VANILLA_HARMFUL, spec=a_spec(DataType.VANILLA_HARMFUL, seed_note=note), reason=bare_return)

    [row] = csv.DictReader(io.StringIO("".join(csv_parts([game_row(game, is_heldout=False)])), newline=""))

    assert row["seed_note"] == note
    assert row["reason"] == bare_return
    assert row["is_heldout"] == "false"
    assert row["attacker_total"] == ""


def test_no_text_becomes_a_formula_in_a_spreadsheet() -> None:
    game = a_game(spec=a_spec(pair=a_pair(case_id="=HYPERLINK(1)")), revision="@cmd \0 \ud800")

    [row] = csv.DictReader(io.StringIO("".join(csv_parts([game_row(game, is_heldout=False)]))))

    assert row["case_id"] == "'=HYPERLINK(1)"
    assert row["note"] == "'@cmd  ?"
