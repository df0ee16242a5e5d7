"""Chat templates that ask what day it is, or can't be used; and what day it is, as a test wants it."""

from __future__ import annotations

from datetime import date, datetime, tzinfo

import pytest
import transformers.utils.chat_template_utils

from medical_team import chat_template

DAY = date(2026, 3, 5)
NEXT_DAY = date(2026, 3, 6)

DATED_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if loop.first %}Today is {{ strftime_now('%d %B %Y') }}. {% endif %}{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template that asks what day it is."""

LIST_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Made for messages whose content is a list of parts: of a text it makes nothing."""


def set_clock(monkeypatch: pytest.MonkeyPatch, day: date) -> None:
    """Let it be ``day``, for this package and for the chat templates of transformers."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(day.year, day.month, day.day, 13, 45, tzinfo=tz)

    monkeypatch.setattr(chat_template, "datetime", Clock)
    monkeypatch.setattr(transformers.utils.chat_template_utils, "datetime", Clock)
