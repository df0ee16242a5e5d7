"""How different an attacker's revisions are from one another.

Self-BLEU (Zhu et al. 2018, arXiv 1802.01886): the mean BLEU-4 of each text against all others; 1 where all are alike.
BLEU as Papineni et al. 2002, each precision smoothed by one (Lin and Och 2004), the nearest length as reference length.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from ..words import folded_words

MAX_ORDER = 4

_Ngrams = Counter[tuple[str, ...]]


def self_bleu(texts: Sequence[str]) -> float | None:
    """The mean BLEU-4 of each of ``texts`` against the others, from 0 to 1; None for fewer than two."""
    tokens = [folded_words(text) for text in texts]
    if len(tokens) < 2:
        return None
    lengths = sorted(map(len, tokens))
    precisions: list[list[float]] = [[] for _ in tokens]
    for order in range(1, MAX_ORDER + 1):
        counts = [_ngrams(words, order) for words in tokens]
        first, second, holders = _largest_counts(counts)
        for index, own in enumerate(counts):
            # The largest count among the others: the second largest of all where the largest is its own.
            matches = sum(
                min(count, second[ngram] if holders[ngram] == index else first[ngram]) for ngram, count in own.items()
            )
            precisions[index].append((matches + 1) / (own.total() + 1))
    scores = [_bleu(precisions[index], len(words), lengths) for index, words in enumerate(tokens)]
    return sum(scores) / len(scores)


def _ngrams(words: Sequence[str], order: int) -> _Ngrams:
    return Counter(tuple(words[start : start + order]) for start in range(len(words) - order + 1))


def _largest_counts(counts: Sequence[_Ngrams]) -> tuple[_Ngrams, _Ngrams, dict[tuple[str, ...], int]]:
    """For each n-gram its largest and second largest count in a text, and which text holds the largest."""
    first: _Ngrams = Counter()
    second: _Ngrams = Counter()
    holders: dict[tuple[str, ...], int] = {}
    for index, own in enumerate(counts):
        for ngram, count in own.items():
            if count > first[ngram]:
                second[ngram], first[ngram], holders[ngram] = first[ngram], count, index
            elif count > second[ngram]:
                second[ngram] = count
    return first, second, holders


def _bleu(precisions: Sequence[float], length: int, sorted_lengths: Sequence[int]) -> float:
    if length == 0:
        return 0.0
    mean = math.exp(sum(map(math.log, precisions)) / len(precisions))
    reference = _nearest_other_length(length, sorted_lengths)
    return mean * math.exp(min(0.0, 1 - reference / length))


def _nearest_other_length(length: int, sorted_lengths: Sequence[int]) -> int:
    place = bisect_left(sorted_lengths, length)
    others = [sorted_lengths[near] for near in (place - 1, place + 1) if 0 <= near < len(sorted_lengths)]
    return min(others, key=lambda other: (abs(other - length), other))
