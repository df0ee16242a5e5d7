import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_game, a_spec, present
from medical_team.errors import OutputError, RunFolderError
from medical_team.records import DataType, Game
from medical_team.report.page_file import ChunkedTable, data_element, page_head, write_report
from report_runs import HOSTILE, a_run, a_step


def report_of(tmp_path: Path, steps: list[list[Game]], name: str = "run"):
    output = tmp_path / "report.html"
    games = write_report([a_run(tmp_path / name, steps)], output)
    return games, output.read_text(encoding="utf-8")


def test_a_report_is_one_file_that_needs_nothing_else(tmp_path: Path) -> None:
    games, page = report_of(tmp_path, [a_step(0), a_step(1)])

    assert games == 8
    assert page.startswith("<!doctype html>")
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:,)""", page)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "").partition("<main>")[0]


def test_the_policy_lets_only_its_own_script_and_style_run(tmp_path: Path) -> None:
    _, page = report_of(tmp_path, [a_step(0)])
    policy = present(re.search(r'Content-Security-Policy" content="([^"]*)"', page))[1]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    style = present(re.search(r"<style>(.*?)</style>", page, re.DOTALL))[1]

    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    assert len(scripts) == 1
    assert f"script-src {source(scripts[0])};" in policy
    assert f"style-src {source(style)};" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "connect-src 'none'" in policy


def test_no_text_of_a_run_ends_its_element(tmp_path: Path) -> None:
    game = a_game(spec=a_spec(id=HOSTILE), revision=HOSTILE, thinking=HOSTILE)
    _, page = report_of(tmp_path, [[game]], name="<b>{{style}}<script>")

    # Only our own elements: the data, a chunk of each table, and the script.
    assert page.count("<script") == page.count("</script>") == 5
    assert "onerror" not in page
    assert "<b>" not in page
    assert "<title>&lt;b&gt;{{style}}&lt;script&gt; " in page


def test_data_stands_in_the_page_as_it_is_but_for_its_brackets() -> None:
    element = data_element("x", {"text": "</script><!-- é \u2028"})

    assert (
        element
        == '<script type="application/json" id="x">{"text":"\\u003c/script>\\u003c!-- \\u00e9 \\u2028"}</script>\n'
    )


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [a_step(0)])
    pages: list[bytes] = []
    for number in range(2):
        write_report([path], tmp_path / f"{number}.html")
        pages.append((tmp_path / f"{number}.html").read_bytes())

    assert pages[0] == pages[1]


def test_each_seed_note_is_written_once(tmp_path: Path) -> None:
    _, few = report_of(tmp_path, [[a_game(DataType.VANILLA_BENIGN)]])
    _, many = report_of(tmp_path, [[a_game(DataType.VANILLA_BENIGN)] * 200], name="other")

    assert len(many) < len(few) + 6000


def test_what_is_no_run_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        write_report([tmp_path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError):
        write_report([a_run(tmp_path / "run", [])], tmp_path / "folder")


def test_a_live_page_asks_this_server_alone() -> None:
    assert "connect-src 'self'" in page_head("run", connect="'self'")


def filled(rows: list[str], chunk_rows: int):
    table = ChunkedTable(chunk_rows)
    assert [table.append(row) for row in rows] == list(range(len(rows)))
    return table


@given(st.lists(st.text()), st.integers(1, 5))
def test_a_page_reads_back_what_was_put_in(rows: list[str], chunk_rows: int) -> None:
    table = filled(rows, chunk_rows)

    chunks = [json.loads(gzip.decompress(base64.b64decode(chunk))) for chunk in table.encoded_chunks()]

    assert [row for chunk in chunks for row in chunk] == rows
    assert all(len(chunk) == chunk_rows for chunk in chunks[:-1])
    assert len(table) == len(rows)


def test_rows_come_from_any_number_to_the_end_of_its_chunk() -> None:
    table = filled(list("abcdefg"), 3)

    assert table.rows_from(0) == ["a", "b", "c"]
    assert table.rows_from(4) == ["e", "f"]
    assert table.rows_from(6) == ["g"]
    assert table.rows_from(7) == table.rows_from(700) == []


def test_the_same_rows_give_the_same_bytes() -> None:
    assert list(filled(["a"], 1).encoded_chunks()) == list(filled(["a"], 1).encoded_chunks())
