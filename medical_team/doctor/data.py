"""The training data: readable, whole, in four quarters, and in the mix that the engine will really play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import SHIPPED_DATA
from ..data.build import CARD_FILE
from ..data.load import chosen_records, load_records, shared_near_duplicate_groups
from ..errors import MedicalTeamError
from ..game.draw import playable_records
from ..model_files import read_json_object
from ..records import DataType, TrainingRecord
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .subject import Subject

UNEVEN = 0.02
"""How far a category's share may be from a quarter; the four-way split is exact but for single records."""

_REBUILD = "medical-team data build MEDEC.csv -o data   (splits the cases four ways)"
_SECONDS = 120.0


def readable(subject: Subject) -> Seen:
    """The file is there, and every line of it is a training record that contradicts no other."""
    name = subject.config.data.train
    try:
        records = subject.records
    except MedicalTeamError as error:
        return failed(str(error), _mend_of_file(Path(name)))
    if name in SHIPPED_DATA:
        return ok(f"{len(records)} records of the synthetic notes that ship")
    return ok(f"{len(records)} training records in {name}")


def _mend_of_file(path: Path) -> str:
    if path.is_file():
        return f"medical-team data validate {path}   (names every problem; `data build` makes the file anew)"
    return f"medical-team data build MEDEC.csv -o {path.parent}"


def count(subject: Subject) -> Seen:
    """As many records as the data card promises, and as many of them are played as the filters leave."""
    records = subject.records
    played = _played(subject)
    config = subject.config
    left_out = f"; game.error_types leaves out {len(records) - len(played)}" if len(played) < len(records) else ""
    if config.data.train in SHIPPED_DATA:
        return ok(f"{len(played)} records to play{left_out}")
    path = Path(config.data.train)
    card = _card(path)
    if card is None:
        return warning(
            f"{len(played)} records to play{left_out}; no data card beside the file tells how many there should be",
            f"medical-team data build MEDEC.csv -o {path.parent}   (writes {CARD_FILE} too)",
        )
    expected = next((int(item["records"]) for item in card.get("sets", []) if item.get("file") == path.name), None)
    if expected is not None and expected != len(records):
        return failed(
            f"{len(records)} records, and {path.parent / CARD_FILE} says {expected}: it is cut off or was changed",
            f"medical-team data build MEDEC.csv -o {path.parent}   (build it anew)",
        )
    return ok(f"{len(played)} records to play{left_out}")


def _card(path: Path) -> Mapping[str, Any] | None:
    try:
        return read_json_object(path.with_name(CARD_FILE))
    except ValueError:
        return None


def quarters(subject: Subject) -> Seen:
    """Each of the four categories has a quarter of the records that are played."""
    records = _played(subject)
    counts = Counter(record.data_type for record in records)
    shares = {data_type: counts[data_type] / len(records) for data_type in DataType}
    listed = ", ".join(f"{data_type.value} {share:.1%}" for data_type, share in shares.items())
    missing = [data_type.value for data_type in DataType if shares[data_type] == 0]
    if missing:
        return warning(f"{listed}: no {' and no '.join(missing)}", _REBUILD)
    allowed = max(UNEVEN, 2 / len(records))
    if any(abs(share - 0.25) > allowed for share in shares.values()):
        return warning(f"{listed}: uneven", _REBUILD)
    return ok(listed)


def _played(subject: Subject) -> Sequence[TrainingRecord]:
    """The records that the filter on error types leaves."""
    records = subject.records
    config = subject.config
    return chosen_records(config.data.train, records, config.game.error_types, is_strict=True)


def mix(subject: Subject) -> Seen:
    """The mix of games that the chosen engine will really play."""
    try:
        records = playable_records(_played(subject), subject.config.game)
    except MedicalTeamError as error:
        return failed(str(error), "set game.no_defender_turn to false, or build data with adversarial records")
    kind = subject.config.engine.kind
    if kind == "red-team-fork":
        return ok(
            "the fork turns half of the rows into attacker games, whatever they say: `train` gives it all rows as "
            "vanilla, of which it plays four quarters where half of them are harmful"
        )
    if subject.config.game.no_attacker_turn:
        return ok("all games vanilla, as game.no_attacker_turn asks: only the assessor learns")
    attacked = sum(record.data_type.is_adversarial for record in records) / len(records)
    only = ", as game.no_defender_turn asks: only the attacker learns" if subject.config.game.no_defender_turn else ""
    return ok(f"the engine {kind} plays the file as it is: {attacked:.0%} of games with an attacker{only}")


def heldout(subject: Subject) -> Seen:
    """Held-out records are readable, and none is a twin of a training record."""
    name = subject.config.data.heldout
    if name is None:
        return skipped(
            "data.heldout is not set: the run is not evaluated",
            "medical-team data build MEDEC.csv --heldout 0.1 -o data",
        )
    try:
        records = chosen_records(name, load_records(name), subject.config.game.error_types, is_strict=False)
    except MedicalTeamError as error:
        return failed(str(error), _mend_of_file(Path(name)))
    shared = shared_near_duplicate_groups(_played(subject), records)
    if shared:
        return failed(
            f"{len(shared)} groups of near-duplicates are in both sets, {shared[0]} for one: figures mean nothing",
            "medical-team data build MEDEC.csv --heldout 0.1 -o data   (splits one file by groups)",
        )
    return ok(f"{len(records)} held-out records, none of them a twin of a training record")


GROUP = Group(
    "Data",
    (
        Check("data", readable, _SECONDS),
        Check("data_count", count, after="data"),
        Check("data_quarters", quarters, after="data"),
        Check("data_mix", mix, after="data"),
        Check("data_heldout", heldout, _SECONDS, after="data"),
    ),
)
