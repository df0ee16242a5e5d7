"""What is secret: tokens and passwords, which come from environment variables only and are never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import EndpointError

HIDDEN = "(hidden)"

_TELLING_NAME = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY|(^|_)KEY$", re.IGNORECASE)
_SHORTEST = 6
"""A shorter value is no secret, and hiding it would tear words apart."""
_USER_IN_ADDRESS = re.compile(r"(?<=//)[^/\s\"']+@")
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")


def bearer_token(variable: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token in the environment variable ``variable``; None where it is unset or empty.

    Raises:
        EndpointError: it holds what no token holds, such as quotation marks that were copied with it.
    """
    token = environment.get(variable, "").strip()
    check_token(token, f"the environment variable {variable}")
    return token or None


def check_token(token: str, place: str) -> None:
    """Check that ``token``, which stands in ``place``, can be one.

    Raises:
        EndpointError: it holds what no token holds.
    """
    for character in token:
        if not "!" <= character <= "~":
            raise EndpointError(
                f"{place} holds {character!a}, which no token has. Set it anew, with the token's own characters only."
            )


def secret_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables whose names tell that they hold a secret, with what they hold."""
    stripped = {name: value.strip() for name, value in environment.items() if _TELLING_NAME.search(name)}
    return {name: value for name, value in stripped.items() if len(value) >= _SHORTEST}


def without_user(text: str, instead: str = "") -> str:
    """``text`` without the user and the password of every address in it."""
    return _USER_IN_ADDRESS.sub(instead, text)


@dataclass(frozen=True)
class Secrets:
    """Texts that must not be shown, the longest first: one may hold another."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, environment: Mapping[str, str], others: Iterable[str] = ()) -> Secrets:
        """The secrets of ``environment``, and ``others`` whose place doesn't tell what they are."""
        values = {*secret_variables(environment).values(), *(other for other in others if len(other) >= _SHORTEST)}
        return cls(tuple(sorted(values, key=len, reverse=True)))

    def hidden_in(self, text: str) -> str:
        """``text`` without them, and without what looks like a secret."""
        for value in self.values:
            text = text.replace(value, HIDDEN)
        return without_user(_HUB_TOKEN.sub(HIDDEN, text), f"{HIDDEN}@")
