from __future__ import annotations

from datetime import date
from typing import Any, cast

import pytest
from transformers.utils import chat_template_utils

from chat_templates import DAY, LIST_TEMPLATE, NEXT_DAY, set_clock
from medical_team.chat_template import Messages, asks_for_day, dated_template, day_of, template_problem, today
from tiny_models import Architecture, make_tiny_model


def problem_of(template: str) -> str | None:
    def render(messages: Messages, is_thinking: bool) -> str:
        return cast("Any", chat_template_utils).render_jinja_template(
            [list(messages)], chat_template=template, add_generation_prompt=True, enable_thinking=is_thinking
        )[0][0]

    return template_problem(render)


def template_of(architecture: Architecture) -> str:
    return cast("Any", make_tiny_model(architecture=architecture)[1]).chat_template


GOOD = {
    "chatml": template_of("llama"),
    "trimmed": template_of("gemma3"),
    "text or parts": (
        "{% for m in messages %}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
        "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endif %}{% endfor %}"
    ),
    "without empty lines": "{{ messages[0]['content'].replace('\n\n', '\n') }}",
    "with a switch": "{{ messages[-1]['content'] }}{% if enable_thinking %}<think>{% endif %}",
}


@pytest.mark.parametrize("template", GOOD.values(), ids=GOOD)
def test_a_template_that_shows_the_message_is_good(template: str) -> None:
    assert problem_of(template) is None


@pytest.mark.parametrize(
    "template",
    [
        LIST_TEMPLATE,
        "{% for m in messages if m['role'] == 'system' %}{{ m['content'] }}{% endfor %}",
        "{% if enable_thinking %}{{ messages[0]['content'] }}{% endif %}",
        "{% if not enable_thinking %}{{ messages[0]['content'] }}{% endif %}",
        "{% for m in messages[1:] %}{{ m['content'] }}{% endfor %}",
        "Hello.",
    ],
)
def test_a_template_that_leaves_the_message_out_is_told_so(template: str) -> None:
    problem = problem_of(template)

    assert problem is not None
    assert problem.startswith("leaves out what a user's message says (it may be made for lists of parts)")


@pytest.mark.parametrize("change", ["|e", "|upper", "|replace('<note>', '')", ".split('</note>')[0]", "|tojson"])
def test_a_template_that_rewrites_the_message_is_told_with_what_it_makes(change: str) -> None:
    problem = problem_of("{{ messages[0]['content']" + change + " }}")

    assert problem is not None
    assert problem.startswith("rewrites what a user's message says (it makes ... ")
    assert "patient" in problem.lower()


def test_a_template_that_fails_raises_its_own_error() -> None:
    with pytest.raises(Exception, match="no users here"):
        problem_of("{{ raise_exception('no users here') }}")


MESSAGES = [[{"role": "user", "content": "Is it safe? 100%d"}]]

TEMPLATES = {
    "as Llama 3": (
        "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n"
        '        {%- set date_string = strftime_now("%d %b %Y") %}\n    {%- else %}\n'
        '        {%- set date_string = "26 Jul 2024" %}\n    {%- endif %}\n{%- endif %}\n'
        '{{- "Today Date: " + date_string + "\\n\\n" }}{{ messages[0].content }}'
    ),
    "as SmolLM3": '{%- set today = strftime_now("%d %B %Y") -%}\n{{ "Today: " ~ today }}\n{{ messages[0].content }}',
    "as Granite": "{%- set system = 'Date: ' + strftime_now('%B %d, %Y') + '.' %}{{ system }}{{ messages[0].content }}",
    "inside a macro": (
        '{% macro head(name) %}{{ name }} on {{ strftime_now("%A, %-d/%m/%y") }}{% endmacro %}'
        "{{ head('It') }}: {{ messages[0].content }}"
    ),
    "by name, sliced and computed with": (
        '{% set ask = strftime_now %}{{ ask(format="%Y%m%d")[2:] }} {{ strftime_now("%Y")|int + 1 }} %d'
    ),
    "with other signs": '{{ strftime_now("100%% of %%d, %j %U %p %H:%M:%S {%d}") }}',
    "beginning with a line's end": "\n\n{% if true %}\n  {{ strftime_now('%d') }}\n{% endif %}\n",
    "beginning with an indented block": "  {% if true %}\n  {{ strftime_now('%d') }}\n  {% endif %}\n",
    "beginning with spaces": "   {{ strftime_now('%d') }}",
}


def rendered(template: str) -> str:
    return cast("Any", chat_template_utils).render_jinja_template(MESSAGES, chat_template=template, bos_token="<s>")[0][
        0
    ]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_dated_template_gives_on_every_day_what_the_template_itself_gives_on_that_day(
    monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", type("Noon", (), {"now": lambda: None}))
    dated = rendered(dated_template(template, DAY))

    set_clock(monkeypatch, DAY)
    expected = rendered(template)

    assert dated == expected.replace("13:45:00", "00:00:00").replace("PM", "AM")
    assert asks_for_day(template)


def test_another_day_is_another_text() -> None:
    template = TEMPLATES["as Llama 3"]

    assert "Today Date: 05 Mar 2026" in rendered(dated_template(template, DAY))
    assert "Today Date: 06 Mar 2026" in rendered(dated_template(template, NEXT_DAY))


def test_a_template_that_does_not_ask_is_left_alone() -> None:
    template = "{{ messages[0].content }} %d"

    assert dated_template(template, DAY) is template
    assert not asks_for_day(template)
    assert not asks_for_day(None)


def test_a_day_is_written_as_iso_8601_has_it() -> None:
    assert day_of("2026-03-05") == DAY


@pytest.mark.parametrize("text", ["", "today", "20260305", "2026-W10-4", "2026-3-5", "2026-02-30", "2026-03-05T00:00"])
def test_what_is_no_day_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"2026-03-05|day is out of range"):
        day_of(text)


def test_today_is_the_day_here(monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, date(2027, 12, 31))

    assert today() == date(2027, 12, 31)
