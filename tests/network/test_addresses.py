import socket

import pytest

from medical_team.network.addresses import host_of, is_loopback, is_on_this_machine

LOOPBACK = [
    "localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "0x7f.1",
    "0x7f000001", "2130706433", "0177.0.0.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1",
]  # fmt: skip
BEYOND = [
    "example.org", "localhost.example.org", "127.0.0.1.example.org", "notlocalhost", "10.0.0.7", "128.0.0.1", "::2",
    "::ffff:10.0.0.7", "2130706434000", "fe80::1",
]  # fmt: skip


def in_url(host: str) -> str:
    return f"http://[{host}]:8000/v1" if ":" in host else f"http://{host}:8000/v1"


@pytest.mark.parametrize("host", LOOPBACK)
def test_every_spelling_of_the_loopback_is_this_machine(host):
    found = {item[4][0] for item in socket.getaddrinfo(host.rstrip("."), 80, type=socket.SOCK_STREAM)}

    assert is_loopback(host)
    assert is_on_this_machine(in_url(host))
    assert all(address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1") for address in found)


@pytest.mark.parametrize("url", ["HTTP://Localhost/", "http://%6cocalhost", "http://１２７.0.0.1"])
def test_disguises_are_this_machine(url):
    assert is_on_this_machine(url)


@pytest.mark.parametrize(
    ("found", "is_here"),
    [(["127.0.0.1", "::1"], True), (["10.0.0.7"], False), (["::1", "10.0.0.7"], False), ([], True)],
)
def test_a_name_below_localhost_is_where_the_resolver_leads(found, is_here, monkeypatch):
    def resolve(name, *arguments, **options):
        assert name == "judge.localhost"
        if not found:
            raise socket.gaierror("Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    assert is_loopback("Judge.localhost.") is is_here
    assert is_on_this_machine("http://judge.localhost:8000") is is_here


@pytest.mark.parametrize("host", BEYOND)
def test_other_hosts_are_not(host):
    assert not is_loopback(host)
    assert not is_on_this_machine(in_url(host))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "127.0.0.1:8000",
        "http://",
        "http://[::1",
        "http://localhost@example.org",
        "http://me:127.0.0.1@h/",
    ],
)
def test_what_names_no_host_or_another_one_is_not(url):
    assert not is_on_this_machine(url)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_address_of_a_server_that_listens_everywhere_leads_here_but_is_no_loopback(host):
    assert is_on_this_machine(in_url(host))
    assert not is_loopback(host)


def test_the_host_is_told_without_user_and_password():
    assert host_of("http://me:secret@Proxy.example.org:3128/") == "proxy.example.org"
