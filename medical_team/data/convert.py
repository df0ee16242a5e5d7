"""From ``train.jsonl`` to a training engine's own format, line by line."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from ..jsonl import write_jsonl
from .formats import EngineFormat, rows_of
from .kinds import is_written_by_us
from .load import load_records


def convert_records(source: str, output: Path, engine: EngineFormat, *, all_vanilla: bool = False) -> int:
    """Write the training records of ``source`` to ``output`` in the format of ``engine``. Returns their number.

    Raises:
        DataError: ``source`` holds no training records, or wrong ones.
        UsageError: ``output`` is ``source``, a folder, or a file of another kind.
        OutputError: ``output`` can't be written.
    """
    if all_vanilla and engine != "red-team-fork":
        raise UsageError(
            "--all-vanilla is for red-team-fork, which relabels rows; upstream OpenRLHF plays them as written"
        )
    records = load_records(source)
    if output.is_dir():
        raise UsageError(f"{output} is a folder; name the file to write, for example {output / 'train.jsonl'}")
    if output.exists() and Path(source).exists() and output.samefile(source):
        raise UsageError(f"{output} is the file to convert; name another file to write")
    if output.exists() and not is_written_by_us(output):
        raise UsageError(f"{output} is there and was not written by this program; move it, or name another file")
    return write_jsonl(output, rows_of(records, engine, all_vanilla=all_vanilla))
