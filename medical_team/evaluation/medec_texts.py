"""The texts of a MEDEC CSV as they are evaluated: what a model reads, the truth, its near-duplicates; and solved
examples for a prompt, none of them a text that is evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.medec import NOT_APPLICABLE as _EMPTY
from ..data.medec import MedecRow, read_rows
from ..data.pairs import near_duplicate_groups
from ..data.reading_log import ReadingLog
from ..errors import DataError, UsageError
from ..files import file_sha256
from ..jsonl import shortened
from ..records import Note
from ..seeds import derived_random
from ..words import count_words, fold_white_space, has_unspaced_script
from .submission import Answer


@dataclass(frozen=True)
class MedecText:
    """One text and what is known of it."""

    text_id: str
    near_duplicate_group: str
    text: str
    """Repaired, as the game shows it."""
    sentences: Mapping[int, str]
    """Repaired, by number."""
    has_error: bool
    error_type: str | None
    error_sentence: str | None
    """Raw."""
    reference: Answer
    corrected_sentence: str | None = None
    """Repaired; None for a correct text."""
    corrected_text: str | None = None
    """Repaired; None for a correct text."""

    @property
    def words(self) -> int:
        """The length of the text."""
        return count_words(self.text)


@dataclass(frozen=True)
class MedecFile:
    """The texts of one CSV."""

    name: str
    sha256: str
    texts: tuple[MedecText, ...]
    remarks: tuple[str, ...]
    """What the organisers' script fails on in this file, and is mended here."""


def load_medec(path: Path) -> MedecFile:
    """All texts of the CSV at ``path``.

    Raises:
        DataError: the file can't be read, or a row can't be used: all of them are named.
    """
    log = ReadingLog()
    rows = list(read_rows(path, log))
    groups = near_duplicate_groups(row.note for row in rows)
    problems = [str(refusal) for refusal in log.refusals]
    problems += [
        f"line {row.note.line}: the Text ID {row.note.text_id!r} has white space, so no submission can name it"
        for row in rows
        if " " in row.note.text_id
    ]
    if problems or not rows:
        raise DataError(f"{path} can't be evaluated on:", shortened(problems) or ["it has no text"])
    texts = tuple(_text(row, rows[group].note.text_id) for row, group in zip(rows, groups, strict=True))
    return MedecFile(path.name, file_sha256(path), texts, tuple(_remarks(log, rows)))


def choose_texts(texts: Sequence[MedecText], count: int | None, seed: int) -> list[MedecText]:
    """At most ``count`` texts in their order, whole near-duplicate groups drawn by ``seed``; None: all.

    Raises:
        UsageError: ``count`` is not positive.
    """
    if count is None or count >= len(texts):
        return list(texts)
    if count < 1:
        raise UsageError(f"--texts is {count}, expected at least 1 (or leave it out for all {len(texts)})")
    sizes = Counter(text.near_duplicate_group for text in texts)
    groups = list(sizes)
    derived_random(seed, "texts").shuffle(groups)
    chosen: set[str] = set()
    left = count
    for group in groups:
        if sizes[group] <= left:
            chosen.add(group)
            left -= sizes[group]
    kept = [text for text in texts if text.near_duplicate_group in chosen]
    return kept or list(texts[:count])


def _text(row: MedecRow, near_duplicate_group: str) -> MedecText:
    note, cells = row.note, row.cells
    correction = cells["Corrected Sentence"] if note.has_error else _EMPTY
    return MedecText(
        text_id=note.text_id,
        near_duplicate_group=near_duplicate_group,
        text=note.text,
        sentences={number: fold_white_space(sentence) for number, sentence in row.sentences.items()},
        has_error=note.has_error,
        error_type=note.error_type,
        error_sentence=cells["Error Sentence"] if note.has_error else None,
        reference=Answer(note.text_id, str(int(note.has_error)), str(note.error_sentence_id), correction),
        corrected_sentence=note.corrected_sentence,
        corrected_text=note.corrected_text,
    )


def _remarks(log: ReadingLog, rows: Sequence[MedecRow]) -> Iterable[str]:
    if log.blank_rows:
        yield f"mended: {log.blank_rows} blank rows, which the organisers' script takes for one text more"
    floats = sum("." in row.cells["Error Flag"] for row in rows)
    if floats or log.blank_rows:
        yield 'mended: flags that the organisers\' script reads as "1.0", so that every answer is wrong'
    quoted = sum(
        row.cells["Corrected Sentence"].strip().startswith('"') or row.cells["Corrected Sentence"].strip().endswith('"')
        for row in rows
    )
    unspaced = sum(has_unspaced_script(row.note.text) for row in rows)
    if unspaced:
        yield (f"kept: ROUGE tells words apart by spaces; of {unspaced} texts in scripts without any it says nothing")
    if quoted:
        yield (
            f"kept: {quoted} references with a quotation mark at an end, which is taken off candidates alone, so that "
            "even a perfect correction scores a little lower there"
        )


@dataclass(frozen=True)
class Examples:
    """Texts to show with their solution."""

    texts: tuple[MedecText, ...] = ()
    origin: str = ""
    """Where they are from, without a word of them."""


def choose_examples(path: Path, evaluated: Sequence[MedecText], count: int, seed: int) -> Examples:
    """``count`` texts of the MEDEC CSV at ``path``, each of another near-duplicate group, every other with an error.

    Raises:
        DataError: the file can't be used.
        UsageError: too few of its texts are neither evaluated nor twins of those.
    """
    file = load_medec(path)
    taken: set[int] = set()
    with_error: list[MedecText] = []
    correct: list[MedecText] = []
    groups = near_duplicate_groups(map(_note, (*evaluated, *file.texts)))
    taken.update(groups[: len(evaluated)])
    candidates = list(zip(file.texts, groups[len(evaluated) :], strict=True))
    derived_random(seed, "examples").shuffle(candidates)
    for text, group in candidates:
        side, wanted = (with_error, (count + 1) // 2) if text.has_error else (correct, count // 2)
        if group not in taken and len(side) < wanted:
            taken.add(group)
            side.append(text)
    chosen = [side[index // 2] for index in range(count) if index // 2 < len(side := (with_error, correct)[index % 2])]
    if len(chosen) < count:
        raise UsageError(
            f"--shots is {count}, but {path.name} has only {len(chosen)} such examples that are neither evaluated nor "
            "twins of what is: name another file with --examples, or evaluate on fewer texts with --texts"
        )
    ids = ", ".join(text.text_id for text in chosen)
    return Examples(tuple(chosen), f"{file.name} (sha256 {file.sha256[:12]}): {ids}")


def _note(text: MedecText) -> Note:
    return Note(
        text_id=text.text_id,
        text=text.text,
        has_error=text.has_error,
        error_type=text.error_type,
        error_sentence_id=int(text.reference.sentence_id),
        error_sentence=text.error_sentence,
        corrected_sentence=text.corrected_sentence,
        corrected_text=text.corrected_text,
        line=0,
    )
