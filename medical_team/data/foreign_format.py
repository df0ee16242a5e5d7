"""Files of formats that are not read, told by their first bytes."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError

_FORMATS = {
    b"\x1f\x8b": "it is packed by gzip: unpack it first (gunzip {name})",
    b"BZh": "it is packed by bzip2: unpack it first (bunzip2 {name})",
    b"\xfd7zXZ\0": "it is packed by xz: unpack it first (unxz {name})",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd: unpack it first (unzstd {name})",
    b"PK\x03\x04": "it is an Excel workbook or another zip archive: save the sheet as CSV UTF-8, or unpack it",
    b"\xd0\xcf\x11\xe0": "it is an Excel workbook of the old format: save the sheet as CSV UTF-8",
    b"%PDF": "it is a PDF: notes have to be in a table",
    b"SQLite format 3\0": "it is an SQLite database: write the table out as CSV",
    b"ARROW1": "it is an Arrow file: write it out as Parquet, CSV or JSON lines",
}


def check_format(path: Path) -> bytes:
    """Check that ``path`` is a file that can be read twice, and not of a format that is known and not read.

    Returns:
        Its first bytes.

    Raises:
        DataError: it is; it says what to do. Or the file can't be read.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(f"{path} can't be read:", ["it is no regular file; the file is read twice, so save it first"])
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error
    for mark, problem in _FORMATS.items():
        if start.startswith(mark):
            raise DataError(f"{path} can't be read:", [problem.format(name=path)])
    return start
