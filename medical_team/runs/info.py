"""What is known of a run besides its configuration, and the configuration as the run began with it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from ..config import RunConfig
from ..records import Closed
from .places import found_again, with_other_models_found

FORMAT = 1

RunKind = Literal["self-play", "warm-start"]


@dataclass(frozen=True)
class RunInfo(Closed):
    """What made a run."""

    format: int
    package_version: str
    versions: dict[str, str]
    """Versions of Python and of the libraries, by name."""
    created: str
    """ISO 8601, UTC."""
    hardware: dict[str, str] = field(default_factory=dict[str, str])
    """What it ran on, by part; empty where nobody said."""
    kind: RunKind = "self-play"
    """Self-play, or a warm start, which learns from demonstrations and plays games for its evaluations alone."""
    model_source: Literal["folder", "name"] | None = None
    """What ``policy.model`` was when the run began: a folder of the machine, or a name: one that ships, or the hub's.
    None where an older version saved it as it was typed."""
    model_beside: str | None = None
    """The way from the run's folder to that of the model, by which it is found where both were moved together."""
    other_models_beside: dict[str, str] = field(default_factory=dict[str, str])
    """The same for the judge's model and the fixed opponent, by the section that names it."""
    data_sha256: dict[str, str] = field(default_factory=dict[str, str])
    """Of the files under ``data``, by name. Empty for a run of an older version."""


def as_begun(path: Path, info: RunInfo, config: RunConfig) -> RunConfig:
    """``config``, saved by the run at ``path``, with its models where they are now and the day of its beginning."""
    is_decided = info.model_source is not None
    model = found_again(config.policy.model, path, info.model_beside, is_decided=is_decided)
    config = dataclasses.replace(config, policy=dataclasses.replace(config.policy, model=model))
    config = with_other_models_found(config, path, info.other_models_beside)
    day = _day_of_creation(info)
    return config if day is None else config.begun_on(day)


def _day_of_creation(info: RunInfo) -> date | None:
    try:
        return datetime.fromisoformat(info.created).astimezone().date()
    except (ValueError, OverflowError):
        return None
