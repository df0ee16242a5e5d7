"""Configurations of models that nobody can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from medical_team.planning.model_shape import shape_of
from medical_team.planning.plan import Unknown


@pytest.mark.parametrize("content", [b"[" * 100_000, b"", b"[1]", b"\xef\xbb\xbf{}", b"\xff\xfe{}"])
def test_the_shape_is_then_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)

    shape = shape_of(str(tmp_path))

    assert isinstance(shape, Unknown)
    assert "config.json can't be read as JSON" in shape.reason
