"""From your own notes, a CSV in three columns, to an assessor that was trained on them.

    python examples/your_own_notes.py --notes notes.csv --folder my-run

The columns: ``note``, with an error in it; ``wrong``, the sentence of the note that is wrong; ``right``, what it should
say. One row is one case. This script trains on all of them, so it can't say how good the assessor is on notes that it
has not seen: `medical-team data build` keeps groups of similar notes apart for that, for files in MEDEC's columns.

Notes of patients stay on this machine. The default model is fetched once.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import tyro

from medical_team.config import CheckpointConfig, DataConfig, PolicyConfig, RunConfig, TrainingConfig
from medical_team.errors import DataError, MedicalTeamError
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType, NotePair, Source, TrainingRecord
from medical_team.train.session import start_run

COLUMNS = ("note", "wrong", "right")
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def read_cases(path: Path) -> list[NotePair]:
    """Each row as a case: the note with its error, and corrected."""
    cases: list[NotePair] = []
    problems: list[str] = []
    # Excel marks what it saves as UTF-8 by a first character of its own, which would be part of a column's name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise DataError(
                f"{path} can't be used:", [f"it has no column {', '.join(missing)}: found {rows.fieldnames}"]
            )
        for number, row in enumerate(rows):
            note, wrong, right = (" ".join((row[name] or "").split()) for name in COLUMNS)
            if not wrong or not right or note.count(wrong) != 1:
                problems.append(
                    f"row {number + 2}: `wrong` must stand in `note` exactly once, and `right` must not be empty"
                )
                continue
            corrected, name = note.replace(wrong, right), f"own-{number}"
            cases.append(NotePair(name, name, Source.OTHER, "other", note, corrected, wrong, right))
    if problems or not cases:
        raise DataError(f"{path} can't be used:", problems or ["it has no row under its columns"])
    return cases


def main(notes: str, folder: str = "my-run", model: str = MODEL, steps: int = 20, games: int = 8) -> None:
    """Write training records beside the run, and train on them."""
    records = [TrainingRecord.of(case, data_type) for case in read_cases(Path(notes)) for data_type in DataType]
    # A record's id says with or without error; each plays once as it is and once rewritten.
    records = [replace(record, id=f"{record.case_id}-{record.data_type.value}") for record in records]
    data = Path(f"{folder}-train.jsonl")
    write_jsonl(data, records)
    config = RunConfig(
        data=DataConfig(train=str(data)),
        policy=PolicyConfig(model=model),
        training=TrainingConfig(steps=steps, games_per_step=games),
        checkpoints=CheckpointConfig(save_every=steps),
    )
    start_run(config, Path(folder))
    print(f"The assessor is in {folder}/final. `medical-team games {folder}` shows every game.")


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except (MedicalTeamError, OSError) as error:
        sys.exit(str(error))
