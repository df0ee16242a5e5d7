import csv
import io

from medical_team.evaluation.tables import figure, interval_text, table
from medical_team.metrics.statistics import Interval

HEADER = ["metric", "value"]
ROWS = [["flag_accuracy", "0.500"], ["R1F | 50 %", "-"]]


def test_text_is_aligned() -> None:
    assert table(HEADER, ROWS) == (
        "metric         value\n-------------  -----\nflag_accuracy  0.500\nR1F | 50 %         -\n"
    )


def test_markdown_escapes_what_would_end_a_cell() -> None:
    assert table(HEADER, ROWS, "markdown").splitlines()[-1] == r"| R1F \| 50 % | - |"


def test_latex_escapes_its_own_marks() -> None:
    assert r"flag\_accuracy & 0.500 \\" in table(HEADER, ROWS, "latex")
    assert r"R1F | 50 \% & - \\" in table(HEADER, ROWS, "latex")
    assert r"0.5 $\pm$ 0.1" in table(HEADER, [["R1F", "0.5 ± 0.1"]], "latex")


def test_csv_reads_back() -> None:
    assert list(csv.reader(io.StringIO(table(HEADER, ROWS, "csv")))) == [HEADER, *ROWS]


def test_what_is_not_known_is_a_dash() -> None:
    assert (figure(None), interval_text(None)) == ("-", "-")
    assert (figure(0.12345), interval_text(Interval(0.1, 0.25))) == ("0.123", "0.100 to 0.250")
