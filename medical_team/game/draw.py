"""Which games are played in which step: a pure function of the data, the seed and the step.

Each epoch is a permutation of the records for its (seed, epoch), stratified by category: every stretch of it holds
the categories in their shares of the data. Steps cut this endless sequence into batches, so that the last batch of
an epoch is filled up from the next. No random state is carried along, and any step can be drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ..errors import UsageError
from ..game_config import GameConfig
from ..records import DataType, GameSpec, TrainingRecord
from ..seeds import derived_random


class GameDraw:
    """Draws the games of a run.

    Args:
        records: what to play with.
        config: the rules; the ablations decide which records are played and how.
        games_per_step: games of one step.
        seed: the run's seed.

    Raises:
        UsageError: no record is left to play with.
    """

    def __init__(
        self, records: Sequence[TrainingRecord], config: GameConfig, *, games_per_step: int, seed: int
    ) -> None:
        self._records = playable_records(records, config)
        self._is_vanilla_only = config.no_attacker_turn
        self._games_per_step = games_per_step
        self._seed = seed
        # Consecutive steps mostly share an epoch; a batch may reach into a second one.
        self._epoch_order = lru_cache(maxsize=2)(self._make_epoch_order)

    @property
    def records(self) -> Sequence[TrainingRecord]:
        """The records that can be drawn."""
        return self._records

    def specs(self, step: int) -> tuple[GameSpec, ...]:
        """The games of ``step``, which counts from 0."""
        first = step * self._games_per_step
        return tuple(self.spec(first + index) for index in range(self._games_per_step))

    def more_specs(self, step: int, first: int, count: int) -> tuple[GameSpec, ...]:
        """Further games of ``step``, numbered from ``first`` in it, for a step that wants more than its own number."""
        order = self._order("more", step)
        places = (order[(first + index) % len(order)] for index in range(count))
        return tuple(self._spec(self._records[place], step, first + index) for index, place in enumerate(places))

    def replacements(self, step: int, first: int, count: int) -> tuple[GameSpec, ...]:
        """Games to be played in the place of a game of ``step``, numbered from ``first`` in it.

        Each is drawn by itself from all records: in a step's own order the places that games of one fate have in common
        would be of one category.
        """
        random = derived_random(self._seed, "replacements", step, first)
        places = [random.randrange(len(self._records)) for _ in range(count)]
        return tuple(self._spec(self._records[place], step, first + index) for index, place in enumerate(places))

    def spec(self, number: int) -> GameSpec:
        """The game with this ``number`` in the run, counted from 0 over all steps."""
        epoch, place = divmod(number, len(self._records))
        return self.spec_of(self._records[self._epoch_order(epoch)[place]], number)

    def spec_of(self, record: TrainingRecord, number: int) -> GameSpec:
        """``record`` as the game with this ``number``, whatever would be drawn for it."""
        return self._spec(record, *divmod(number, self._games_per_step))

    def _spec(self, record: TrainingRecord, step: int, index: int) -> GameSpec:
        return numbered_game(record, step, index, is_vanilla=self._is_vanilla_only)

    def _make_epoch_order(self, epoch: int) -> Sequence[int]:
        return self._order("draw", epoch)

    def _order(self, purpose: str, number: int) -> Sequence[int]:
        places: list[tuple[float, int, int]] = []
        for rank, data_type in enumerate(DataType):
            members = [index for index, record in enumerate(self._records) if record.data_type is data_type]
            derived_random(self._seed, purpose, number, data_type.value).shuffle(members)
            # Spread each category evenly over the unit interval; sorting then interleaves them in their shares.
            places.extend(((place + 0.5) / len(members), rank, index) for place, index in enumerate(members))
        return [index for _, _, index in sorted(places)]


def numbered_game(record: TrainingRecord, step: int, index: int, *, is_vanilla: bool) -> GameSpec:
    """``record`` as the game ``index`` of ``step``, with an id unique in a run; nothing is hidden if ``is_vanilla``."""
    data_type = record.data_type.vanilla if is_vanilla else record.data_type
    return GameSpec.of(record, data_type, game_id=f"step-{step:06d}-game-{index:04d}", step=step)


def playable_records(records: Sequence[TrainingRecord], config: GameConfig) -> Sequence[TrainingRecord]:
    """The records that the rules allow: without an assessor to train, vanilla records have nobody to train.

    Raises:
        UsageError: none is left.
    """
    playable = [record for record in records if not config.no_defender_turn or record.data_type.is_adversarial]
    if not playable:
        raise UsageError(
            "no record is left to play with: game.no_defender_turn plays only adversarial records, "
            "and the data has none"
        )
    return playable
