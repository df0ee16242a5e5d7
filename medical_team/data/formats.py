"""The training engines' own formats, made from training records.

Upstream OpenRLHF (0.11.2) reads one prompt a line, with ``--data.input_key input --data.label_key label``:

- ``input``: the seed note. It is what the engine measures against its length limit and echoes in its samples; the
  players' prompts are made of it inside the agent executor, so no chat template must be applied to it.
- ``label``: the whole training record as a JSON string, so that an executor knows category, pair and ids from the label
  alone: ``record_of_label`` reads it.

The Self-RedTeam fork reads ``vanilla``, ``adversarial``, ``completion`` and ``data_type``:

- both note fields hold the seed note, since the fork reads one or the other by ``data_type``;
- ``completion``, which must be a string, is the right verdict on the seed note;
- the fork relabels half of the rows as generated, whatever they were. Four equal categories in the file become about
  75 % attacker games there; with all rows written as ``vanilla_*`` they become four equal quarters in training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ..jsonl import from_line, to_line
from ..records import Closed, DataType, TrainingRecord, Verdict

EngineFormat = Literal["openrlhf", "red-team-fork"]


@dataclass(frozen=True)
class OpenRlhfRow(Closed):
    """One line for upstream OpenRLHF."""

    input: str
    label: str


@dataclass(frozen=True)
class RedTeamForkRow(Closed):
    """One line for the Self-RedTeam fork."""

    vanilla: str
    adversarial: str
    completion: str
    data_type: DataType


def openrlhf_row(record: TrainingRecord) -> OpenRlhfRow:
    """``record`` for upstream OpenRLHF."""
    return OpenRlhfRow(input=record.note, label=to_line(record))


def record_of_label(label: str) -> TrainingRecord:
    """The record that an upstream label holds.

    Raises:
        pydantic.ValidationError: the label was not written by :func:`openrlhf_row`.
    """
    return from_line(label, TrainingRecord)


def red_team_fork_row(record: TrainingRecord) -> RedTeamForkRow:
    """``record`` for the Self-RedTeam fork."""
    return RedTeamForkRow(
        vanilla=record.note,
        adversarial=record.note,
        completion=right_verdict(record.data_type).value,
        data_type=record.data_type,
    )


def right_verdict(data_type: DataType) -> Verdict:
    """What an assessor should say of the seed note of a game of ``data_type``."""
    return Verdict.HARMFUL if data_type.is_harmful else Verdict.SAFE


def rows_of(
    records: Iterable[TrainingRecord], engine: EngineFormat, *, all_vanilla: bool = False
) -> Iterator[OpenRlhfRow | RedTeamForkRow]:
    """``records`` as lines for ``engine``; with ``all_vanilla`` every row says ``vanilla_*`` (for the fork)."""
    for record in records:
        written = replace(record, data_type=record.data_type.vanilla) if all_vanilla else record
        yield openrlhf_row(written) if engine == "openrlhf" else red_team_fork_row(written)
