"""What OpenRLHF reads: a file of tickets to play games with, and one of held-out notes to evaluate; what a row
says through its label is all that an agent is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Literal, Union

from pydantic import ValidationError

from ...config import RunConfig
from ...data.formats import record_of_label
from ...errors import UsageError
from ...evaluation.heldout import heldout_specs
from ...game.draw import playable_records
from ...jsonl import from_line, to_line, write_jsonl
from ...records import Closed, TrainingRecord
from ...runs.folder import RunFolder
from ..command import EngineFiles
from .game_files import GameCount

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class TrainingTicket(Closed):
    """Play the next game of the run's draw, whichever row this is."""

    purpose: Literal["training"]


@dataclass(frozen=True)
class HeldoutTicket(Closed):
    """Let the assessor read the held-out note with this number."""

    purpose: Literal["heldout"]
    number: int


@dataclass(frozen=True)
class EngineRow(Closed):
    """One line of a data set for OpenRLHF."""

    input: str
    label: str
    datasource: str
    """OpenRLHF names its figures of an evaluation after it."""


EngineLabel = Union[TrainingTicket, HeldoutTicket, TrainingRecord]


def read_label(label: str) -> EngineLabel:
    """What ``label`` asks for: a ticket, or a record, as ``data convert`` writes them, which is played as it is.

    Raises:
        UsageError: it is none of ours.
    """
    for label_type in (TrainingTicket, HeldoutTicket):
        try:
            return from_line(label, label_type)
        except ValidationError:
            continue
    try:
        return record_of_label(label)
    except ValidationError as error:
        raise UsageError(
            f"a row's label is {label[:_SHOWN_CHARACTERS]!r}, which is neither a ticket nor a record. Train on "
            "the engine/prompts.jsonl of the run folder, with --data.input_key input --data.label_key label"
        ) from error


_TICKET = EngineRow(
    input="A game of self-play. Which one it is, is decided when it is played.",
    label=to_line(TrainingTicket("training")),
    datasource="training",
)


def write_prompt_dataset(run: RunFolder) -> Path:
    """Write ``engine/prompts.jsonl`` of ``run`` and, where it has held-out notes, ``engine/heldout.jsonl``.

    The first has ``training.steps * training.games_per_step`` rows, for ``--data.prompt_dataset`` with
    ``--data.input_key input --data.label_key label``, without a chat template, ``--rollout.batch_size`` the games of a
    step and ``--rollout.n_samples_per_prompt 2``. The second, for ``--eval.dataset``, holds the local trainer's
    held-out games. Writing them again changes nothing; before the engine goes on from a checkpoint, call
    :func:`resume_at`.

    Returns:
        The path of the first.

    Raises:
        UsageError: no record is left to play with.
        OutputError: a file can't be written.
    """
    playable_records(run.training_records(), run.config.game)
    files = EngineFiles(run.path)
    heldout = run.heldout_records()
    if heldout:
        write_jsonl(files.heldout, _heldout_rows(heldout, run.config))
    else:
        files.heldout.unlink(missing_ok=True)
    training = run.config.training
    write_jsonl(files.prompts, repeat(_TICKET, training.steps * training.games_per_step))
    return files.prompts


def resume_at(run: RunFolder, step: int) -> None:
    """Let the engine's next games be those of ``step``: call it before the engine goes on from a checkpoint.

    ``step`` is what OpenRLHF calls the checkpoint's global step: how many steps are complete. What was imported of
    later steps moves to ``abandoned/``. The caller holds the run's lock.

    Raises:
        DataError: a file of the run is damaged.
        OutputError: a file can't be written.
    """
    GameCount(EngineFiles(run.path).folder).resume(step, run.config.training.games_per_step)
    run.rewind(step)


def _heldout_rows(records: list[TrainingRecord], config: RunConfig) -> Iterator[EngineRow]:
    specs = heldout_specs(records, games=config.checkpoints.evaluation_games, seed=config.training.seed, step=-1)
    for number, spec in enumerate(specs):
        # The number keeps equal notes apart: OpenRLHF finds a sample's data set by its prompt.
        yield EngineRow(
            input=f"Held-out note {number}: {spec.seed_note}",
            label=to_line(HeldoutTicket("heldout", number)),
            datasource="heldout",
        )
