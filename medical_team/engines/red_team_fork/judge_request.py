"""Asking the judge's service as the fork's trainer does, with the standard library alone.

One POST for all games of a step, 180 seconds of patience, five tries one second apart. The labels belong to the games
by their place in the list, so that a full list is all that is accepted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import OpenerDirector, Request

from ...errors import EndpointError
from ...network.proxies import is_address, make_opener

TIMEOUT_SECONDS = 180.0
TRIES = 5
SECONDS_BETWEEN_TRIES = 1.0
MOST_REPLY_BYTES = 64 * 2**20

_WORTH_ANOTHER_TRY = (408, 429)


def request_labels(
    url: str, queries: Sequence[Mapping[str, Any]], *, sleep: Callable[[float], None] = time.sleep
) -> list[dict[str, Any]]:
    """The judge's labels of ``queries``, in their order.

    Args:
        url: the address of the service's ``/judge`` or ``/classify``.
        queries: ``game_idx``, ``prompt`` (the note as the assessor read it) and ``response`` of each game.
        sleep: waits so many seconds for a service that is away.

    Raises:
        EndpointError: the service is away, refuses, is behind a proxy that can't be used, or doesn't answer with a
            label for each query.
    """
    if not is_address(url):
        raise EndpointError(f"{url!r} is no address of a judge: it looks like http://127.0.0.1:8000/judge")
    body = json.dumps({"queries": list(queries), "prompts": None}).encode()
    opener = make_opener(url)
    request = Request(url, body, {"Content-Type": "application/json"})
    trouble = ""
    for attempt in range(TRIES):
        if attempt:
            sleep(SECONDS_BETWEEN_TRIES)
        try:
            return _labels_in(_answer(opener, request), len(queries))
        except HTTPError as error:
            error.close()
            trouble = f"HTTP {error.code} {error.reason}"
            if error.code < 500 and error.code not in _WORTH_ANOTHER_TRY:
                break
        except (OSError, HTTPException, ValueError) as error:
            trouble = str(error) or type(error).__name__
    health = url.rsplit("/", 1)[0] + "/health"
    raise EndpointError(
        f"the judge at {url} gave no labels: {trouble}. Look whether it is ready: curl {health}; "
        "start one: medical-team judge serve"
    )


def _answer(opener: OpenerDirector, request: Request) -> bytes:
    with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        answer: bytes = response.read(MOST_REPLY_BYTES + 1)
    if len(answer) > MOST_REPLY_BYTES:
        raise ValueError(f"the reply is larger than {MOST_REPLY_BYTES} bytes")
    return answer


def _labels_in(answer: bytes, count: int) -> list[dict[str, Any]]:
    try:
        reply: Any = json.loads(answer)
    except ValueError:
        raise ValueError("the reply is no JSON") from None
    labels: Any = cast("dict[str, Any]", reply).get("labels") if isinstance(reply, dict) else None
    if not isinstance(labels, list) or not all(isinstance(label, dict) for label in cast("list[Any]", labels)):
        raise ValueError('the reply has no list "labels" of objects')
    labels = cast("list[dict[str, Any]]", labels)
    if len(labels) != count:
        raise ValueError(f"the reply has {len(labels)} labels for {count} games")
    return labels
