"""Which words of one text stand for which of another, whether sentences were only moved, and in which sentences a
note differs from the one of its case that it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import Indel

from ..records import NotePair
from ..words import fold_white_space, split_sentences, words_of
from .lexicon import (
    ACTIONS,
    LEANING_WORDS,
    MERELY_SHOWN,
    NAMING_THEIR_SUBJECT,
    OTHER_PERSONS,
    PLACING,
    SIDES_AND_PLACES,
    UNITS,
    VERBS,
    is_number,
)
from .wording import Words

_PERSONAL = frozenset({"he", "she", "patient"})


@dataclass(frozen=True)
class Span:
    """A stretch of words in which two texts differ; either side may be empty. The context is a word on each side."""

    before: Words
    after: Words
    before_in_context: Words
    after_in_context: Words


def differing_spans(before: Words, after: Words) -> tuple[Span, ...]:
    """The shortest stretches whose exchange turns ``before`` into ``after``, in order."""
    stretches: list[list[int]] = []
    for opcode in Indel.opcodes(before, after):
        if opcode.tag == "equal":
            continue
        if stretches and stretches[-1][1] == opcode.src_start and stretches[-1][3] == opcode.dest_start:
            stretches[-1][1], stretches[-1][3] = opcode.src_end, opcode.dest_end
        else:
            stretches.append([opcode.src_start, opcode.src_end, opcode.dest_start, opcode.dest_end])
    return tuple(
        Span(
            before=before[start:end],
            after=after[after_start:after_end],
            before_in_context=_with_context(before, start, end),
            after_in_context=_with_context(after, after_start, after_end),
        )
        for start, end, after_start, after_end in stretches
    )


def is_harmless_reordering(
    sentences: Sequence[Words], original: Sequence[Words], unmoved: Collection[Words] = ()
) -> bool:
    """Whether ``sentences`` are those of ``original`` with only freely movable ones moved.

    A sentence is free when it stands for itself: it is not the first; it is whole, says what or where it speaks of, as
    no other does, and has no word that leans on its place; it tells of no step of the treatment, since steps have an
    order; and neither it nor its predecessor speaks of another person. Free sentences may change places with their
    free neighbours. One that only announces a picture may be missing. Those of ``unmoved`` are never free.
    """
    if not set(sentences).issubset(original):
        return False
    fixed = [is_fixed or original[index] in unmoved for index, is_fixed in enumerate(_fixed(tuple(original)))]
    present = Counter(sentences)
    position = 0
    index = 0
    while index < len(original):
        if fixed[index]:
            if position >= len(sentences) or sentences[position] != original[index]:
                return False
            index, position = index + 1, position + 1
            continue
        run: list[Words] = []
        while index < len(original) and not fixed[index]:
            if present[original[index]] or not _is_announcement(original[index]):
                run.append(original[index])
            index += 1
        if sorted(sentences[position : position + len(run)]) != sorted(run):
            return False
        position += len(run)
    return position == len(sentences)


def _with_context(words: Words, start: int, end: int) -> Words:
    return words[max(0, start - 1) : end + 1]


@lru_cache(maxsize=512)
def _fixed(sentences: tuple[Words, ...]) -> tuple[bool, ...]:
    fixed = [index == 0 for index in range(len(sentences))]
    subjects = Counter(map(_subject, sentences))
    for index, sentence in enumerate(sentences):
        words = set(sentence)
        if subjects[_subject(sentence)] > 1 and sentence[0] not in _PERSONAL:
            fixed[index] = True
        if _leans_on_its_predecessor(sentence, words):
            fixed[max(0, index - 1)] = fixed[index] = True
        if not words.isdisjoint(ACTIONS):
            fixed[index] = True
        if not words.isdisjoint(OTHER_PERSONS) or _may_be_cut_short(sentence):
            fixed[index] = True
            if index + 1 < len(sentences):
                fixed[index + 1] = True
    return tuple(fixed)


def _leans_on_its_predecessor(sentence: Words, words: set[str]) -> bool:
    is_fragment = words.isdisjoint(VERBS) or sentence[0] in VERBS
    return is_fragment or not words.isdisjoint(LEANING_WORDS) or not _names_its_subject(sentence, words)


def _names_its_subject(sentence: Words, words: set[str]) -> bool:
    subject = sentence[1:2] if sentence[0] in ("his", "her") else sentence[:1]
    is_placed = not words.isdisjoint(PLACING) and not words.isdisjoint(SIDES_AND_PLACES)
    return is_placed or _is_announcement(sentence) or not NAMING_THEIR_SUBJECT.isdisjoint(subject)


def _subject(sentence: Words) -> Words:
    return sentence[: next((index for index, word in enumerate(sentence) if word in VERBS), len(sentence))]


def _may_be_cut_short(sentence: Words) -> bool:
    # "seen by Dr. Who": the full stop of an abbreviation ends no sentence
    last = sentence[-1]
    return len(last) <= 2 and not is_number(last) and last not in UNITS


def _is_announcement(sentence: Words) -> bool:
    return "shown" in sentence and MERELY_SHOWN.issuperset(sentence)


MOST_CHANGES = 4
"""Where more stretches differ, the note was not rewritten sentence by sentence."""

_LARGEST_SHARE = 0.5


@dataclass(frozen=True)
class ChangedSentence:
    """A sentence before and after; empty before where it was added, empty after where it was left out.

    Neighbours that changed together are one.
    """

    before: str
    after: str


@dataclass(frozen=True)
class SentenceChanges:
    """What was changed in which of its case's notes."""

    seed_has_error: bool
    """Whether the note was made from the one with the error."""
    changed: tuple[ChangedSentence, ...]


def sentence_changes(note: str, pair: NotePair) -> SentenceChanges | None:
    """The sentences in which ``note`` differs from the nearer of the pair's two notes; of two as near, the correct one.

    White space aside. None where nothing differs, where more than half of the note does, or more than ``MOST_CHANGES``
    stretches.
    """
    sentences = _sentences(note)
    seeds = {False: _sentences(pair.corrected_note), True: _sentences(pair.error_note)}
    found = {has_error: _changed(seed, sentences) for has_error, seed in seeds.items()}
    has_error = min(found, key=lambda has_error: _distance(found[has_error]))
    changed = found[has_error]
    size = sum(len(_sentences(change.before)) for change in changed)
    if not 0 < len(changed) <= MOST_CHANGES or size > max(1, _LARGEST_SHARE * len(seeds[has_error])):
        return None
    return SentenceChanges(has_error, changed)


def _sentences(text: str) -> tuple[str, ...]:
    return tuple(map(fold_white_space, split_sentences(text)))


def _changed(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[ChangedSentence, ...]:
    return tuple(
        ChangedSentence(" ".join(span.before), " ".join(span.after)) for span in differing_spans(before, after)
    )


def _distance(changed: Sequence[ChangedSentence]) -> int:
    return sum(Indel.distance(words_of(change.before), words_of(change.after)) for change in changed)
