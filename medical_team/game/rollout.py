"""What playing a game needs of a policy: replies to requests. ``policy`` implements it; tests script it. Several
sources of replies may stand behind one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..callbacks import Progress
from ..records import LIVING, Role

REFERENCE = "reference"
"""The version of a speaker: the frozen policy that the run started from."""

FIXED = "fixed"
"""The version of a speaker: a frozen opponent that is no past self of the run."""


@dataclass(frozen=True)
class Speaker:
    """Who gives a reply."""

    role: Role
    version: str = LIVING
    """The policy that learns, its reference, the name of a past self, or a fixed opponent."""

    @property
    def is_living(self) -> bool:
        """Whether the policy that learns speaks, so that its reply can be learnt from."""
        return self.version == LIVING


@dataclass(frozen=True)
class RolloutRequest:
    """One reply that is wanted."""

    speaker: Speaker
    prompt: str
    """The user's message, before the chat template."""
    reply_prefix: str
    """What the assistant's reply already starts with; part of the prompt."""
    max_tokens: int
    seed: int
    """Decides the reply, whatever other requests are drawn together with it."""
    is_greedy: bool = False
    """Take the likeliest token at each step, as evaluation does."""


@dataclass(frozen=True)
class Reply:
    """What the policy said. ``token_ids`` holds the end-of-sequence token where there is one, ``text`` doesn't."""

    text: str
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    """Of each of ``token_ids``, at the sampling temperature."""
    is_finished: bool


@dataclass(frozen=True)
class PromptTooLong:
    """There is no reply because the prompt has more tokens than are allowed. ``explanation`` names the option."""

    explanation: str


class Rollout(Protocol):
    """A source of replies."""

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Progress = ...
    ) -> Sequence[Reply | PromptTooLong]:
        """One reply for each request, in order; none for none."""
        ...


class TrainingRollout(Rollout, Protocol):
    """A source of replies whose living policy learns meanwhile."""

    def follow(self) -> None:
        """The living policy has learnt: speak with its new weights from now on."""
        ...

    def set_past_versions(self, folders: Mapping[str, Path]) -> None:
        """Let exactly these past selves speak under their names; a folder is as a checkpoint's policy is."""
        ...

    def take_metrics(self) -> Mapping[str, float]:
        """What drawing replies took since the last call, under the names of :mod:`..metrics.step_metrics`."""
        ...

    def rest(self) -> None:
        """Nothing is wanted for a while: let others have the memory."""
        ...

    def close(self) -> None:
        """Nothing is wanted any more."""
        ...


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
