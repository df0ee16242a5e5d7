"""Addresses that look like one and can't be connected to."""

import pytest

from medical_team.errors import EndpointError
from medical_team.network.clients import make_client

ODD_PORTS = ("http://127.0.0.1:99999", "http://127.0.0.1:0", "http://127.0.0.1:+80")
UNBRACKETED = ("http://[::1:8265", "http://::1]:8265", "http://::1:8265", "http://fe80::1")
ODD_HOSTS = ("http://a b", "http://a..b", "http://...", f"http://{'a' * 64}.example")


@pytest.mark.parametrize("url", [*ODD_PORTS, *ODD_HOSTS, *UNBRACKETED])
def test_they_are_refused_before_anything_is_sent(monkeypatch, url):
    monkeypatch.setenv("NO_PROXY", "*")

    with pytest.raises(EndpointError, match="the address of the server can't be used"):
        make_client(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://[::1]:8000/v1", "http://my_judge:80", "https://mü.example"]
)
def test_others_are_none_of_these(monkeypatch, url):
    monkeypatch.setenv("NO_PROXY", "*")

    make_client(url).close()


def test_a_proxy_with_such_an_address_is_refused(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy:99999")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with pytest.raises(EndpointError, match="the proxy that http_proxy names can't be used"):
        make_client("http://judge.example.org")
