"""What can be known of a rewritten note without a model: is it one of its case's two notes, in other words?

The truth of exactly two texts is known: the note with the error and the corrected note. A rewritten note inherits the
truth of one of them if every difference is known to leave the meaning alone: case, white space, punctuation,
articles, a closed list of wordings that mean the same, the order of sentences that stand for themselves. The words
of the error (or of its correction) must be kept to the letter. Anything else might undo the error, plant another or
take a sentence back, and is named as the reason why nobody can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..records import NotePair
from ..text_repair import repair_mojibake
from .alignment import Span, differing_spans, is_harmless_reordering
from .protocol import Finding
from .wording import Wording, Words, excess, named, read, strange_characters, times_within

MAX_CHARACTERS = 20_000
"""Longer notes are not read: the longest of MEDEC has under 2,500, and a revision at most twice its words."""

_WORDS_SHOWN = 8


@dataclass(frozen=True)
class Case:
    """A pair as the judge reads it."""

    error: Wording
    corrected: Wording
    spans: tuple[Span, ...]
    """Where the two notes differ, in plain words: ``before`` is the error."""
    error_words: tuple[Words, ...]
    """The words of the error, as written."""
    correct_words: tuple[Words, ...]
    familiar: frozenset[str]
    """Characters of the two notes: in a rewritten note they are no surprise."""
    is_too_long: bool

    @classmethod
    def of(cls, pair: NotePair) -> Case:
        """Read ``pair``."""
        error_text, corrected_text = repair_mojibake(pair.error_note), repair_mojibake(pair.corrected_note)
        is_too_long = max(len(error_text), len(corrected_text)) > MAX_CHARACTERS
        if is_too_long:
            error_text = corrected_text = ""
        error, corrected = read(error_text), read(corrected_text)
        written = differing_spans(error.words, corrected.words)
        both = error_text + corrected_text
        return cls(
            error=error,
            corrected=corrected,
            spans=differing_spans(error.plain, corrected.plain),
            error_words=tuple(span.before for span in written if span.before),
            correct_words=tuple(span.after for span in written if span.after),
            familiar=frozenset(f"{both}{both.upper()}{both.lower()}"),
            is_too_long=is_too_long,
        )


def find(note: str, case: Case) -> Finding:
    """Whether ``note``, made from ``case``, contains an error; None of it, with the reason, where nobody can tell."""
    if case.is_too_long or len(note) > MAX_CHARACTERS:
        # The judge's own limit, and no word on what the attacker wrote.
        return Finding(None, f"the note or its case is longer than {MAX_CHARACTERS} characters", is_failure=True)
    text = repair_mojibake(note)
    strange = strange_characters(text, case.familiar)
    if strange:
        return _unknown(f"the note holds characters that its case doesn't: {named(strange)}")
    wording = read(text)
    if not wording.words:
        return _unknown("the note has no words")
    if case.error.words == case.corrected.words:
        return _unknown("the case's two notes have the same words")
    problem = _mark_problem(wording, case)
    if problem:
        return _unknown(problem)
    return _error_kept(wording, case) or _correction_kept(wording, case) or _unknown(_why_unknown(wording, case))


def keeps_the_error(note: str, pair: NotePair) -> bool:
    """Whether the words of the case's error still stand in ``note``, each beside its old neighbours."""
    case = Case.of(pair)
    if case.is_too_long or not case.spans:
        return False
    text = read(repair_mojibake(note)).spaced_plain
    return all(times_within(text, span.before_in_context) for span in case.spans)


def _error_kept(wording: Wording, case: Case) -> Finding | None:
    how = _sameness(wording, case.error, case.corrected)
    if how is None:
        return None
    lost = _lost(wording, case.error_words, case.error)
    if lost:
        return _unknown(f"the words of the error were put differently: {quoted(lost)}")
    return Finding(True, f"the note is its case's note with the error, {how}")


def _correction_kept(wording: Wording, case: Case) -> Finding | None:
    how = _sameness(wording, case.corrected, case.error)
    if how is None:
        return None
    lost = _lost(wording, case.correct_words, case.corrected)
    if lost:
        return _unknown(f"the words of the correction were put differently: {quoted(lost)}")
    return Finding(False, f"the note is its case's corrected note, {how}")


def _sameness(wording: Wording, original: Wording, other: Wording) -> str | None:
    """How ``wording`` restates ``original``; None where it doesn't, or where it may restate ``other`` as well."""
    if _doubts(wording) != _doubts(original):
        return None
    if wording.words == original.words:
        return "word for word" if _keeps_scopes(wording, original) else None
    if original.plain == other.plain:
        return None
    if wording.plain == original.plain:
        return "in wording that means the same" if _keeps_scopes(wording, original) else None
    breaks = {(clause.plain, place) for clause in original.clauses for place in clause.breaks}
    added = {(clause.plain, place) for clause in wording.clauses for place in clause.governed_breaks} - breaks
    if added or not wording.restates_scopes_of(original):
        return None
    # the sentence at stake stays where it is: behind a sentence on the past it may speak of the past
    at_stake = set(original.sentences) - set(other.sentences)
    if is_harmless_reordering(wording.sentences, original.sentences, at_stake):
        return "with sentences in another order"
    return None


def _doubts(wording: Wording) -> int:
    """How many question marks there are: one that is left out makes certain what was asked."""
    return sum(mark in "?؟" for mark in wording.marks)


def _keeps_scopes(wording: Wording, original: Wording) -> bool:
    """Whether punctuation leaves what is negated, said of another person or told of a time as it is.

    A comma that was set behind a negation may end what is negated; a comma or a full stop that was taken away here and
    set there may turn all three. A note with no full stop at all had its punctuation taken off as a whole, which a
    reader sees.
    """
    if not (wording.ends <= original.ends or wording.ends >= original.ends):
        return False
    set_anew = wording.breaks - original.breaks - original.ends - {0}
    if set_anew and (set_anew & wording.governed_breaks or original.breaks - wording.breaks - wording.ends):
        return False
    scopes, original_scopes = wording.scopes, original.scopes
    if scopes == original_scopes:
        return True
    if len(scopes) != len(original_scopes) or len(wording.clauses) != 1:
        return wording.restates_scopes_of(original)
    return all(words[: len(kept)] == kept for words, kept in zip(scopes, original_scopes, strict=True))


def _lost(wording: Wording, kept: Iterable[Words], original: Wording) -> Words | None:
    for phrase in kept:
        if times_within(wording.spaced_words, phrase) < times_within(original.spaced_words, phrase):
            return phrase
    return None


def _mark_problem(wording: Wording, case: Case) -> str | None:
    if not wording.marks:
        return None
    known = Counter(case.error.marks) | Counter(case.corrected.marks)
    added = Counter(wording.marks) - known
    if not added:
        return None
    return f"marks were added that may take back what they stand by: {' '.join(sorted(added))}"


def _why_unknown(wording: Wording, case: Case) -> str:
    text = wording.spaced_plain
    has_error = all(times_within(text, span.before_in_context) for span in case.spans)
    has_correction = all(times_within(text, span.after_in_context) for span in case.spans)
    if has_error and has_correction:
        return "the error and its correction both occur"
    if has_error:
        return f"the words of the error stand, but {_what_changed(wording, case.error)}"
    if has_correction:
        return f"the words of the correction stand, but {_what_changed(wording, case.corrected)}"
    return f"neither the error nor its correction stands; beside the error, {_what_changed(wording, case.error)}"


def _what_changed(wording: Wording, original: Wording) -> str:
    added, removed = excess(wording, original)
    if added and removed:
        return f"words changed: {quoted(removed)} became {quoted(added)}"
    if added or removed:
        return f"words changed: {quoted(added or removed)} {'added' if added else 'removed'}"
    if wording.plain == original.plain:
        return "punctuation changes what is negated, said of another person or told of a time"
    return "sentences or words were moved that lean on their place"


def quoted(words: Sequence[str]) -> str:
    """``words`` between quotation marks, shortened."""
    shown = " ".join(words[:_WORDS_SHOWN])
    return f'"{shown} ..."' if len(words) > _WORDS_SHOWN else f'"{shown}"'


def _unknown(reason: str) -> Finding:
    return Finding(None, f"can't tell: {reason}")
