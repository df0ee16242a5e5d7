"""What must hold of training records beyond the types of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import UsageError
from ..records import NotePair, TrainingRecord
from ..text_repair import fold_white_space

_FILLED = (
    "id",
    "case_id",
    "near_duplicate_group",
    "note",
    "error_note",
    "corrected_note",
    "error_sentence",
    "corrected_sentence",
)


class RecordChecks:
    """Checks records one after the other; what was seen before counts too. Keeps some bytes a record."""

    def __init__(self) -> None:
        self._line_of_id: dict[str, int] = {}
        self._case: dict[str, tuple[int, int]] = {}

    def problems(self, record: TrainingRecord, line: int) -> list[str]:
        """What is wrong with the record on ``line``, as sentences."""
        found = [*_problems_alone(record)]
        first = self._line_of_id.setdefault(record.id, line)
        if first != line:
            found.append(f"id: {record.id!r} is already on line {first}")
        fingerprint = hash(record.pair)
        case_line, case_fingerprint = self._case.setdefault(record.case_id, (line, fingerprint))
        if case_fingerprint != fingerprint:
            found.append(f"case_id: {record.case_id!r} is another case on line {case_line}: their pairs differ")
        return found


def shared_near_duplicate_groups(train: Iterable[TrainingRecord], heldout: Iterable[TrainingRecord]) -> list[str]:
    """Near-duplicate groups in both sets, sorted: evaluation on them leaks. Their names hold within one build."""
    groups = {record.near_duplicate_group for record in train}
    return sorted({record.near_duplicate_group for record in heldout} & groups)


def refuse_shared_groups(train: Iterable[TrainingRecord], heldout: Iterable[TrainingRecord]) -> None:
    """Refuse to evaluate on notes whose near-duplicates are trained on.

    Raises:
        UsageError: both sets hold notes of one near-duplicate group.
    """
    shared = shared_near_duplicate_groups(train, heldout)
    if shared:
        raise UsageError(
            f"{len(shared)} near-duplicate groups are in the training data and in the held-out data "
            f"(for example {shared[0]}): held-out figures would be worthless. "
            "Split one file with `data build --heldout`."
        )


def _problems_alone(record: TrainingRecord) -> Iterator[str]:
    empty = [name for name in _FILLED if not str(getattr(record, name)).strip()]
    yield from (f"{name}: is empty" for name in empty)
    if empty:
        return
    expected = "error_note" if record.data_type.is_harmful else "corrected_note"
    if record.note != getattr(record, expected):
        yield f"note: is not the {expected}, as data_type {record.data_type.value} says"
    starts = record.sentence_starts
    if list(starts) != sorted(set(starts)) or (starts and not 0 <= starts[0] <= starts[-1] < len(record.note)):
        yield "sentence_starts: are not places in the note, in rising order"
    yield from _pair_problems(record.pair)


def _pair_problems(pair: NotePair) -> Iterator[str]:
    if fold_white_space(pair.error_note) == fold_white_space(pair.corrected_note):
        yield "error_note: is the same as corrected_note"
    if pair.error_sentence not in pair.error_note:
        yield "error_sentence: does not occur in error_note"
    if pair.corrected_sentence not in pair.corrected_note:
        yield "corrected_sentence: does not occur in corrected_note"
