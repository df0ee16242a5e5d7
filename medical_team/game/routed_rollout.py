"""Several sources of replies as one: speakers of some versions are models of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..callbacks import Progress
from .rollout import PromptTooLong, Reply, Rollout, RolloutRequest, Speaker, TrainingRollout


class RoutedRollout:
    """Asks ``others`` for the versions that they play, and ``main`` for all the rest.

    Args:
        main: whose living policy learns.
        others: frozen models, by the version that they play.
    """

    def __init__(self, main: TrainingRollout, others: Mapping[str, Rollout]) -> None:
        self._main = main
        self._others = dict(others)

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Progress = lambda done, total: None
    ) -> list[Reply | PromptTooLong]:
        """One reply for each request, in order; none for none."""
        places: dict[str | None, list[int]] = {}
        for place, request in enumerate(requests):
            version = request.speaker.version
            places.setdefault(version if version in self._others else None, []).append(place)
        replies: dict[int, Reply | PromptTooLong] = {}
        for version, own in places.items():
            rollout = self._main if version is None else self._others[version]
            done = len(replies)
            asked = [requests[place] for place in own]
            if version is not None:
                # Of its own model, a fixed opponent is the only version.
                asked = [replace(request, speaker=Speaker(request.speaker.role)) for request in asked]
            drawn = rollout.generate(
                asked,
                lambda count, _, before=done: on_progress(before + count, len(requests)),
            )
            replies.update(zip(own, drawn, strict=True))
        return [replies[place] for place in range(len(requests))]

    def take_metrics(self) -> Mapping[str, float]:
        """Those of the main source."""
        return self._main.take_metrics()

    def follow(self) -> None:
        """The living policy has learnt; the others never do."""
        self._main.follow()

    def set_past_versions(self, folders: Mapping[str, Path]) -> None:
        """Past selves are the main source's."""
        self._main.set_past_versions(folders)

    def rest(self) -> None:
        """Nothing is wanted of the main source for a while."""
        self._main.rest()

    def close(self) -> None:
        """Nothing is wanted of the main source any more."""
        self._main.close()
