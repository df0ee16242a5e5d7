"""Choosing games by what they are and by what was said in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..error_types import WantedErrorTypes
from ..metrics.run_reader import Outcome, outcome_of
from ..records import DataType, Game, GameState


@dataclass(frozen=True)
class GameFilter:
    """What is wanted of a game; an empty tuple, None or an empty text wants nothing in particular."""

    categories: tuple[DataType, ...] = ()
    error_types: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    states: tuple[GameState, ...] = ()
    judges: tuple[str, ...] = ()
    """Sources of rulings."""
    first_step: int | None = None
    last_step: int | None = None
    ids: tuple[str, ...] = ()
    search: str = ""
    """A text that stands, in any case, in the game's id or in anything that was said."""

    def matches(self, game: Game) -> bool:
        """Whether ``game`` is wanted."""
        spec = game.spec
        source = game.ruling.source if game.ruling is not None else ""
        return (
            _is_among(spec.data_type, self.categories)
            and spec.pair.error_type in WantedErrorTypes.of(self.error_types, [spec.pair.error_type])
            and _is_among(outcome_of(game), self.outcomes)
            and _is_among(game.state, self.states)
            and _is_among(source, self.judges)
            and _is_among(spec.id, self.ids)
            and (self.first_step is None or spec.step >= self.first_step)
            and (self.last_step is None or spec.step <= self.last_step)
            and self._is_found_in(game)
        )

    def _is_found_in(self, game: Game) -> bool:
        wanted = self.search.lower()
        return not wanted or any(wanted in text.lower() for text in _texts(game))


def _is_among(value: object, wanted: tuple[object, ...]) -> bool:
    return not wanted or value in wanted


def _texts(game: Game) -> Iterator[str]:
    """All that the page searches in, too."""
    pair = game.spec.pair
    yield from (game.spec.id, pair.case_id, game.spec.seed_note, pair.error_sentence, pair.corrected_sentence)
    yield from (game.note or "", game.reason, game.verdict.value if game.verdict else "")
    if game.ruling is not None:
        yield game.ruling.reason
    for turn in game.turns:
        yield turn.thinking
        yield turn.answer
