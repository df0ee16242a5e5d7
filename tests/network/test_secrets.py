import pytest

from medical_team.errors import EndpointError
from medical_team.network.secrets import Secrets, bearer_token, secret_variables, without_user


@pytest.mark.parametrize(("value", "token"), [("sk-1_a=", "sk-1_a="), (" sk-1\n", "sk-1"), ("", None), ("  ", None)])
def test_a_token_is_taken_without_white_space_around_it(value: str, token: str | None) -> None:
    assert bearer_token("SOME_TOKEN", {"SOME_TOKEN": value}) == token


def test_a_variable_that_is_not_set_holds_no_token() -> None:
    assert bearer_token("SOME_TOKEN", {}) is None


@pytest.mark.parametrize(("value", "shown"), [("\u201csk-1\u201d", "u201c"), ("sk 1", "' '"), ("sk-1\n2", "n")])
def test_what_no_token_holds_is_named_and_the_token_is_not(value: str, shown: str) -> None:
    with pytest.raises(EndpointError) as caught:
        bearer_token("SOME_TOKEN", {"SOME_TOKEN": value})

    message = str(caught.value)
    assert "SOME_TOKEN" in message
    assert shown in message
    assert "sk" not in message


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "MY_API_KEY", "OPENAI_APIKEY", "db_password", "AWS_SECRET_ACCESS_KEY", "WANDB_KEY"]
)
def test_a_variable_with_a_telling_name_holds_a_secret(name: str) -> None:
    assert secret_variables({name: " abc123 "}) == {name: "abc123"}
    assert Secrets.of({name: "abc123"}).hidden_in("it is abc123.") == "it is (hidden)."


@pytest.mark.parametrize(
    ("name", "value"),
    [("HOME", "/home/me"), ("TOKENIZERS_PARALLELISM", "falsely"), ("KEYBOARD", "german"), ("A_KEY", "1")],
)
def test_others_and_short_values_hold_none(name: str, value: str) -> None:
    assert secret_variables({name: value}) == {}


def test_who_an_address_is_for_is_left_out() -> None:
    assert without_user("url = 'http://me:pass@host:8/v1' # me@host") == "url = 'http://host:8/v1' # me@host"
