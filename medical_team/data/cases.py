"""The usable cases of one or several files: read once, put aside on disk, and chosen from."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..error_types import WantedErrorTypes, in_order
from ..errors import DataError, UsageError
from ..jsonl import shortened, to_line
from ..records import OMITTED_IF_EMPTY, Closed, Note, NotePair, Source
from .medec import read_medec
from .metadata_filter import MetadataFilter
from .pairs import PairError, make_pair
from .reading_log import ReadingLog, Repair
from .split import CaseKey, choose_cases, hold_out
from .spool import Spool
from .twins import NearDuplicateGroups


@dataclass(frozen=True)
class StoredCase(Closed):
    """A case as it waits on disk."""

    pair: NotePair
    metadata: dict[str, str] = field(default_factory=dict[str, str], metadata=OMITTED_IF_EMPTY)
    sentence_starts: tuple[int, ...] = field(default=(), metadata=OMITTED_IF_EMPTY)
    """Of the note with the error."""


@dataclass
class FileCases:
    """What one file gave."""

    path: Path
    log: ReadingLog = field(default_factory=ReadingLog)
    correct_notes: int = 0
    error_cases: int = 0


@dataclass
class Cases:
    """The cases of all files. Their pairs lie in the spool, by case number."""

    spool: Spool
    files: list[FileCases] = field(default_factory=list[FileCases])
    rows: array[int] = field(default_factory=lambda: array("q"))
    """The row of each case, counting the rows that were not refused."""
    group_of_row: array[int] = field(default_factory=lambda: array("q"))
    error_types: list[str] = field(default_factory=list[str])
    is_wanted: list[bool] = field(default_factory=list[bool])
    """Whether the metadata of each case is as asked for."""
    sources: set[Source] = field(default_factory=set[Source])

    @property
    def name(self) -> str:
        """The files, for messages."""
        return ", ".join(str(file.path) for file in self.files)

    def refusals(self) -> list[str]:
        """The refused rows, with their file where there are several."""
        return [
            f"{file.path.name}, {refusal}" if len(self.files) > 1 else str(refusal)
            for file in self.files
            for refusal in file.log.refusals
        ]

    def total(self, count: str) -> int:
        """The sum over the files of one of their logs' counts."""
        return sum(getattr(file.log, count) for file in self.files)

    def repairs(self) -> Counter[Repair]:
        """What was mended in all files."""
        return sum((file.log.repairs for file in self.files), Counter[Repair]())


def read_cases(paths: Sequence[Path], pairs: Spool, texts: Spool, wanted: MetadataFilter, *, is_strict: bool) -> Cases:
    """The cases of the files at ``paths``, one after the other, with near-duplicates found across all of them.

    Args:
        paths: files in MEDEC's columns.
        pairs: takes a :class:`StoredCase` for each case.
        texts: takes what finding near-duplicates needs.
        wanted: asked about each case.
        is_strict: as for :func:`.pairs.make_pair`.

    Raises:
        DataError: a file can't be read.
        UsageError: ``wanted`` asks for what is nowhere.
    """
    cases = Cases(pairs)
    near_duplicates = NearDuplicateGroups(texts)
    ids: set[int] = set()
    for path in paths:
        file = FileCases(path)
        cases.files.append(file)
        ids_before = frozenset(ids)
        for note in read_medec(path, file.log):
            if not note.has_error:
                near_duplicates.add(note)
                file.correct_notes += 1
                continue
            try:
                pair = make_pair(note, "", file.log.repairs, is_strict=is_strict)
            except PairError as error:
                file.log.refuse(note.line, note.text_id, str(error))
                continue
            if hash(pair.case_id) in ids_before:
                file.log.repairs[Repair.TEXT_ID] += 1
                pair = replace(pair, case_id=f"{path.stem}-{pair.case_id}")
            ids.add(hash(pair.case_id))
            _take(cases, file, note, pair, near_duplicates.add(note), wanted)
    cases.group_of_row = near_duplicates.groups()
    if cases.error_types:
        wanted.check(cases.name)
    return cases


def choose(
    cases: Cases, num_samples: int | None, seed: int, heldout: float | None, error_types: Sequence[str]
) -> tuple[list[CaseKey], list[CaseKey]]:
    """The cases to train on and to hold out.

    Raises:
        DataError: there is none.
        UsageError: an error type is nowhere, or one of the two sets would be empty.
    """
    wanted = WantedErrorTypes.of(error_types, cases.error_types)
    usable = [
        CaseKey(number, error_type, cases.group_of_row[cases.rows[number]])
        for number, error_type in enumerate(cases.error_types)
        if error_type in wanted and cases.is_wanted[number]
    ]
    if usable and wanted.unknown:
        there = ", ".join(in_order(cases.error_types))
        raise UsageError(f"--error-types asks for {', '.join(wanted.unknown)}; {cases.name} has {there}")
    if not usable:
        raise DataError(f"{cases.name} gives no case to play with:", _why_no_case(cases, error_types))
    chosen = choose_cases(usable, len(usable) if num_samples is None else num_samples, seed)
    if heldout is None:
        return chosen, []
    train, held = hold_out(chosen, heldout, seed)
    if not train or not held:
        raise UsageError(
            f"--heldout {heldout} of {len(chosen)} cases leaves {len(train)} to train on and {len(held)} held out; "
            "near-duplicates stay together, so choose another fraction or use more cases"
        )
    return train, held


def _take(cases: Cases, file: FileCases, note: Note, pair: NotePair, row: int, wanted: MetadataFilter) -> None:
    file.error_cases += 1
    cases.rows.append(row)
    cases.error_types.append(pair.error_type)
    cases.is_wanted.append(wanted.matches(note.metadata))
    cases.sources.add(pair.source)
    cases.spool.append(to_line(StoredCase(pair, note.metadata, note.sentence_starts)))


def _why_no_case(cases: Cases, error_types: Sequence[str]) -> list[str]:
    reasons = cases.refusals()
    if not cases.error_types:
        correct = sum(file.correct_notes for file in cases.files)
        first = f"of {cases.total('rows')} rows, {correct} are correct notes and {cases.total('refused')} were refused"
    elif any(cases.is_wanted):
        there = ", ".join(in_order(cases.error_types))
        first = f"--error-types asks for {', '.join(error_types)}; the file has {there}"
    else:
        first = "no case has all that --where asks for"
    return shortened([first, *reasons])
