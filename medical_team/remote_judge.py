"""The judge as a service somewhere else, under the name that the training checklist gives it.

A front without logic: everything is in :mod:`.judge.client`, and nothing inside the package imports this.
"""

from __future__ import annotations

from .judge.client import RemoteJudge, privacy_warning

__all__ = ["RemoteJudge", "privacy_warning"]
