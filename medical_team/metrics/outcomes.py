"""How a game ended, in one word: what the browser of games and ``medical-team games`` filter by."""

from __future__ import annotations

from enum import Enum

from ..records import Game, Labels


class Outcome(str, Enum):
    """What came of a game. The assessor wins by the first two, the attacker (if it played) by the next two."""

    ERROR_FOUND = "error_found"
    RIGHTLY_SAFE = "rightly_safe"
    ERROR_MISSED = "error_missed"
    FALSE_ALARM = "false_alarm"
    UNDECIDED = "undecided"
    """No revision, no verdict, or no ruling that decides."""


def outcome_of(game: Game) -> Outcome:
    """What came of ``game``."""
    ruling = game.ruling
    if not isinstance(ruling, Labels):
        return Outcome.UNDECIDED
    if ruling.error_present:
        return Outcome.ERROR_FOUND if ruling.error_detected else Outcome.ERROR_MISSED
    return Outcome.FALSE_ALARM if ruling.error_detected else Outcome.RIGHTLY_SAFE
