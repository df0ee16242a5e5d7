"""Which version of the package wrote a run, for messages about what can't be read in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from .. import __version__
from ..errors import DataError
from ..jsonl import shortened, validation_problems

INFO_FILE = "run.json"
_UNKNOWN_FIELD = "unexpected_keyword_argument"


def version_in(content: bytes) -> str | None:
    """The version that a ``run.json`` names, whatever else it holds."""
    try:
        values: Any = json.loads(content)
    except ValueError:
        return None
    version: object = cast("dict[str, object]", values).get("package_version") if isinstance(values, dict) else None
    return version if isinstance(version, str) else None


def versions_told(written_by: str | None) -> str:
    """What a person should know of the versions where a run can't be read."""
    if written_by is None:
        return f"This is version {__version__}"
    return f"The run was written by version {written_by}, this is version {__version__}"


def unreadable_line(path: Path, number: int, error: ValidationError) -> DataError:
    """The error of a line of a run's file: damaged, or of another version where only unknown fields are wrong."""
    problems = shortened([f"line {number}: {problem}" for problem in validation_problems(error)])
    if any(item["type"] != _UNKNOWN_FIELD for item in error.errors(include_url=False)):
        return DataError(f"{path} is damaged:", problems)
    try:
        written_by = version_in((path.parent / INFO_FILE).read_bytes())
    except OSError:
        written_by = None
    return DataError(f"{path} is of another version:", [*problems, versions_told(written_by)])
