"""What a judge is audited with: both notes of every error case, and harmless rewrites of the correct one.

A rewrite changes how a note looks or is worded and nothing that it says, so it holds no error. A judge that takes every
change for an error has the two notes of a pair right and every rewrite wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.medec import read_medec
from ..data.pairs import PairError, make_pair
from ..data.reading_log import ReadingLog
from ..data.twins import NearDuplicateGroups, open_spool
from ..errors import DataError, UsageError
from ..jsonl import shortened
from ..records import Note, NotePair
from ..seeds import derived_random

ERROR_NOTE = "error note"
CORRECTED_NOTE = "corrected note"

_SENTENCE_END = re.compile(r"(?<=[a-z)%][.!?])\s+(?=[A-Z])")

# Common words for one another, of which no diagnosis, drug, number, negation, time or side depends.
_WORDINGS: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(rf"\b{before}\b"), after)
    for before, after in (
        ("comes to the physician because of", "sees the doctor on account of"),
        ("comes to the physician", "sees the doctor"),
        ("presents to", "is seen at"),
        ("is brought to", "is taken to"),
        ("emergency department", "emergency room"),
        ("because of", "on account of"),
        (r"year-old (?=man\b)", "year old gentle"),
        ("shows", "reveals"),
        ("physician", "doctor"),
        ("is started on", "now gets"),
        ("is most consistent with", "fits best with"),
        ("is unremarkable", "gives nothing of note"),
    )
)


def _one_sentence_a_line(note: str) -> str:
    return _SENTENCE_END.sub("\n", note)


def _in_other_words(note: str) -> str:
    for pattern, words in _WORDINGS:
        note = pattern.sub(words, note)
    return note


REWRITES: Mapping[str, Callable[[str], str]] = {
    "a sentence a line": _one_sentence_a_line,
    "capitals": str.upper,
    "other words": _in_other_words,
}
"""The harmless rewrites, by what they do."""


@dataclass(frozen=True)
class AuditItem:
    """One note that the judge is asked about, and the truth."""

    pair: NotePair
    kind: str
    """``error note``, ``corrected note`` or the name of a rewrite of the latter."""
    note: str

    @property
    def has_error(self) -> bool:
        """Whether the note contains an error."""
        return self.kind == ERROR_NOTE


@dataclass(frozen=True)
class AuditCases:
    """The error cases of a CSV. ``refusals`` says which rows could not be used."""

    name: str
    pairs: tuple[NotePair, ...]
    refusals: tuple[str, ...]


def load_cases(path: Path) -> AuditCases:
    """The error cases of the CSV at ``path``, each with its near-duplicate group.

    Raises:
        DataError: the file can't be read, or holds no case.
    """
    log = ReadingLog()
    with open_spool() as spool:
        twins = NearDuplicateGroups(spool)
        notes: list[Note] = []
        for note in read_medec(path, log):
            notes.append(note)
            twins.add(note)
        groups = twins.groups()
    refusals = [str(refusal) for refusal in log.refusals]
    pairs: list[NotePair] = []
    for note, group in zip(notes, groups, strict=True):
        if not note.has_error:
            continue
        try:
            pairs.append(make_pair(note, notes[group].text_id, log.repairs))
        except PairError as error:
            refusals.append(f"line {note.line}: {note.text_id}: {error}")
    if not pairs:
        raise DataError(f"{path} has no error case to audit a judge with:", shortened(refusals) or ["it has no error"])
    return AuditCases(path.name, tuple(pairs), tuple(refusals))


def choose_pairs(pairs: Sequence[NotePair], count: int | None, seed: int) -> list[NotePair]:
    """``count`` of ``pairs`` in their order, drawn by ``seed``; None: all.

    Raises:
        UsageError: ``count`` is not positive.
    """
    if count is not None and count < 1:
        raise UsageError(f"--cases is {count}, expected at least 1 (or leave it out for all {len(pairs)})")
    if count is None or count >= len(pairs):
        return list(pairs)
    chosen = sorted(derived_random(seed, "audit").sample(range(len(pairs)), count))
    return [pairs[index] for index in chosen]


def items_of(pairs: Sequence[NotePair]) -> list[AuditItem]:
    """What the judge is asked about: for each pair both notes, and the rewrites that change something."""
    items: list[AuditItem] = []
    for pair in pairs:
        items.append(AuditItem(pair, ERROR_NOTE, pair.error_note))
        items.append(AuditItem(pair, CORRECTED_NOTE, pair.corrected_note))
        for name, rewrite in REWRITES.items():
            note = rewrite(pair.corrected_note)
            if note != pair.corrected_note:
                items.append(AuditItem(pair, name, note))
    return items
