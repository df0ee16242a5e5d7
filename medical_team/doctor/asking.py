"""A question over HTTP, without patience and without a second try."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from pydantic import JsonValue

from ..errors import EndpointError
from ..judge.client import json_or_none
from ..network.clients import make_client, whole_answer

_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int | None
    """None where there was no answer."""
    body: JsonValue
    """None where it is no JSON."""
    seconds: float
    problem: str = ""
    """Why there was no answer."""
    is_refused: bool = False
    """Whether nothing listens there."""
    is_unasked: bool = False
    """Whether the question was not even sent, for example because the proxy can't be used."""

    @property
    def reason(self) -> str:
        """What is wrong with an answer that is not 200, in the service's own words where it has any."""
        if self.problem:
            return self.problem
        told = self.body.get("detail", self.body.get("status")) if isinstance(self.body, dict) else None
        return f"HTTP {self.status}" + (f": {json.dumps(told)[:200]}" if told else "")


def ask(base: str, path: str, *, token: str | None, seconds: float, body: Mapping[str, object] | None = None) -> Answer:
    """GET ``path``, or POST ``body`` to it. Never raises for what the network does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    started = time.monotonic()
    try:
        with make_client(base, headers=headers) as client:
            status, _, content = whole_answer(client, path, seconds=seconds, most_bytes=_MOST_BYTES, json=body)
        return Answer(status, json_or_none(content), time.monotonic() - started)
    except httpx.ConnectError as error:
        return Answer(None, None, time.monotonic() - started, str(error) or "no connection", is_refused=True)
    except httpx.TimeoutException:
        return Answer(None, None, time.monotonic() - started, f"no answer within {seconds:g} seconds")
    except EndpointError as error:
        return Answer(None, None, time.monotonic() - started, str(error), is_unasked=True)
    except (httpx.HTTPError, UnicodeError) as error:
        return Answer(None, None, time.monotonic() - started, str(error) or type(error).__name__)
