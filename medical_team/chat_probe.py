"""Whether a chat template shows a message as it is.

A template that was made for messages whose content is a list of parts leaves a text out, without any error: the model
would be asked nothing, and answer. So each template is filled with a text that looks like our requests, and the text
must be found in what it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

PROBE = 'Is "5 µg" < 6 & > 4 in this note?\n\n<note>\nThe patient\'s dose: {x} 50 %, "twice".\n</note>'
"""A text with what a template might drop or rewrite: tags, quotation marks, signs of HTML, lines."""

Messages = Sequence[Mapping[str, Any]]
Render = Callable[[Messages, bool], str]
"""Fills the template with messages, for a model that thinks first or not, and begins the assistant's turn."""

MEND = "Take another model, or put a file chat_template.jinja that writes message['content'] beside its weights."
"""What to do about a template that can't be used."""

_WORD = "patient"
_SHOWN_CHARACTERS = 40


def probe_messages(role: str, text: str = PROBE) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": role, "content": text}]


def template_problem(render: Render) -> str | None:
    """Why the template that ``render`` fills can't be used, as the end of a sentence; None if it can.

    Of the roles, only the user's message is used in prompts. Raises what ``render`` raises.
    """
    for is_thinking in (False, True):
        rendered = render(probe_messages("user"), is_thinking)
        if _is_shown(rendered):
            continue
        place = rendered.lower().find(_WORD)
        if place >= 0:
            shown = rendered[max(0, place - _SHOWN_CHARACTERS) : place + _SHOWN_CHARACTERS]
            return f"rewrites what a user's message says (it makes ... {shown!r} ... of a text of ours)"
        reason = ", since it is made for messages whose content is a list of parts" if _takes_parts(render) else ""
        return f"leaves out what a user's message says{reason}: every prompt would be empty"
    return None


def _is_shown(rendered: str) -> bool:
    # Some templates take empty lines out; no word is lost by that.
    return " ".join(PROBE.split()) in " ".join(rendered.split())


def _takes_parts(render: Render) -> bool:
    try:
        return _is_shown(render([{"role": "user", "content": [{"type": "text", "text": PROBE}]}], False))
    except Exception:  # noqa: BLE001 - a template may fail in any way; this only looks for a reason
        return False
