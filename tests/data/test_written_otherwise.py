"""Notes whose characters web pages, word processors and spreadsheets wrote in their own way."""

from pathlib import Path

import pytest

from medec_csv import a_correct_row, an_error_row, csv_text, write_csv
from medical_team.data.medec import read_medec
from medical_team.data.pairs import corrections_of
from medical_team.data.reading_log import ReadingLog, Repair
from medical_team.data.tables import COLUMNS


def read_rows(tmp_path: Path, *rows: dict[str, str]):
    log = ReadingLog()
    return list(read_medec(write_csv(tmp_path / "medec.csv", rows), log)), log


@pytest.mark.parametrize(
    ("written", "meant", "repair"),
    [
        ("K &lt;3.5 &amp; Na &gt;145", "K <3.5 & Na >145", Repair.ENTITIES),
        ("K &amp;lt;3.5 at 37&#176;C &unknown; &notit;", "K <3.5 at 37°C &unknown; &notit;", Repair.ENTITIES),
        ("fie\u0300vre, Cafe\u0301", "fièvre, Café", Repair.MARKS),
        ("amoxi\u00adcillin 500\u200b mg", "amoxicillin 500 mg", Repair.UNSEEN),
    ],
)
def test_characters_that_are_written_in_another_way_are_mended_and_told(
    tmp_path: Path, written: str, meant: str, repair: Repair
) -> None:
    (note,), log = read_rows(tmp_path, a_correct_row(0, Text=written))

    assert note.text == meant
    assert log.repairs == {repair: 1}


def test_a_cell_that_excel_cut_off_is_refused(tmp_path: Path) -> None:
    row = a_correct_row(Text="x" * 32_767)
    notes, log = read_rows(tmp_path, row)

    assert notes == []
    assert "32767 characters, where Excel cuts off" in str(log.refusals[0])


@pytest.mark.parametrize(
    ("text", "sentence", "found"),
    [
        ("He has fever. He rests.", "\u200fHe has fever.\u200e", "He has fever."),
        ("考虑肺炎，予以治疗。", "\u200f考虑肺炎。\u200f", "考虑肺炎"),
        ("\u202bشخص بسل.\u202c ثم غادر.", "\u2067شخص بسل.\u2069", "شخص بسل.\u202c"),
        ("شُخِّصَ المريض بِسُلٍّ. ثم غادر.", "شخص المريض بسل", "شُخِّصَ المريض بِسُلٍّ"),
        ("شخص المريض بسل. ثم غادر.", "شُخِّصَ المـــريض بِسُلٍّ.", "شخص المريض بسل."),
    ],
)
def test_marks_of_direction_and_short_vowels_hide_no_sentence(text: str, sentence: str, found: str) -> None:
    first = corrections_of(text, sentence, "It is another.")[0]

    assert text[first.start : first.end] == found
    assert first.is_adjusted


def test_a_row_without_its_last_empty_cells_is_filled_up_and_told(tmp_path: Path) -> None:
    lines = csv_text([an_error_row(0)], [*COLUMNS, "Reviewer"]).removesuffix(",\r\n")
    path = tmp_path / "excel.csv"
    path.write_bytes(f"{lines}\r\n".encode())
    log = ReadingLog()

    (note,) = read_medec(path, log)

    assert (note.has_error, note.metadata) == (True, {})
    assert log.repairs == {Repair.SHORT_ROW: 1}
