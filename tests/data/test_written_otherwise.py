"""Notes whose characters web pages, word processors and spreadsheets wrote in their own way."""

import pytest

from medec_csv import a_correct_row, write_csv
from medical_team.data.medec import read_medec
from medical_team.data.reading_log import ReadingLog, Repair


def read_rows(tmp_path, *rows):
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
def test_characters_that_are_written_in_another_way_are_mended_and_told(tmp_path, written, meant, repair):
    (note,), log = read_rows(tmp_path, a_correct_row(0, Text=written))

    assert note.text == meant
    assert log.repairs == {repair: 1}


def test_a_cell_that_excel_cut_off_is_refused(tmp_path):
    row = a_correct_row(Text="x" * 32_767)
    notes, log = read_rows(tmp_path, row)

    assert notes == []
    assert "32767 characters, where Excel cuts off" in str(log.refusals[0])
