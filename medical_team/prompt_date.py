"""The day that a chat template is told.

Templates such as those of Llama 3, SmolLM3 and Granite ask ``strftime_now`` for it, and would make other prompts on
another day: a resumed run would go on with notes that are asked about differently. So the day is fixed when a run or an
evaluation begins, and the template is given a ``strftime_now`` of its own that knows no other. It is written in the
template's language, since transformers lets no function into a template.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache

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
    filters = "".join(f"|replace({_quoted(old)}, {_quoted(new)})" for old, new in replacements)
    # The line's end is taken off with the block before it, so that what follows begins a line, as it did before.
    return f"{{%- macro {ASKED}(format) -%}}{{{{ format{filters} }}}}{{%- endmacro %}}\n{template}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
