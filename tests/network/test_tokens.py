import pytest

from medical_team.errors import EndpointError
from medical_team.network.tokens import bearer_token


@pytest.mark.parametrize(("value", "token"), [("sk-1_a=", "sk-1_a="), (" sk-1\n", "sk-1"), ("", None), ("  ", None)])
def test_a_token_is_taken_without_white_space_around_it(value, token):
    assert bearer_token("SOME_TOKEN", {"SOME_TOKEN": value}) == token


def test_a_variable_that_is_not_set_holds_no_token():
    assert bearer_token("SOME_TOKEN", {}) is None


@pytest.mark.parametrize(("value", "shown"), [("\u201csk-1\u201d", "u201c"), ("sk 1", "' '"), ("sk-1\n2", "n")])
def test_what_no_token_holds_is_named_and_the_token_is_not(value, shown):
    with pytest.raises(EndpointError) as caught:
        bearer_token("SOME_TOKEN", {"SOME_TOKEN": value})

    message = str(caught.value)
    assert "SOME_TOKEN" in message
    assert shown in message
    assert "sk" not in message
