import socket

import pytest

from medical_team.errors import EndpointError
from medical_team.network import proxies
from medical_team.network.proxies import (
    host_of,
    is_loopback,
    is_on_this_machine,
    loopback_exempted,
    privacy_warning,
    proxy_for,
    usable_proxy,
)
from recording_proxy import use_proxy, without_proxies
from stand_ins import always

PROXY = "http://me:secret@proxy.example.org:3128"


def test_without_a_proxy_in_the_environment_everything_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)

    assert proxy_for("http://judge.example.org") is None
    assert privacy_warning("http://judge.example.org", sent="notes", receiver="the judge") == (
        "notes are sent unencrypted to the judge at judge.example.org, beyond this machine. Patients' notes must not "
        "leave it without permission"
    )


@pytest.mark.parametrize(
    ("variable", "url", "is_used"),
    [
        ("HTTP_PROXY", "http://judge.example.org", True),
        ("http_proxy", "http://judge.example.org", True),
        ("HTTP_PROXY", "https://judge.example.org", False),
        ("https_proxy", "https://judge.example.org", True),
        ("ALL_PROXY", "http://judge.example.org", True),
        ("all_proxy", "https://judge.example.org", True),
        ("ALL_PROXY", "http://127.1:8000", False),
        ("HTTP_PROXY", "http://localhost:8000", False),
    ],
)
def test_the_variable_of_the_address_s_kind_is_used_and_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str, is_used: bool
) -> None:
    use_proxy(monkeypatch, PROXY, variable)

    found = proxy_for(url)

    assert (found is not None) is is_used
    if found:
        assert (found.source, found.host, found.url) == (variable, "proxy.example.org", PROXY)


@pytest.mark.parametrize(
    ("listed", "url", "is_used"),
    [
        ("*", "http://judge.example.org", False),
        ("example.org", "http://judge.example.org", False),
        (".example.org", "http://judge.example.org:8000/v1", False),
        ("judge.example.org:8000", "http://judge.example.org:8000", False),
        ("judge.example.org:8000", "http://judge.example.org:9000", True),
        ("example.org", "http://anexample.org", True),
        ("10.0.0.7", "http://10.0.0.7:8000", False),
        ("172.16.0.0/12, 10.0.0.0/8", "http://10.1.2.3:8000", False),
        ("10.0.0.0/8", "http://11.1.2.3:8000", True),
        ("2001:db8::1", "http://[2001:db8::1]:8000", False),
    ],
)
def test_exceptions_are_kept_also_those_of_whole_networks(
    monkeypatch: pytest.MonkeyPatch, listed: str, url: str, is_used: bool
) -> None:
    use_proxy(monkeypatch, PROXY)
    monkeypatch.setenv("NO_PROXY", listed)

    assert (proxy_for(url) is not None) is is_used


def test_a_warning_names_the_proxy_and_what_it_sees_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, PROXY, "HTTP_PROXY", "HTTPS_PROXY")

    plain = privacy_warning("http://judge.example.org", sent="notes", receiver="the judge")
    encrypted = privacy_warning("https://judge.example.org", sent="notes", receiver="the judge")

    assert "through the proxy proxy.example.org (HTTP_PROXY), which can read them. Patients'" in (plain or "")
    assert "through the proxy proxy.example.org (HTTPS_PROXY). Patients'" in (encrypted or "")
    assert "secret" not in f"{plain}{encrypted}{proxy_for('http://judge.example.org')!r}"
    assert privacy_warning("http://localhost", sent="notes", receiver="the judge") is None


def test_a_proxy_without_a_kind_is_an_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, "proxy.example.org:3128", "HTTP_PROXY")

    found = usable_proxy("http://judge.example.org")

    assert found is not None
    assert found.url == "http://proxy.example.org:3128"
    assert found.source == "HTTP_PROXY"


def test_a_socks_proxy_that_cannot_be_spoken_to_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, "socks5://me:secret@proxy.example.org:1080", "ALL_PROXY")
    monkeypatch.setattr(proxies, "find_spec", always(None))

    with pytest.raises(EndpointError) as caught:
        usable_proxy("http://judge.example.org")

    assert str(caught.value) == (
        "judge.example.org would be reached through the proxy proxy.example.org that ALL_PROXY names, and socks5 needs "
        "a package that is not there: pip install 'httpx[socks]'. Or unset ALL_PROXY, or add judge.example.org to "
        "NO_PROXY if it can be reached without a proxy"
    )
    assert usable_proxy("http://127.0.0.1:8000") is None


def test_a_socks_proxy_is_used_by_those_who_can(monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, "socks5h://proxy.example.org:1080", "ALL_PROXY")
    monkeypatch.setattr(proxies, "find_spec", always(object()))

    assert usable_proxy("http://judge.example.org") is not None
    with pytest.raises(EndpointError, match="no proxy of the kind 'socks5h' can be used here: unset ALL_PROXY"):
        usable_proxy("http://judge.example.org", takes_socks=False)


@pytest.mark.parametrize("url", ["socks4://proxy.example.org:1", "ftp://proxy.example.org", "http://"])
def test_a_proxy_of_no_known_kind_or_without_a_host_is_an_error(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    use_proxy(monkeypatch, url, "HTTP_PROXY")

    with pytest.raises(EndpointError, match="unset HTTP_PROXY"):
        usable_proxy("http://judge.example.org")


def test_a_variable_of_white_space_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, "  ", "HTTP_PROXY")

    assert usable_proxy("http://judge.example.org") is None


def test_other_programs_are_told_in_both_spellings_to_spare_this_machine() -> None:
    told = loopback_exempted({"HTTPS_PROXY": PROXY, "no_proxy": "a.example, localhost", "NO_PROXY": "b.example"})

    assert told == dict.fromkeys(("no_proxy", "NO_PROXY"), "a.example,localhost,b.example,127.0.0.1,::1")


def test_without_a_proxy_they_are_told_nothing() -> None:
    assert loopback_exempted({"PATH": "/bin", "NO_PROXY": "a.example"}) == {}


LOOPBACK = [
    "localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "0x7f.1",
    "0x7f000001", "2130706433", "0177.0.0.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1",
]  # fmt: skip
BEYOND = [
    "example.org", "localhost.example.org", "127.0.0.1.example.org", "notlocalhost", "10.0.0.7", "128.0.0.1", "::2",
    "::ffff:10.0.0.7", "2130706434000", "fe80::1", "judge.localhost",
]  # fmt: skip


def in_url(host: str) -> str:
    return f"http://[{host}]:8000/v1" if ":" in host else f"http://{host}:8000/v1"


@pytest.mark.parametrize("host", LOOPBACK)
def test_every_spelling_of_the_loopback_is_this_machine(host: str) -> None:
    found = {str(item[4][0]) for item in socket.getaddrinfo(host.rstrip("."), 80, type=socket.SOCK_STREAM)}

    assert is_loopback(host)
    assert is_on_this_machine(in_url(host))
    assert all(address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1") for address in found)


@pytest.mark.parametrize("host", BEYOND)
def test_other_hosts_are_not(host: str) -> None:
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
def test_what_names_no_host_or_another_one_is_not(url: str) -> None:
    assert not is_on_this_machine(url)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_address_of_a_server_that_listens_everywhere_leads_here_but_is_no_loopback(host: str) -> None:
    assert is_on_this_machine(in_url(host))
    assert not is_loopback(host)


def test_the_host_is_told_without_user_and_password() -> None:
    assert host_of("http://me:secret@Proxy.example.org:3128/") == "proxy.example.org"
