import base64
import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from medical_team.report.game_rows import ChunkedTable


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
