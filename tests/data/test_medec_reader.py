from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_record
from medec_csv import a_correct_row, an_error_row, csv_text, read, some_rows, write_csv
from medical_team.data import medec
from medical_team.data.reading_log import ReadingLog, Repair
from medical_team.data.tables import MAX_FIELD_CHARACTERS
from medical_team.errors import DataError
from medical_team.jsonl import to_line
from medical_team.records import ErrorType
from misreadings import as_cp1252, as_mac_roman


def read_rows(tmp_path: Path, *rows: dict[str, str]):
    return read(write_csv(tmp_path / "medec.csv", rows))


def refusal_of(tmp_path: Path, row: dict[str, str]) -> str:
    notes, log = read_rows(tmp_path, row)
    assert notes == []
    (refusal,) = log.refusals
    return str(refusal)


def test_an_error_note_and_a_correct_note_are_read(tmp_path: Path) -> None:
    (error, correct), log = read_rows(tmp_path, an_error_row(3, "causalOrganism"), a_correct_row(3))

    assert (error.text_id, error.has_error, error.error_type) == ("ms-val-6", True, ErrorType.CAUSAL_ORGANISM)
    assert error.error_sentence_id == 1
    assert "5000 mg" in (error.error_sentence or "")
    assert "500 mg" in (error.corrected_sentence or "")
    assert (correct.has_error, correct.error_type, correct.corrected_text) == (False, None, None)
    assert correct.error_sentence_id == -1
    assert (log.rows, log.refused, dict(log.repairs)) == (2, 0, {})


def test_a_row_has_the_line_on_which_it_starts(tmp_path: Path) -> None:
    notes, _ = read_rows(tmp_path, an_error_row(0), a_correct_row(0), a_correct_row(1))

    # The header is line 1; the Sentences of an error row take three lines, those of a correct row two.
    assert [note.line for note in notes] == [2, 5, 7]


@pytest.mark.parametrize("encode", [str.encode, partial(str.encode, encoding="utf-8-sig")])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends_change_nothing(
    tmp_path: Path, encode: Callable[..., Any], line_end: str
) -> None:
    text = csv_text([an_error_row(0, Text="First line.\nPatient 0 is given 5000 mg of amoxicillin."), a_correct_row(0)])
    path = tmp_path / "medec.csv"
    path.write_bytes(encode(text.replace("\r\n", "\n").replace("\n", line_end)))

    notes, log = read(path)

    assert notes[0].text == "First line.\nPatient 0 is given 5000 mg of amoxicillin."
    assert len(notes) == 2
    assert log.refused == 0


def test_blank_placeholder_rows_are_counted_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "medec.csv"
    path.write_text(csv_text([an_error_row(0)]) + ",,,,,,,,\r\n" * 328 + "\r\n", encoding="utf-8", newline="")

    notes, log = read(path)

    assert (len(notes), log.rows, log.blank_rows, log.refused) == (1, 330, 329, 0)


def test_flags_and_ids_written_as_floats_are_read(tmp_path: Path) -> None:
    notes, log = read_rows(
        tmp_path,
        an_error_row(0, Error_Flag="1.0", Error_Sentence_ID="1.0"),
        a_correct_row(0, Error_Flag="0.0", Error_Sentence_ID="-1.0"),
    )

    assert [(note.has_error, note.error_sentence_id) for note in notes] == [(True, 1), (False, -1)]
    assert log.repairs == {Repair.FLAG: 2}


def test_empty_cells_of_a_correct_note_are_read_as_na(tmp_path: Path) -> None:
    row = a_correct_row(0, Error_Type="", Error_Sentence="", Corrected_Sentence="", Corrected_Text="")

    notes, log = read_rows(tmp_path, row)

    assert len(notes) == 1
    assert log.repairs == {Repair.EMPTY_AS_NA: 1}


def test_white_space_at_the_ends_goes_since_it_gives_the_label_away(tmp_path: Path) -> None:
    (note,), log = read_rows(tmp_path, an_error_row(0, Text="  It is given.\n ", Error_Sentence=" It is given. "))

    assert (note.text, note.error_sentence) == ("It is given.", "It is given.")
    assert log.repairs[Repair.OUTER_WHITE_SPACE] == 1


@pytest.mark.parametrize(
    ("broken", "repair"),
    [
        ("5 Î¼g for 10â€“20 days at 37\u00a0Â°C", Repair.CP1252),
        ("5 ÃŽÂ¼g for 10Ã¢â‚¬â€œ20 days at 37\u00a0Ã‚Â°C", Repair.CP1252),
        ("5 Œºg for 10‚Äì20 days at 37\u00a0¬∞C", Repair.MAC_ROMAN),
        ("5 μg for 10\x9620 days at 37\u00a0°C", Repair.LATIN_1),
    ],
)
def test_characters_that_were_misread_are_decoded_and_told(tmp_path: Path, broken: str, repair: Repair) -> None:
    (note,), log = read_rows(tmp_path, a_correct_row(0, Text=broken))

    assert note.text == "5 μg for 10–20 days at 37\u00a0°C"
    assert log.repairs == {repair: 1}


def test_what_a_sentence_leaves_open_its_row_decides(tmp_path: Path) -> None:
    # By itself the sentence may be in capitals, with a footnote's mark; the text shows what it was.
    sentence, text = "KÃ–LN", "Ã„rztlicher Bericht aus KÃ–LN"
    (note,), _ = read_rows(tmp_path, an_error_row(0, Text=text, Error_Sentence=sentence))

    assert (note.text, note.error_sentence) == ("Ärztlicher Bericht aus KÖLN", "KÖLN")


def test_sentences_that_span_lines_and_gaps_in_their_numbers_are_followed(tmp_path: Path) -> None:
    sentences = "0 Labs show:\nNa+ 137 mEq/L\n40 mg were given.\n1 Glucose negative 2 Protein absent.\n3 He is well."
    rows = [
        an_error_row(0, Sentences=sentences, Error_Sentence_ID="3", Error_Sentence="He is well."),
        an_error_row(
            1, Sentences=sentences, Error_Sentence_ID="0", Error_Sentence="Labs show: Na+ 137 mEq/L 40 mg were given."
        ),
        an_error_row(2, Sentences=sentences, Error_Sentence_ID="2", Error_Sentence="He is well."),
    ]

    _, log = read_rows(tmp_path, *rows)

    # Only the last row's number names another sentence; that is told, and does no harm.
    assert log.repairs == {Repair.NOTICE_SENTENCE_ID: 1}


def test_a_file_without_numbered_sentences_is_read_and_they_are_split_here(tmp_path: Path) -> None:
    row = an_error_row(0, Text="He coughs. He is given 5000 mg.", Error_Sentence="He is given 5000 mg.")
    columns = [column for column in row if column != "Sentences"]
    (tmp_path / "medec.csv").write_text(csv_text([row], columns), encoding="utf-8", newline="")

    log = ReadingLog()
    (read_row,) = medec.read_rows(tmp_path / "medec.csv", log)

    assert read_row.sentences == {0: "He coughs.", 1: "He is given 5000 mg."}
    assert not log.repairs


@pytest.mark.parametrize("mark", ["", "N/A", "nan", "None", "<NA>"])
def test_what_programs_write_for_nothing_is_read_as_na(tmp_path: Path, mark: str) -> None:
    columns = ["Error_Type", "Error_Sentence_ID", "Error_Sentence", "Corrected_Sentence", "Corrected_Text"]

    (note,), log = read_rows(tmp_path, a_correct_row(0, **dict.fromkeys(columns, mark)))

    assert (note.has_error, note.error_sentence_id) == (False, -1)
    assert log.repairs == {Repair.EMPTY_AS_NA: 1}
    assert "Error Sentence is NA or empty" in refusal_of(tmp_path, an_error_row(0, Error_Sentence=mark))


def test_the_own_text_of_a_correct_note_is_no_correction(tmp_path: Path) -> None:
    row = a_correct_row(0)

    (note,), log = read_rows(tmp_path, row | {"Corrected Text": row["Text"]})

    assert note.corrected_text is None
    assert log.repairs == {Repair.REPEATED_TEXT: 1}


@pytest.mark.parametrize(("flag", "has_error"), [("TRUE", True), ("False", False), ("1,0", True)])
def test_flags_are_read_as_excel_and_pandas_write_them(tmp_path: Path, flag: str, has_error: bool) -> None:
    row = an_error_row(0, Error_Flag=flag) if has_error else a_correct_row(0, Error_Flag=flag)

    (note,), log = read_rows(tmp_path, row)

    assert note.has_error is has_error
    assert log.repairs == {Repair.FLAG: 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (an_error_row(Error_Flag="2"), "Error Flag is 2, expected 0 or 1"),
        (an_error_row(Error_Flag="yes"), "Error Flag is 'yes', expected a number"),
        (an_error_row(Error_Flag="9" * 5000), "expected a number"),
        (an_error_row(Error_Type="x" * 81), "expected a name of few words"),
        (an_error_row(Corrected_Text="NA"), "Error Flag is 1, but Corrected Text is NA or empty"),
        (an_error_row(Error_Sentence_ID="-1"), "Error Flag is 1, but Error Sentence ID is -1"),
        (an_error_row(Text=" "), "the Text is empty"),
        (a_correct_row(Error_Sentence="He is ill."), "Error Flag is 0, but Error Sentence is not NA"),
        (a_correct_row(Error_Sentence_ID="3"), "Error Flag is 0, but Error Sentence ID is 3, expected -1"),
        (a_correct_row(Text="nul\0byte"), "the row holds NUL bytes"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused_with_its_line_and_reason(
    tmp_path: Path, row: dict[str, str], reason: str
) -> None:
    refusal = refusal_of(tmp_path, row)

    assert refusal.startswith(f"line 2 ({row['Text ID']}): ")
    assert reason in refusal


def test_a_row_without_id_is_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, an_error_row(Text_ID=" ")) == "line 2: the Text ID is empty"


def test_all_refused_rows_are_collected_and_the_others_read(tmp_path: Path) -> None:
    rows = [an_error_row(0), an_error_row(1, Error_Flag="x"), an_error_row(2), an_error_row(0), a_correct_row(2)]

    notes, log = read_rows(tmp_path, *rows)

    assert [note.text_id for note in notes] == ["ms-val-0", "ms-val-4", "ms-val-5"]
    assert [refusal.line for refusal in log.refusals] == [5, 11]
    assert log.refusals[1].reason == "the Text ID is already on line 2"


def test_bytes_that_are_not_utf_8_refuse_their_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "medec.csv"
    path.write_bytes(csv_text(some_rows(2)).encode().replace(b"chest pain", b"chest p\xe9in", 1))

    notes, log = read(path)

    assert len(notes) == 3
    assert "line 2 (ms-val-0): the row holds bytes that are not UTF-8" in str(log.refusals[0])


def test_a_file_cut_off_in_a_quoted_field_says_so(tmp_path: Path) -> None:
    path = tmp_path / "medec.csv"
    whole = csv_text(some_rows(3)).encode()
    path.write_bytes(whole[: whole.rindex(b"0 A 22-year-old") + 20])

    notes, log = read(path)

    assert len(notes) == 5
    assert "the file ends inside a quoted field: it was cut off" in str(log.refusals[0])


def test_a_file_cut_off_between_fields_says_so(tmp_path: Path) -> None:
    path = tmp_path / "medec.csv"
    path.write_bytes(csv_text([a_correct_row(0)]).encode()[: -len(",NA,NA\r\n")])

    _, log = read(path)

    assert "the row has 7 columns, expected 9; is the file cut off here?" in str(log.refusals[0])


def test_a_long_field_is_read_and_a_huge_one_refused(tmp_path: Path) -> None:
    rows = [
        a_correct_row(0, Text="a" * 200_000),
        a_correct_row(1, Text="a" * (MAX_FIELD_CHARACTERS + 1)),
        a_correct_row(2),
        a_correct_row(3),
    ]

    notes, log = read_rows(tmp_path, *rows)

    assert [note.text_id for note in notes] == ["ms-val-1", "ms-val-5", "ms-val-7"]
    assert len(notes[0].text) == 200_000
    assert "a field is longer than 1000000 characters; is a quotation mark missing?" in str(log.refusals[0])


def test_a_lost_quotation_mark_costs_its_neighbourhood_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "medec.csv"
    text = csv_text(some_rows(20))
    place = text.index('"', len(text) // 2)
    path.write_text(text[:place] + text[place + 1 :], encoding="utf-8", newline="")

    notes, log = read(path)

    assert len(notes) >= 36
    assert log.refused >= 1


def test_columns_may_stand_in_another_order_among_others(tmp_path: Path) -> None:
    path = tmp_path / "medec.csv"
    columns = ["extra", *reversed(list(an_error_row()))]
    path.write_text(csv_text([{**an_error_row(0), "extra": "7"}], columns), encoding="utf-8", newline="")

    notes, log = read(path)

    assert (len(notes), log.refused) == (1, 0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"Text ID,Text\r\n", "there is no column 'Error Flag'"),
        (b"Text,Text,Text\r\n", "the column 'Text' is there twice"),
        (b'{"id": "a"}\n', "line 1: there is no column 'Text ID'"),
        (to_line(a_record()).encode(), "it holds training records; build from the file of notes"),
        (bytes(range(256)) * 9, "a binary file, or UTF-16"),
        ("Text ID,Text\r\n".encode("utf-16-le"), "a binary file, or UTF-16"),
        (b"\xff\xfe\x00\xd8,", "it is no UTF-16, though its first bytes say so"),
        (csv_text([]).encode(), "there is nothing below the header"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_a_whole(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "medec.csv"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"medec\.csv") as caught:
        read(path)

    assert problem in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="it is a folder"):
        read(tmp_path)


@given(st.binary(max_size=300))
def test_no_bytes_below_the_header_end_the_reading(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "medec.csv"
    path.write_bytes(csv_text([an_error_row(0)]).encode() + garbage)

    notes, log = read(path)

    assert notes[0].text_id == "ms-val-0"
    assert log.rows == len(notes) + log.blank_rows + log.refused


def twice_as_cp1252(text: str) -> str:
    return as_cp1252(as_cp1252(text))


@pytest.mark.parametrize("misread", [as_cp1252, as_mac_roman, twice_as_cp1252])
def test_the_validation_file_misread_again_gives_the_same_notes(
    tmp_path: Path, medec_validation_csv: Path, misread: Callable[[str], str]
) -> None:
    original = medec_validation_csv.read_text(encoding="utf-8")
    (tmp_path / "resaved.csv").write_text(misread(original), encoding="utf-8", newline="")

    assert read(tmp_path / "resaved.csv")[0] == read(medec_validation_csv)[0]


def test_the_validation_file_is_read_whole(medec_validation_csv: Path) -> None:
    notes, log = read(medec_validation_csv)

    assert (len(notes), log.refused, log.blank_rows) == (574, 0, 0)
    assert sum(note.has_error for note in notes) == 319
    assert log.repairs[Repair.CP1252] == 124
    assert log.repairs[Repair.NOTICE_SENTENCE_ID] == 0
    assert not any("â€" in note.text or "Î¼" in note.text for note in notes)
    assert all(note.text == note.text.strip() for note in notes)
