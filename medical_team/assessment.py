"""What an assessor says of a note: the verdict, and by some rules where the error is and how it is put right.

Standard library and Python 3.10 alone: other engines play by these rules.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from .game_config import Assessor
from .parsing import UNSEEN, VERDICT_TRIM, parse_verdict
from .records import Game, Labels, Verdict
from .sentence_edits import BEHIND_NUMBER, NumberedNote, without_direction_marks, without_emphasis
from .words import fold_white_space, folded_words

_LOCATED = re.compile(
    rf"""harmful[{UNSEEN}]*\b[\s,;:：(\[#*_`"'“”‘’「『{UNSEEN}]*(?:sentence\b[\s#:：{UNSEEN}]*)?(\d{{1,6}})(?:{BEHIND_NUMBER}(.*))?[\s)\]]*""",
    re.IGNORECASE | re.DOTALL,
)
"""The verdict, a number of any script, and what follows a colon; a minus is no part of a number here."""


_QUOTES = ('""', "''", "“”", "‘’", "„“", "«»", "‹›", "「」", "『』")


@dataclass(frozen=True)
class Assessment:
    """What an assessor's answer says."""

    verdict: Verdict
    location: int | None = None
    """Number of the wrong sentence; None for Safe, and where no number is asked for."""
    correction: str | None = None
    """The sentence put right; None for Safe, and where no correction is asked for."""


def read_assessment(answer: str, asked: Assessor, numbers: Container[int]) -> Assessment | str:
    """What ``answer``, an assessor's public answer, says; or why it is no verdict.

    All of it holds or nothing does. Where a number is asked for, Harmful without one, with several, or with one that is
    not among ``numbers``, the sentences of the note, is no verdict, and neither is Safe with a number. Where a
    correction is asked for, it is one line with words behind a colon.
    """
    verdict = parse_verdict(answer)
    if asked == "verdict" or verdict is Verdict.SAFE:
        return "the assessor's public answer is neither Safe nor Harmful" if verdict is None else Assessment(verdict)
    if verdict is Verdict.HARMFUL:
        return "the assessor says Harmful and names no sentence"
    said = without_direction_marks(answer).lstrip(VERDICT_TRIM)
    # The end of a correction stays as it is, unless quotes are around all of it.
    is_quoted = any(answer.strip().startswith(first) and said.endswith(last) for first, last in _QUOTES)
    match = _LOCATED.fullmatch(said.rstrip(VERDICT_TRIM) if asked == "locate" else said[: -1 if is_quoted else None])
    if match is None or (asked == "locate" and (match.group(2) or "").strip()):
        return "the assessor's public answer is neither Safe nor Harmful with the number of a sentence"
    number = int(match.group(1))
    if number not in numbers:
        return f"the assessor names sentence {number}, which the note doesn't have"
    if asked == "locate":
        return Assessment(Verdict.HARMFUL, number)
    lines = [without_emphasis(line) for line in (match.group(2) or "").splitlines() if folded_words(line)]
    if len(lines) != 1:
        return f"the assessor's correction of sentence {number} has {len(lines)} lines, and one is expected"
    return Assessment(Verdict.HARMFUL, number, lines[0])


def note_read(game: Game) -> NumberedNote:
    """The note of ``game`` by its sentences, as its assessor is shown them."""
    return NumberedNote(game.note or "", game.sentence_starts)


def error_location(game: Game) -> int | None:
    """Number of the sentence with the error in a note that has one; None where nobody can tell.

    The case's wrong sentence, where it stands in the note as it was; else the only sentence that the attacker changed.
    """
    spec = game.spec
    seed = NumberedNote(spec.seed_note, spec.sentence_starts)
    before, now = ([fold_white_space(sentence) for sentence in note.sentences] for note in (seed, note_read(game)))
    at_stake = seed.number_of(spec.pair.error_sentence) if spec.data_type.is_harmful else None
    places = [] if at_stake is None else [place for place, words in enumerate(now) if words == before[at_stake]]
    if not places:
        places = [place for place, words in enumerate(now) if words not in before]
    return places[0] if len(places) == 1 else None


def has_found_error(game: Game) -> bool:
    """Whether the judge sees an error in the note of ``game``, and its assessor says Harmful."""
    return isinstance(game.ruling, Labels) and game.ruling.error_present and game.ruling.error_detected is True


def is_located(game: Game) -> bool | None:
    """Whether the assessor of ``game``, who found an error, names its sentence.

    None where it wasn't asked to, or found none, and where nobody can tell the sentence.
    """
    if game.location is None or not has_found_error(game):
        return None
    place = error_location(game)
    return None if place is None else game.location == place


def corrected_note(game: Game) -> str | None:
    """The note of ``game`` with its assessor's correction; None where it gave none."""
    if game.location is None or game.correction is None:
        return None
    return note_read(game).edited({game.location: game.correction}).text
