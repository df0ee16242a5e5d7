"""Asking the Hugging Face hub about a model: is it there, may this user read it, how large is it. Fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import httpx

from ..errors import EndpointError
from ..network.clients import make_client
from .hub_cache import endpoint, hub_token

SECONDS = 10.0


@dataclass(frozen=True)
class HubAnswer:
    """What the hub says of a model."""

    is_readable: bool
    bytes: int = 0
    """Of its safetensors; 0 where the hub doesn't tell."""
    status: int | None = None
    """None where the hub can't be reached."""
    problem: str = ""


def ask_hub(name: str, environment: Mapping[str, str]) -> HubAnswer:
    """Look for ``name`` on the hub, with the user's token where there is one."""
    token = hub_token(environment)
    headers = {"User-Agent": "medical-team", **({"Authorization": f"Bearer {token.value}"} if token else {})}
    base = endpoint(environment)
    path = quote(name, safe="/")
    try:
        with make_client(base, headers=headers, timeout=SECONDS) as client:
            # A gated model is listed for everybody and read by few: only a file of it tells. Its head is enough.
            file = client.head(f"/{path}/resolve/main/config.json")
            if file.status_code == 404:
                file = client.head(f"/{path}/resolve/main/adapter_config.json")
            if file.status_code >= 400:
                return HubAnswer(False, status=file.status_code)
            listed = client.get(f"/api/models/{path}", params={"blobs": "true"})
            return HubAnswer(True, _size(listed), file.status_code)
    except (httpx.HTTPError, EndpointError) as error:
        return HubAnswer(False, problem=f"{base} can't be reached: {str(error) or type(error).__name__}")


def _size(listed: httpx.Response) -> int:
    try:
        found: Any = listed.json()
        files = cast("list[dict[str, Any]]", found["siblings"])
        return sum(int(file.get("size") or 0) for file in files if str(file["rfilename"]).endswith(".safetensors"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0
