"""The judge in this process, under the name that the training checklist gives it.

A front without logic: everything is in :mod:`.judge`, and nothing inside the package imports this.
"""

from __future__ import annotations

from .judge.protocol import Judge, JudgeQuery
from .judge.reference import ReferenceJudge
from .judging import make_judge

__all__ = ["Judge", "JudgeQuery", "ReferenceJudge", "make_judge"]
