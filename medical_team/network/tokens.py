"""Bearer tokens, which come from environment variables only."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import EndpointError


def bearer_token(variable: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token in the environment variable ``variable``; None where it is unset or empty.

    Raises:
        EndpointError: it holds what no token holds, such as quotation marks that were copied with it.
    """
    token = environment.get(variable, "").strip()
    for character in token:
        if not "!" <= character <= "~":
            raise EndpointError(
                f"the environment variable {variable} holds {character!a}, which no token has. Set it anew, with "
                "the token's own characters only."
            )
    return token or None
