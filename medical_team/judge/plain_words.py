"""The plain words of a clause: one phrase for each meaning, as the closed list of exchangeable wordings has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .exchangeable import Condition, Words, exchanges, spelled_exchanges, wording_words
from .lexicon import (
    ARTICLES,
    CONDITIONS,
    FORMS_OF_BE,
    LABELLED_BY_LETTER,
    NAMED_BY_LETTER,
    NEGATIONS,
    OPENING_WORDS,
    is_number_in_any_form,
)

_GOVERNING = NEGATIONS | CONDITIONS


def plain_words(words: Sequence[str]) -> Words:
    """``words`` of one clause with articles and opening words left out, and one phrase for each meaning."""
    table = _phrases()
    plain: list[str] = []
    position, length = 0, len(words)
    while position < length and words[position] in OPENING_WORDS:
        position += 1
    governed_from = next((place for place, word in enumerate(words) if word in _GOVERNING), length)
    while position < length:
        word = words[position]
        for phrase in table.get(word, ()):
            if phrase.stands_at(words, position, position > governed_from):
                plain.extend(phrase.meaning)
                position += len(phrase.words)
                break
        else:
            position += 1
            if word in ARTICLES and not _is_label(words, position - 1):
                continue
            is_before_number = word in FORMS_OF_BE and position < length and is_number_in_any_form(words[position])
            plain.append("is" if is_before_number else word)
    return tuple(plain)


def _is_label(words: Sequence[str], position: int) -> bool:
    if words[position] != "a":
        return False
    is_last = position + 1 == len(words)
    is_labelling = position > 0 and words[position - 1] in LABELLED_BY_LETTER
    return is_last or is_labelling or words[position + 1] in NAMED_BY_LETTER


@dataclass(frozen=True)
class _Phrase:
    """Words that may be read as other words, under a condition on what stands beside them."""

    words: Words
    meaning: Words
    condition: Condition

    def stands_at(self, words: Sequence[str], position: int, is_negated: bool) -> bool:
        end = position + len(self.words)
        if len(self.words) > 1 and tuple(words[position:end]) != self.words:
            return False
        before = words[position - 1] if position else ""
        return self.condition.holds(before, words[end] if end < len(words) else "", is_negated)


@cache
def _phrases() -> dict[str, tuple[_Phrase, ...]]:
    phrases = [
        _Phrase(wording_words(wording), exchange.meaning, exchange.condition)
        for exchange in (*exchanges(), *spelled_exchanges())
        for number, wording in enumerate(exchange.wordings)
        # the first stands for itself, but must be found before a shorter one within it
        if number or " " in wording
    ]
    by_first: dict[str, list[_Phrase]] = {}
    for phrase in sorted(phrases, key=lambda phrase: -len(phrase.words)):
        by_first.setdefault(phrase.words[0], []).append(phrase)
    return {word: tuple(phrases) for word, phrases in by_first.items()}
