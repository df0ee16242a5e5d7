"""A served model as a source of replies."""

from __future__ import annotations

from collections.abc import Sequence

from ..callbacks import Progress
from ..game.rollout import PromptTooLong, Reply, RolloutRequest
from ..openai_chat import ChatClient, ChatRefusal, ChatRequest

_SEEDS = 2**31


class EndpointRollout:
    """The :class:`..game.rollout.Rollout` over an OpenAI-compatible server.

    A server takes no beginning of a reply, so a request's ``reply_prefix`` is left out; its prompt names the format all
    the same. Token ids and log-probs are not known.

    Args:
        client: the server.
        temperature: of requests that are not greedy.
    """

    def __init__(self, client: ChatClient, temperature: float) -> None:
        self._client = client
        self._temperature = temperature

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Progress = lambda done, total: None
    ) -> list[Reply | PromptTooLong]:
        """One reply for each request, in order; none for none. Progress is told when all are there.

        Raises:
            EndpointError: the server can't be asked.
        """
        replies = self._client.complete(
            [
                ChatRequest(
                    request.prompt,
                    request.max_tokens,
                    temperature=0.0 if request.is_greedy else self._temperature,
                    seed=None if request.is_greedy else request.seed % _SEEDS,
                )
                for request in requests
            ]
        )
        on_progress(len(requests), len(requests))
        return [
            PromptTooLong(reply.reason)
            if isinstance(reply, ChatRefusal)
            else Reply(reply.text, (), (), (), reply.is_finished)
            for reply in replies
        ]
