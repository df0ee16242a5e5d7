"""How software misreads UTF-8."""

from __future__ import annotations

_UNDEFINED_IN_CP1252 = (0x81, 0x8D, 0x8F, 0x90, 0x9D)


def as_cp1252(text: str) -> str:
    """``text`` in UTF-8, taken for cp1252 as browsers and Excel do it: what that leaves undefined is a control."""
    return "".join(
        chr(byte) if byte in _UNDEFINED_IN_CP1252 else bytes([byte]).decode("cp1252") for byte in text.encode()
    )


def as_latin_1(text: str) -> str:
    """``text`` in UTF-8, taken for latin-1."""
    return text.encode().decode("latin-1")


def as_mac_roman(text: str) -> str:
    """``text`` in UTF-8, taken for Mac Roman."""
    return text.encode().decode("mac_roman")
