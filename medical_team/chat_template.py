"""What a chat template must do: show a message as it is, and know no other day than the one it is told.

A template that was made for messages whose content is a list of parts leaves a text out, without any error: the model
would be asked nothing, and answer. So each template is filled with a text that looks like our requests, and the text
must be found in what it makes.

Templates such as those of Llama 3, SmolLM3 and Granite ask ``strftime_now`` what day it is, and would make other
prompts on another day: a resumed run would go on with notes that are asked about differently. So the day is fixed when
a run or an evaluation begins, and the template is given a ``strftime_now`` of its own that knows no other. It is
written in the template's language, since transformers lets no function into a template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
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
        return "leaves out what a user's message says (it may be made for lists of parts): every prompt would be empty"
    return None


def _is_shown(rendered: str) -> bool:
    # Some templates take empty lines out; no word is lost by that.
    return " ".join(PROBE.split()) in " ".join(rendered.split())


ASKED = "strftime_now"
"""By this name templates ask what day it is."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Those of C99, with glibc's flag for numbers without a zero before them.
_DIRECTIVE = re.compile(r"%-?[aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZf]")
# Stands for %% while the others are replaced; no date holds it, since it is nobody's character.
_PERCENT = "\ue000"


def today() -> date:
    """The day here and now."""
    return datetime.now().astimezone().date()


def day_of(text: str) -> date:
    """The day that ``text`` names, such as 2026-03-05.

    Raises:
        ValueError: it names none.
    """
    if not _DAY.fullmatch(text):
        raise ValueError(f"{text!r} is no day, expected one such as 2026-03-05")
    return date.fromisoformat(text)


def asks_for_day(template: object) -> bool:
    """Whether ``template``, a chat template or whatever stands in its place, asks what day it is."""
    return ASKED in str(template)


@lru_cache(maxsize=64)
def dated_template(template: str, day: date) -> str:
    """``template`` where it is always ``day``, at midnight. One that doesn't ask is returned as it is."""
    if not asks_for_day(template):
        return template
    moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - as templates ask, without a time zone
    # The longer ones first: %-d holds no %d, but nothing should hang on that.
    directives = sorted(set(_DIRECTIVE.findall(template)), key=len, reverse=True)
    replacements = [("%%", _PERCENT), *((each, moment.strftime(each)) for each in directives), (_PERCENT, "%")]
    quoted = [[json.dumps(text, ensure_ascii=False) for text in pair] for pair in replacements]
    filters = "".join(f"|replace({old}, {new})" for old, new in quoted)
    # The line's end is taken off with the block before it, so that what follows begins a line, as it did before.
    return f"{{%- macro {ASKED}(format) -%}}{{{{ format{filters} }}}}{{%- endmacro %}}\n{template}"
