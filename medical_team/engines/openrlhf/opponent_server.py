"""A frozen opponent behind an OpenAI-compatible server: the one player that OpenRLHF's rollout engines don't hold."""

from __future__ import annotations

import asyncio

from ...callbacks import Notify
from ...config import RunConfig
from ...errors import EndpointError
from ...evaluation.endpoint import EndpointRollout
from ...game.rollout import PromptTooLong, Reply, RolloutRequest
from ...network.proxies import privacy_warning
from ...openai_chat import ChatClient, ChatRequest


class OpponentServer:
    """Draws the replies of the fixed opponent of ``config``, which must have one with an address.

    Raises:
        EndpointError: the address or the token can't be used.
    """

    def __init__(self, config: RunConfig, notify: Notify) -> None:
        self._client = _client_of(config, notify)
        self._rollout = EndpointRollout(self._client, config.rollout.temperature)

    async def generate(self, request: RolloutRequest) -> Reply | PromptTooLong:
        """The reply to ``request``, without token ids: nothing is learnt from it.

        Raises:
            EndpointError: the server can't be asked.
        """
        (reply,) = await asyncio.to_thread(self._rollout.generate, [request])
        return reply


def check_opponent_server(config: RunConfig, notify: Notify) -> None:
    """Ask the server of the fixed opponent for a word, where ``config`` names one.

    Raises:
        EndpointError: it can't be asked.
    """
    if config.opponents.url is None:
        return
    if warning := privacy_warning(config.opponents.url, sent="notes", receiver="the opponent"):
        notify(f"warning: {warning}")
    client = _client_of(config, notify)
    try:
        client.complete([ChatRequest("Say: ready", max_tokens=1)])
    except EndpointError as error:
        raise EndpointError(f"the opponent at opponents.url can't play: {error}") from error
    finally:
        client.close()
    notify(f"the opponent {config.opponents.fixed} answers at {config.opponents.url}")


def _client_of(config: RunConfig, notify: Notify) -> ChatClient:
    opponents = config.opponents
    return ChatClient(
        opponents.url or "", opponents.fixed or "", token_variable=opponents.token_variable, notify=notify
    )
