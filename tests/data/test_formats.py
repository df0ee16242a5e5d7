import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medical_team.data.build import build_records
from medical_team.data.formats import check_format
from medical_team.data.load import load_records
from medical_team.data.validate import validate_file
from medical_team.errors import DataError

HEADER = "Text ID,Text,Sentences"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(HEADER.encode(), mtime=0), "it is packed by gzip: unpack it first"),
        (b"PK\x03\x04\x14\0", "it is an Excel workbook or another zip archive: save the sheet as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is an Excel workbook of the old format: save the sheet as CSV UTF-8"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"SQLite format 3\0", "it is an SQLite database"),
    ],
)
@pytest.mark.parametrize("read", [check_format, validate_file, build_records])
def test_a_file_of_a_known_format_is_named_with_what_to_do(
    tmp_path: Path, content: bytes, problem: str, read: Callable[..., Any]
) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(content)

    with pytest.raises(DataError, match=problem):
        read(path)


@pytest.mark.parametrize(
    "content", [HEADER.encode(), HEADER.encode("utf-8-sig"), HEADER.encode("utf-16"), b"", b"PAR1"]
)
def test_what_is_read_is_let_through(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(content)

    check_format(path)


def test_a_pipe_is_refused_because_it_can_only_be_read_once(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    os.mkfifo(path)

    for read in (check_format, validate_file, build_records):
        with pytest.raises(DataError, match="no regular file"):
            read(path)
    with pytest.raises(DataError, match="no regular file"):
        load_records(str(path))


@pytest.mark.parametrize("address", ["https://example.org/train.jsonl", "s3://bucket/notes.csv"])
def test_an_address_is_no_file(address: str) -> None:
    with pytest.raises(DataError, match="it is an address: download what is there"):
        check_format(Path(address))
