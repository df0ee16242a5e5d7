"""Revisions by the sentence: a note as numbered sentences, and an attacker's edits of single ones.

MEDEC is a matter of single sentences: the error is one. A small model that can't copy a whole note can rewrite one
sentence of it, and the rest of the note stays to the letter.

Standard library and Python 3.10 alone: other engines play by these rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .parsing import UNSEEN, is_rewritten
from .words import DIRECTION_MARKS, folded_words, sentence_spans, split_sentences

BEHIND_NUMBER = rf"[\s)\]*_`{UNSEEN}]*[:：](?:[*_`]{{1,3}}(?=\s))?"
"""A colon of either width, with what may stand before it and the end of an emphasis behind it."""

_EDIT = re.compile(rf"[\W_]*?(?:sentence\b[\s#{UNSEEN}]*)?(\d{{1,6}}){BEHIND_NUMBER}(.*)", re.DOTALL | re.IGNORECASE)
"""A number of any script, a colon, and the new sentence; marks and the word "sentence" are passed over."""

_EMPHASISED = re.compile(r"([*_`]{1,3})(?=[^\s*_`])([^*`]*)(?<=[^\s*_`])\1")


@dataclass(frozen=True)
class NumberedNote:
    """A note and where its sentences begin.

    Args:
        text: the note.
        starts: where each sentence of ``text`` begins, as its file numbers them; empty: it is split here.
    """

    text: str
    starts: tuple[int, ...] = ()

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of each sentence, without the white space around it. Numbers count from 0, as MEDEC's do."""
        if not self.starts:
            return sentence_spans(self.text)
        spans: list[tuple[int, int]] = []
        for start, end in zip(self.starts, [*self.starts[1:], len(self.text)], strict=True):
            part = self.text[start:end]
            begin = start + len(part) - len(part.lstrip())
            spans.append((begin, begin + len(part.strip())))
        return spans

    @cached_property
    def sentences(self) -> list[str]:
        """The sentences, in order."""
        return [self.text[start:end] for start, end in self.spans]

    def written(self) -> str:
        """The note with a line for each sentence, its number before it."""
        return numbered_lines(dict(enumerate(self.sentences)))

    def number_of(self, sentence: str) -> int | None:
        """The number of the sentence that holds ``sentence``, or the beginning of it; None where it isn't there."""
        place = self.text.find(sentence)
        if place < 0 or not sentence:
            return None
        return next((number for number, (_, end) in enumerate(self.spans) if place < end), None)

    def edited(self, edits: Mapping[int, str]) -> NumberedNote:
        """The note with the sentences of these numbers exchanged; their number and the space between them stay."""
        parts: list[str] = []
        starts: list[int] = []
        end_before = length = 0
        for number, (start, end) in enumerate(self.spans):
            between, sentence = self.text[end_before:start], edits.get(number, self.text[start:end])
            starts.append(length + len(between))
            parts += [between, sentence]
            length += len(between) + len(sentence)
            end_before = end
        parts.append(self.text[end_before:])
        return NumberedNote("".join(parts), tuple(starts))


def numbered_lines(sentences: Mapping[int, str]) -> str:
    """A line for each of ``sentences``, its number before it. A line end inside a sentence can't forge a number."""
    return "\n".join(f"{number}: {' '.join(sentences[number].split())}" for number in sorted(sentences))


def read_edits(answer: str, note: NumberedNote, max_edits: int) -> dict[int, str] | str:
    """The edits in ``answer``, an attacker's public answer, by the number of the sentence; or why there are none.

    Each line is an edit, ``number: new sentence``. All of them hold or none does, so that nobody can hide an unreadable
    edit behind a readable one. A number that the note lacks, or that comes twice, an empty sentence, several sentences
    where there was one, more than ``max_edits`` lines, and edits that change nothing are no revision.
    """
    lines = [line.strip() for line in answer.splitlines() if folded_words(line)]
    if not lines:
        return "the attacker gave no public answer"
    if len(lines) > max_edits:
        return f"the attacker's answer has {len(lines)} lines, and {max_edits} may be edited"
    sentences = note.sentences
    edits: dict[int, str] = {}
    for line in lines:
        match = _EDIT.fullmatch(without_direction_marks(line))
        if match is None:
            return "a line of the attacker's answer is not a number, a colon and a sentence"
        number, sentence = int(match.group(1)), without_emphasis(match.group(2))
        problem = _problem_of_edit(number, sentence, sentences, edits)
        if problem is not None:
            return problem
        edits[number] = sentence
    if not any(is_rewritten(sentence, sentences[number]) for number, sentence in edits.items()):
        return "the attacker's edits change nothing"
    return edits


def _problem_of_edit(number: int, sentence: str, sentences: Sequence[str], edits: Mapping[int, str]) -> str | None:
    if number >= len(sentences):
        return f"the attacker edits sentence {number}, and the last one is {len(sentences) - 1}"
    if number in edits:
        return f"the attacker edits sentence {number} twice"
    if not folded_words(sentence):
        return f"the attacker's sentence {number} is empty"
    written, before = len(split_sentences(sentence)), len(split_sentences(sentences[number]))
    if written > max(before, 1):
        return f"the attacker writes {written} sentences where sentence {number} is {before}"
    return None


def without_emphasis(sentence: str) -> str:
    """``sentence`` without the white space around it, and without Markdown's emphasis around all of it.

    Marks that don't close right behind its last word stay: notes without names have "___" in their place.
    """
    match = _EMPHASISED.fullmatch(sentence.strip())
    return match.group(2) if match else sentence.strip()


def without_direction_marks(line: str) -> str:
    """``line`` without the unseen marks that set the direction of writing, which stand around numbers in Arabic."""
    return line.translate(dict.fromkeys(map(ord, DIRECTION_MARKS)))


def starts_of(text: str, sentences: Mapping[int, str]) -> tuple[int, ...]:
    """Where each of ``sentences``, numbered from 0, begins in ``text``; empty where they aren't all of its sentences.

    White space may differ; nothing of the text may be left over.
    """
    starts: list[int] = []
    place = 0
    if list(sentences) != list(range(len(sentences))):
        return ()
    for sentence in sentences.values():
        words = sentence.split()
        if not words:
            return ()
        match = re.compile(r"\s*(" + r"\s*".join(map(re.escape, words)) + ")").match(text, place)
        if match is None:
            return ()
        starts.append(match.start(1))
        place = match.end()
    return tuple(starts) if starts and not text[place:].strip() else ()


def moved_starts(starts: Sequence[int], text: str, changed: str) -> tuple[int, ...]:
    """``starts`` of sentences in ``text``, as they are in ``changed``, which differs from it in one stretch."""
    if not starts or text == changed:
        return tuple(starts)
    shared = _shared_prefix(text, changed)
    tail = _shared_prefix(text[shared:][::-1], changed[shared:][::-1])
    moved = [start + len(changed) - len(text) for start in starts if start >= len(text) - tail and start > shared]
    return (*(start for start in starts if start <= shared), *moved)


def _shared_prefix(one: str, other: str) -> int:
    shortest = min(len(one), len(other))
    return next((place for place in range(shortest) if one[place] != other[place]), shortest)
