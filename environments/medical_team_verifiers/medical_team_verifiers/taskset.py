"""Training records as tasks: one for each game that can be played."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import verifiers.v1 as vf

from medical_team.config import RunConfig
from medical_team.data.load import load_records
from medical_team.game.draw import playable_records
from medical_team.jsonl import from_line, to_line
from medical_team.records import DataType, GameSpec, TrainingRecord
from medical_team.runs.config_file import load_config


class MedicalGameTasksetConfig(vf.TasksetConfig):
    """Which notes are played with, and by which rules."""

    run: str = ""
    """The TOML file of a run: its sections game, rollout, judge and data count. Empty: the defaults."""
    data: str = ""
    """Training records, as ``data build`` writes them; empty: those of the run. "demo" and "sample" ship."""


class MedicalGameData(vf.TaskData):
    """The record of one game, as its line of ``train.jsonl``."""

    record: str


class MedicalGameTask(vf.Task[MedicalGameData]):
    """One game. It is scored when both have spoken, by the environment."""

    @property
    def spec(self) -> GameSpec:
        """The game to play."""
        record = from_line(self.data.record, TrainingRecord)
        return GameSpec(
            id=record.id,
            step=0,
            record_id=record.id,
            data_type=record.data_type,
            seed_note=record.note,
            pair=record.pair,
        )


class MedicalGameTaskset(vf.Taskset[MedicalGameTask, MedicalGameTasksetConfig]):
    """The records that the rules allow, in their order."""

    @cached_property
    def rules(self) -> RunConfig:
        """The run's configuration.

        Raises:
            ConfigError: the file has unknown keys or values out of bounds: all of them are named.
        """
        return load_config(Path(self.config.run)) if self.config.run else RunConfig()

    def load(self) -> Iterator[MedicalGameTask]:
        """A task for each record.

        Raises:
            DataError: the records can't be read: all problems are named.
            UsageError: the rules leave none to play with.
        """
        rules = self.rules
        records = load_records(self.config.data or rules.data.train, rules.game.error_types)
        for record in playable_records(records, rules.game):
            played = record if not rules.game.no_attacker_turn else _vanilla(record)
            data = MedicalGameData.model_validate(
                {"id": played.id, "name": played.data_type.value, "record": to_line(played)}
            )
            yield MedicalGameTask(data, self.config.task)


def _vanilla(record: TrainingRecord) -> TrainingRecord:
    return TrainingRecord.of(record.pair, DataType(record.data_type).vanilla, record.metadata)
