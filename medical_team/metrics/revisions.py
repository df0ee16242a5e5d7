"""What the attacker's notes are like: do they keep the length and the words of their seed notes, and differ enough?

The measures are crude on purpose: each is a count that a person can check by reading, and none needs a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cache

from ..parsing import is_rewritten
from ..records import Game, GameState, Role
from ..words import count_words, folded_words

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
        return RevisionFigures(*map(sum, zip(astuple(self), astuple(other), strict=True)))


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


def is_decided_revision(game: Game) -> bool:
    """Whether the attacker changed the note and the judge ruled on what it made of it."""
    return (
        game.state is GameState.DECIDED
        and game.spec.data_type.is_adversarial
        and game.note is not None
        and is_rewritten(game.note, game.spec.seed_note)
    )


def is_at_stake_changed(game: Game) -> bool:
    """Whether the attacker changed the sentence at stake, which is wrong or was put right: its words stand nowhere.

    A revision that leaves it alone tells little of what players can do to each other.
    """
    if game.note is None or not game.spec.data_type.is_adversarial:
        return False
    pair = game.spec.pair
    at_stake = pair.sentence_at_stake(is_harmful=game.spec.data_type.is_harmful)
    return f" {' '.join(folded_words(at_stake))} " not in f" {' '.join(folded_words(game.note))} "


def near_duplicates(revised: Sequence[tuple[str, str]]) -> int:
    """How many of the notes nearly repeat another one, given as pairs of a note and its seed note.

    Notes of seed notes that are near-duplicates themselves don't count: alike in, alike out.
    """
    shingles_of = cache(_shingles)
    # Of notes with one text, as an attacker that has collapsed writes them, only one is compared.
    seeds_of: dict[_Shingles, Counter[str]] = {}
    for note, seed in revised:
        seeds_of.setdefault(shingles_of(note), Counter())[seed] += 1
    partners = _alike(list(seeds_of))
    return sum(
        count
        for own, seeds in seeds_of.items()
        for seed, count in seeds.items()
        if any(
            other != seed and not _are_alike(shingles_of(seed), shingles_of(other))
            for partner in (own, *partners[own])
            for other in seeds_of[partner]
        )
    )


def _alike(texts: Sequence[_Shingles]) -> Mapping[_Shingles, Sequence[_Shingles]]:
    """For each of ``texts``, which differ, those of the others that are near-duplicates of it."""
    found: dict[_Shingles, list[_Shingles]] = {text: [] for text in texts}
    holders: dict[tuple[str, ...], list[int]] = {}
    for number, text in enumerate(texts):
        shared = Counter(other for shingle in text for other in holders.get(shingle, ()))
        for other, count in shared.items():
            if count >= NEAR_DUPLICATE * (len(text) + len(texts[other]) - count):
                found[text].append(texts[other])
                found[texts[other]].append(text)
        for shingle in text:
            holders.setdefault(shingle, []).append(number)
    return found


def _is_length_kept(note: str, seed_note: str) -> bool:
    words, seed_words = count_words(note), count_words(seed_note)
    return seed_words <= LENGTH_FACTOR * words and words <= LENGTH_FACTOR * seed_words


def _are_words_kept(note: str, seed_note: str) -> bool:
    seed_words = set(folded_words(seed_note))
    return len(seed_words & set(folded_words(note))) >= KEPT_WORDS * len(seed_words)


def _shingles(text: str) -> _Shingles:
    words = folded_words(text)
    if len(words) <= SHINGLE_WORDS:
        return frozenset({tuple(words)})
    return frozenset(zip(*(words[start:] for start in range(SHINGLE_WORDS)), strict=False))


def _are_alike(one: _Shingles, other: _Shingles) -> bool:
    return len(one & other) >= NEAR_DUPLICATE * len(one | other)
