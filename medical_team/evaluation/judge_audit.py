"""How far a judge can be trusted: its rulings on notes whose truth is known, which are both notes of every error
case and harmless rewrites of the correct one."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..callbacks import Progress
from ..data.medec import read_medec
from ..data.pairs import PairError, make_pair, near_duplicate_groups
from ..data.reading_log import ReadingLog
from ..error_types import error_type_key, in_order
from ..errors import DataError, UsageError
from ..jsonl import shortened
from ..judge.protocol import Judge, JudgeQuery
from ..metrics.statistics import GroupBootstrap, Interval, interval_of, rate
from ..records import Closed, JudgeFailure, Labels, NotePair, Ruling
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
    notes = list(read_medec(path, log))
    groups = near_duplicate_groups(notes)
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


_Mask = NDArray[np.bool_]

QUERIES_AT_ONCE = 64
"""So that a slow judge shows that it moves, and a server is not asked for everything at once."""

_CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Figure(Closed):
    """A rate, over how many notes or pairs it is, and where it lies with 95 % confidence."""

    value: float | None
    count: int
    interval: Interval | None


@dataclass(frozen=True)
class AuditFigures(Closed):
    """The figures of one set of notes."""

    notes: int
    accuracy: Figure
    """Right, of the notes that were ruled on."""
    right_of_all: Figure
    """Right, of all notes: an abstention or a failure is not right."""
    precision: Figure
    recall: Figure
    f1: Figure
    specificity: Figure
    """Of the notes without an error that were ruled on, those that the judge calls correct."""
    pair_accuracy: Figure
    """Of all pairs, those of which every note of this set was ruled on, and rightly."""
    abstained: Figure
    failed: Figure
    """Parse failures included: the judge's own trouble, never the note's."""
    calibration_error: Figure
    """Mean distance of confidence and accuracy over ten bins of confidence (expected calibration error)."""


@dataclass(frozen=True)
class JudgeAudit(Closed):
    """What an audit found."""

    judge: str
    prompt_version: str
    file: str
    cases: int
    near_duplicate_groups: int
    is_text_only: bool
    """Whether the judge had to find each note's case by the text alone."""
    notes: AuditFigures
    """The error note and the corrected note of each pair."""
    with_rewrites: AuditFigures
    """The same and harmless rewrites of the corrected notes, which hold no error."""
    by_error_type: dict[str, AuditFigures]
    by_rewrite: dict[str, AuditFigures]
    sources: dict[str, int]
    """How many rulings came from the reference judge, from a model's one answer, from a vote."""
    notes_a_second: float


def audit(
    judge: Judge,
    items: Sequence[AuditItem],
    *,
    file: str,
    is_text_only: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> JudgeAudit:
    """Ask ``judge`` about ``items`` and compare with the truth.

    Args:
        judge: the judge.
        items: of :func:`.judge_audit.items_of`; at least one pair.
        file: the name of the data, for the report.
        is_text_only: don't tell the judge which case a note belongs to.
        on_progress: told how many notes of how many are done.
    """
    started = time.perf_counter()
    rulings: list[Ruling | None] = []
    for start in range(0, len(items), QUERIES_AT_ONCE):
        rulings += _ask(judge, items[start : start + QUERIES_AT_ONCE], is_text_only)
        on_progress(len(rulings), len(items))
    seconds = time.perf_counter() - started
    columns = _Columns(items, rulings)
    is_note = columns.of_kinds(ERROR_NOTE, CORRECTED_NOTE)
    labels = [ruling for ruling in rulings if isinstance(ruling, Labels)]
    return JudgeAudit(
        judge=judge.name,
        prompt_version=next((label.prompt_version for label in labels if label.prompt_version), ""),
        file=file,
        cases=len({item.pair for item in items}),
        near_duplicate_groups=columns.bootstrap.group_count,
        is_text_only=is_text_only,
        notes=columns.figures(is_note),
        with_rewrites=columns.figures(np.ones(len(items), dtype=bool)),
        by_error_type={
            name: columns.figures(is_note & columns.of_type(name))
            for name in in_order(item.pair.error_type for item in items)
        },
        by_rewrite={name: columns.figures(of_kind) for name in REWRITES if (of_kind := columns.of_kinds(name)).any()},
        sources=dict(Counter(label.source for label in labels if label.source)),
        notes_a_second=len(items) / max(seconds, 1e-9),
    )


def _ask(judge: Judge, items: Sequence[AuditItem], is_text_only: bool) -> list[Ruling | None]:
    queries = [
        JudgeQuery(game_id=str(number), note=item.note, verdict=None, pair=None if is_text_only else item.pair)
        for number, item in enumerate(items)
    ]
    rulings = judge.rule(queries)
    return [rulings.get(query.game_id) for query in queries]


class _Columns:
    """Items and rulings as arrays, one entry an item."""

    def __init__(self, items: Sequence[AuditItem], rulings: Sequence[Ruling | None]) -> None:
        self.bootstrap = GroupBootstrap([item.pair.near_duplicate_group for item in items])
        self._kinds = [item.kind for item in items]
        self._pairs = [item.pair for item in items]
        self._truth = np.array([item.has_error for item in items])
        self._decided = np.array([isinstance(ruling, Labels) for ruling in rulings])
        self._abstained = np.array([isinstance(ruling, JudgeFailure) and ruling.is_abstention for ruling in rulings])
        self._says_error = np.array([isinstance(ruling, Labels) and ruling.error_present for ruling in rulings])
        self._right = self._decided & (self._says_error == self._truth)
        self._confidences = [ruling.confidence if isinstance(ruling, Labels) else None for ruling in rulings]

    def of_kinds(self, *kinds: str) -> _Mask:
        return np.array([kind in kinds for kind in self._kinds])

    def of_type(self, name: str) -> _Mask:
        return np.array([error_type_key(pair.error_type) == error_type_key(name) for pair in self._pairs])

    def figures(self, members: _Mask) -> AuditFigures:
        decided = self._decided & members
        is_wrong_pair, is_first = self._pair_outcomes(members)
        return AuditFigures(
            notes=int(members.sum()),
            accuracy=self._figure(self._right, decided),
            right_of_all=self._figure(self._right, members),
            precision=self._figure(self._truth, decided & self._says_error),
            recall=self._figure(self._says_error, decided & self._truth),
            f1=self._f1(decided),
            specificity=self._figure(~self._says_error, decided & ~self._truth),
            pair_accuracy=self._figure(~is_wrong_pair, is_first),
            abstained=self._figure(self._abstained, members),
            failed=self._figure(~self._decided & ~self._abstained, members),
            calibration_error=self._calibration_error(decided),
        )

    def _figure(self, outcomes: _Mask, members: _Mask) -> Figure:
        found = self.bootstrap.figure(outcomes, members)
        return Figure(found.value, found.of, found.interval)

    def _f1(self, decided: _Mask) -> Figure:
        parts = [(self._truth, decided & self._says_error), (self._says_error, decided & self._truth)]
        values = [rate(*part) for part in parts]
        if None in values:
            return Figure(None, 0, None)
        draws = _harmonic_mean(*(self.bootstrap.rates(*part) for part in parts))
        value = _harmonic_mean(*(np.array([value], dtype=np.float64) for value in values))
        return Figure(float(value[0]), int(decided.sum()), interval_of(draws))

    def _pair_outcomes(self, members: _Mask) -> tuple[_Mask, _Mask]:
        """For each item whether its pair has a note of ``members`` that is not right, and whether it is its first."""
        of_members: list[int] = np.flatnonzero(members).tolist()
        wrong = {self._pairs[index] for index in of_members if not self._right[index]}
        first = {self._pairs[index]: index for index in reversed(of_members)}
        is_first = [first.get(pair) == index for index, pair in enumerate(self._pairs)]
        return np.array([pair in wrong for pair in self._pairs]), np.array(is_first)

    def _calibration_error(self, decided: _Mask) -> Figure:
        known = [
            (confidence, bool(right))
            for confidence, right, is_decided in zip(self._confidences, self._right, decided, strict=True)
            if is_decided and confidence is not None
        ]
        if not known:
            return Figure(None, 0, None)
        bins: defaultdict[int, float] = defaultdict(float)
        for confidence, right in known:
            bins[min(_CALIBRATION_BINS - 1, int(confidence * _CALIBRATION_BINS))] += confidence - right
        return Figure(sum(map(abs, bins.values())) / len(known), len(known), None)


def _harmonic_mean(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    total = one + other
    return np.divide(2 * one * other, total, out=np.zeros_like(total), where=total != 0)
