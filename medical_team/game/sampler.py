"""What playing a game needs of a policy: replies to requests. ``policy`` implements it; tests script it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..records import Role


@dataclass(frozen=True)
class SampleRequest:
    """One reply that is wanted."""

    role: Role
    prompt: str
    """The user's message, before the chat template."""
    reply_prefix: str
    """What the assistant's reply already starts with; part of the prompt."""
    max_tokens: int
    seed: int
    """Decides the reply, whatever other requests are drawn together with it."""
    is_reference: bool = False
    """Ask the frozen reference policy instead of the policy that learns."""
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


class Sampler(Protocol):
    """A source of replies."""

    def sample(self, requests: Sequence[SampleRequest]) -> Sequence[Reply | PromptTooLong]:
        """One reply for each request, in order; none for none."""
        ...
