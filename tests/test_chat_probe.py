import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from chat_templates import LIST_TEMPLATE
from medical_team.chat_probe import template_problem
from medical_team.policy.shipped_models import make_tiny_model


def problem_of(template: str) -> str | None:
    def render(messages, is_thinking: bool) -> str:
        return render_jinja_template(
            [list(messages)], chat_template=template, add_generation_prompt=True, enable_thinking=is_thinking
        )[0][0]

    return template_problem(render)


GOOD = {
    "chatml": make_tiny_model(architecture="llama")[1].chat_template,
    "trimmed": make_tiny_model(architecture="gemma3")[1].chat_template,
    "text or parts": (
        "{% for m in messages %}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
        "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endif %}{% endfor %}"
    ),
    "without empty lines": "{{ messages[0]['content'].replace('\n\n', '\n') }}",
    "with a switch": "{{ messages[-1]['content'] }}{% if enable_thinking %}<think>{% endif %}",
}


@pytest.mark.parametrize("template", GOOD.values(), ids=GOOD)
def test_a_template_that_shows_the_message_is_good(template):
    assert problem_of(template) is None


def test_a_template_made_for_lists_leaves_the_message_out_and_is_told_so():
    assert problem_of(LIST_TEMPLATE) == (
        "leaves out what a user's message says, since it is made for messages whose content is a list of parts: every "
        "prompt would be empty"
    )


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages if m['role'] == 'system' %}{{ m['content'] }}{% endfor %}",
        "{% if enable_thinking %}{{ messages[0]['content'] }}{% endif %}",
        "{% if not enable_thinking %}{{ messages[0]['content'] }}{% endif %}",
        "{% for m in messages[1:] %}{{ m['content'] }}{% endfor %}",
        "Hello.",
    ],
)
def test_a_template_that_leaves_the_message_out_in_any_other_way(template):
    assert problem_of(template) == "leaves out what a user's message says: every prompt would be empty"


@pytest.mark.parametrize("change", ["|e", "|upper", "|replace('<note>', '')", ".split('</note>')[0]", "|tojson"])
def test_a_template_that_rewrites_the_message_is_told_with_what_it_makes(change):
    problem = problem_of("{{ messages[0]['content']" + change + " }}")

    assert problem is not None
    assert problem.startswith("rewrites what a user's message says (it makes ... ")
    assert "patient" in problem.lower()


def test_a_template_that_fails_raises_its_own_error():
    with pytest.raises(Exception, match="no users here"):
        problem_of("{{ raise_exception('no users here') }}")
