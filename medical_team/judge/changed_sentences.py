"""In which sentences a note differs from the one of its case that it was made from.

An attacker may rewrite single sentences, and the rest of the note stays to the letter. A judge then has to compare
those sentences alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel

from ..records import NotePair
from ..sentences import split_sentences
from ..words import words_of
from .alignment import differing_spans

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
    return tuple(" ".join(sentence.split()) for sentence in split_sentences(text))


def _changed(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[ChangedSentence, ...]:
    return tuple(
        ChangedSentence(" ".join(span.before), " ".join(span.after)) for span in differing_spans(before, after)
    )


def _distance(changed: Sequence[ChangedSentence]) -> int:
    return sum(Indel.distance(words_of(change.before), words_of(change.after)) for change in changed)
