"""What the attacker's notes are like: do they keep the length and the words of their seed notes, and differ enough?

The measures are crude on purpose: each is a count that a person can check by reading, and none needs a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..parsing import folded_words, is_rewritten
from ..records import Game, Role

LENGTH_FACTOR = 1.5
"""A revision keeps the length when it has at most this many times more, or fewer, words than its seed note."""

KEPT_WORDS = 0.3
"""A revision keeps the vocabulary when it holds at least this share of the seed note's different words."""

NEAR_DUPLICATE = 0.8
"""Two notes are near-duplicates when they share this much of their runs of three words (Jaccard index)."""

SHINGLE_WORDS = 3

_Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class RevisionFigures:
    """Counts over the attacker's replies of one step."""

    replies: int = 0
    notes: int = 0
    """Replies that are a note; the other counts are of these."""
    length_kept: int = 0
    words_kept: int = 0
    copies: int = 0
    """Notes that say the same words as their seed note."""
    near_duplicates: int = 0
    """Notes that nearly say what another one of the same step says, though their seed notes differ."""

    def __add__(self, other: RevisionFigures) -> RevisionFigures:
        return RevisionFigures(
            replies=self.replies + other.replies,
            notes=self.notes + other.notes,
            length_kept=self.length_kept + other.length_kept,
            words_kept=self.words_kept + other.words_kept,
            copies=self.copies + other.copies,
            near_duplicates=self.near_duplicates + other.near_duplicates,
        )


def revision_figures(games: Sequence[Game]) -> RevisionFigures:
    """The counts over ``games``, those of one step."""
    replies = sum(game.turn_of(Role.ATTACKER) is not None for game in games)
    revised = [
        (game.note, game.spec.seed_note)
        for game in games
        if game.note is not None and game.turn_of(Role.ATTACKER) is not None
    ]
    return RevisionFigures(
        replies=replies,
        notes=len(revised),
        length_kept=sum(_is_length_kept(note, seed) for note, seed in revised),
        words_kept=sum(_are_words_kept(note, seed) for note, seed in revised),
        copies=sum(not is_rewritten(note, seed) for note, seed in revised),
        near_duplicates=near_duplicates(revised),
    )


def near_duplicates(revised: Sequence[tuple[str, str]]) -> int:
    """How many of the notes nearly repeat another one, given as pairs of a note and its seed note.

    Notes of seed notes that are near-duplicates themselves don't count: alike in, alike out.
    """
    shingles = [_shingles(note) for note, _ in revised]
    seed_shingles = [_shingles(seed) for _, seed in revised]
    repeating: set[int] = set()
    seen: dict[tuple[str, ...], list[int]] = {}
    for number, own in enumerate(shingles):
        shared = Counter(other for shingle in own for other in seen.get(shingle, ()))
        for other, count in shared.items():
            is_alike = count >= NEAR_DUPLICATE * (len(own) + len(shingles[other]) - count)
            if is_alike and _jaccard(seed_shingles[number], seed_shingles[other]) < NEAR_DUPLICATE:
                repeating |= {number, other}
        for shingle in own:
            seen.setdefault(shingle, []).append(number)
    return len(repeating)


def _is_length_kept(note: str, seed_note: str) -> bool:
    words, seed_words = len(note.split()), len(seed_note.split())
    return seed_words <= LENGTH_FACTOR * words and words <= LENGTH_FACTOR * seed_words


def _are_words_kept(note: str, seed_note: str) -> bool:
    seed_words = set(folded_words(seed_note))
    return len(seed_words & set(folded_words(note))) >= KEPT_WORDS * len(seed_words)


def _shingles(text: str) -> _Shingles:
    words = folded_words(text)
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    return frozenset(tuple(words[start : start + SHINGLE_WORDS]) for start in range(count))


def _jaccard(one: _Shingles, other: _Shingles) -> float:
    return len(one & other) / len(one | other)
