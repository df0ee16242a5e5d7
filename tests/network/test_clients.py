"""Every client of the package, and what a proxy of the environment gets to see of what they send."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_server import fault_server
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE

from doctor_cases import a_subject, look
from medec_csv import some_rows, write_csv
from medical_team.cli.main import main
from medical_team.config import DataConfig, JudgeConfig, RunConfig
from medical_team.doctor.findings import Finding, Status
from medical_team.engines.red_team_fork.dialogue import request_labels
from medical_team.errors import EndpointError, JudgeError
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import make_async_judge, make_judge
from medical_team.network.clients import make_client
from medical_team.network.proxies import make_opener
from medical_team.records import Labels, Verdict
from openai_server import a_completion, openai_server
from recording_proxy import RecordingProxy, recording_proxy, use_proxy, without_proxies
from stand_ins import always

if TYPE_CHECKING:
    from fault_server import Handler


MAKERS = frozenset({"medical_team/network/clients.py", "medical_team/network/proxies.py"})
WHO_ASKS = {
    "medical_team/doctor/judge.py": "make_client",
    "medical_team/doctor/models.py": "make_client",
    "medical_team/engines/red_team_fork/dialogue.py": "make_opener",
    "medical_team/judge/client.py": "make_client",
    "medical_team/openai_chat.py": "make_client",
}
"""Every file that sends anything anywhere. The hub's own library, in policy/hub.py, makes its clients itself."""

HTTPX_CLIENTS = frozenset(
    {"Client", "AsyncClient", "HTTPTransport", "AsyncHTTPTransport", "get", "post", "put", "patch", "delete", "head",
     "options", "request", "stream"}
)  # fmt: skip
FOREIGN = frozenset(
    {"requests", "aiohttp", "urllib3", "http.client.HTTPConnection", "http.client.HTTPSConnection", "httpcore",
     "httpx2", "websockets"}
)  # fmt: skip
OPENERS = frozenset({"urlopen", "urlretrieve", "build_opener", "ProxyHandler", "OpenerDirector"})

QUERY = JudgeQuery("game", ERROR_NOTE, Verdict.HARMFUL, pair=CASE)


def imported(tree: ast.Module) -> set[str]:
    """Every name that is imported, with its module: ``httpx``, ``urllib.request.urlopen``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def clients_made(tree: ast.Module) -> set[str]:
    """What in a file could open a connection by itself."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = {call.id for call in calls if isinstance(call, ast.Name) and call.id in OPENERS}
    for call in calls:
        if isinstance(call, ast.Attribute):
            is_httpx = isinstance(call.value, ast.Name) and call.value.id == "httpx"
            if call.attr in OPENERS or (is_httpx and call.attr in HTTPX_CLIENTS):
                made.add(ast.unparse(call))
    for name in imported(tree):
        if any(name == foreign or name.startswith(f"{foreign}.") for foreign in FOREIGN):
            made.add(name)
        if name.startswith("httpx.") and name.removeprefix("httpx.") in HTTPX_CLIENTS:
            made.add(name)
    return made


def test_only_one_room_makes_clients_and_these_files_use_it(repository: Path) -> None:
    makers: dict[str, set[str]] = {}
    users: dict[str, str] = {}
    for path in sorted([*(repository / "medical_team").rglob("*.py"), *(repository / "scripts").glob("*.py")]):
        name = path.relative_to(repository).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if made := clients_made(tree):
            makers[name] = made
        used = {found.rpartition(".")[2] for found in imported(tree) if ".make_" in found and "network." in found}
        if used:
            users[name] = " ".join(sorted(used))

    assert set(makers) == MAKERS, makers
    assert users == WHO_ASKS


@pytest.mark.parametrize(
    "code",
    ["import httpx\nhttpx.Client()", "from httpx import AsyncClient", "import requests", "import aiohttp.client",
     "from http.client import HTTPConnection", "import urllib.request\nurllib.request.urlopen('http://a')",
     "from urllib.request import urlopen\nurlopen('http://a')", "import httpx\nhttpx.get('http://a')"],
)  # fmt: skip
def test_a_client_made_elsewhere_would_be_noticed(code: str) -> None:
    assert clients_made(ast.parse(code))


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingProxy]:
    with recording_proxy() as proxy:
        use_proxy(monkeypatch, proxy.url)
        yield proxy


class TestNothingForThisMachineReachesAProxy:
    def test_eval_of_a_served_model(
        self, proxy: RecordingProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        csv = write_csv(tmp_path / "medec.csv", some_rows(3))
        with openai_server(lambda body: a_completion("Safe")) as server:
            status = main(["eval", "medec", "m", "--url", server.url, "--medec", str(csv), "-o", str(tmp_path / "out")])

        assert status == 0, capsys.readouterr().err
        assert len(server.bodies) == 6
        assert proxy.received == []

    def test_the_judge_openai(self, proxy: RecordingProxy) -> None:
        with openai_server(lambda body: a_completion("A")) as server:
            judge = make_judge(JudgeConfig(kind="openai", url=server.url, model="m", use_cache=False))
            ruling = judge.rule([QUERY])["game"]

        assert server.bodies
        assert ruling is not None
        assert proxy.received == []

    def test_the_judge_remote(self, proxy: RecordingProxy) -> None:
        with fault_server() as server:
            ruling = make_judge(JudgeConfig(kind="remote", url=server.url)).rule([QUERY])["game"]
            again = asyncio.run(self.asked_on_a_loop(server.url))

        assert isinstance(ruling, Labels)
        assert isinstance(again, Labels)
        assert proxy.received == []

    async def asked_on_a_loop(self, url: str):
        judge = make_async_judge(JudgeConfig(kind="remote", url=url))
        return (await judge.rule([QUERY]))["game"]

    def test_the_fork_s_judge(self, proxy: RecordingProxy) -> None:
        with fault_server() as server:
            query = {"game_idx": 0, "prompt": CORRECTED_NOTE, "response": "Safe"}
            labels = request_labels(f"{server.url}/judge", [query])

        assert len(labels) == 1
        assert proxy.received == []

    @pytest.mark.parametrize("host", ["localhost", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"])
    def test_other_spellings_of_its_address(self, proxy: RecordingProxy, host: str) -> None:
        with fault_server() as server:
            url = f"http://{host}:{server.server_port}"
            with make_client(url) as client:
                answered = client.get("/health").status_code
            with make_opener(url).open(f"{url}/health", timeout=10) as response:
                opened = response.status

        assert (answered, opened) == (200, 200)
        assert proxy.received == []

    def test_the_doctor(self, proxy: RecordingProxy) -> None:
        with fault_server() as server:
            server_found = found("judge_server", server.url)
            found("judge_labels", server.url)
            private = found("judge_privacy", server.url)

        assert server_found.status is Status.OK
        assert len(server.requests) == 1
        assert (private.status, private.found) == (Status.OK, "notes stay on this machine")
        assert proxy.received == []


def found(name: str, url: str) -> Finding:
    judge = JudgeConfig(kind="remote", url=url)
    return look(name, a_subject(RunConfig(data=DataConfig("sample"), judge=judge)))


class TestWhatGoesFurtherTakesTheProxy:
    def test_and_is_told_before_the_first_note(self, proxy: RecordingProxy) -> None:
        told: list[str] = []
        config = JudgeConfig(kind="remote", url="http://judge.example.org", patience_seconds=0)

        with pytest.raises(JudgeError):
            make_judge(config, notify=told.append)

        assert "through the proxy 127.0.0.1 (http_proxy), which can read them" in told[0]
        assert proxy.received[0].startswith(b"GET http://judge.example.org/health ")

    def test_in_an_evaluation(self, proxy: RecordingProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        csv = write_csv(tmp_path / "medec.csv", some_rows(1))
        url = "http://model.example.org/v1"
        options = ["--patience-seconds", "0", "--concurrency", "1", "--medec", str(csv), "-o", str(tmp_path / "out")]
        status = main(["eval", "medec", "m", "--url", url, *options])

        told = capsys.readouterr().err
        assert status == 2
        assert "warning: the texts are sent unencrypted to the model at model.example.org" in told
        assert "through the proxy 127.0.0.1 (http_proxy)" in told
        assert proxy.received[0].startswith(b"POST http://model.example.org/v1/chat/completions ")

    def test_with_the_standard_library_too(self, proxy: RecordingProxy) -> None:
        with pytest.raises(EndpointError, match="HTTP 502"):
            request_labels("http://judge.example.org/judge", [{"game_idx": 0}], sleep=lambda seconds: None)

        assert proxy.received[0].startswith(b"POST http://judge.example.org/judge ")

    def test_where_encryption_lets_the_proxy_see_the_host_alone(self, proxy: RecordingProxy) -> None:
        answer = found("judge_server", "https://judge.example.org")

        assert answer.status is Status.FAILED
        assert proxy.received == [proxy.received[0]]
        assert proxy.received[0].startswith(b"CONNECT judge.example.org:443 ")

    def test_as_the_doctor_says(self, proxy: RecordingProxy) -> None:
        private = found("judge_privacy", "http://judge.example.org")
        server = found("judge_server", "http://judge.example.org")

        assert private.status is Status.WARNING
        assert "through the proxy 127.0.0.1 (http_proxy), which can read them" in private.found
        assert "or the proxy 127.0.0.1 (http_proxy) doesn't let it through (HTTP 502)" in server.found


class TestAProxyThatCannotBeSpokenTo:
    @pytest.fixture(autouse=True)
    def socks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use_proxy(monkeypatch, "socks5://me:secret@127.0.0.1:9", "ALL_PROXY")
        monkeypatch.setattr("medical_team.network.proxies.find_spec", always(None))

    def test_stops_no_work_on_this_machine(self, tmp_path: Path) -> None:
        csv = write_csv(tmp_path / "medec.csv", some_rows(1))
        with openai_server(lambda body: a_completion("Safe")) as server:
            status = main(["eval", "medec", "m", "--url", server.url, "--medec", str(csv), "-o", str(tmp_path / "out")])

        assert status == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            ["eval", "medec", "m", "--url", "http://model.example.org/v1"],
            ["judge", "audit", "--judge", "http://judge.example.org"],
            ["judge", "audit", "--judge", "openai", "--judge.url", "http://model.example.org/v1"],
        ],
    )
    def test_is_one_message_and_exit_status_2(
        self, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        csv = write_csv(tmp_path / "medec.csv", some_rows(1))

        status = main([*arguments, "--medec", str(csv)])

        told = capsys.readouterr().err
        assert status == 2
        assert "that ALL_PROXY names" in told
        assert "pip install 'httpx[socks]'" in told
        assert "secret" not in told

    @pytest.mark.parametrize(
        "ask",
        [
            lambda: make_client("http://judge.example.org"),
            lambda: request_labels("http://judge.example.org/judge", [{}]),
        ],
    )
    def test_whoever_asks(self, ask: Callable[[], object]) -> None:
        with pytest.raises(EndpointError, match="ALL_PROXY"):
            ask()

    def test_as_the_doctor_says(self) -> None:
        answer = found("judge_server", "http://judge.example.org")

        assert answer.status is Status.FAILED
        assert "http://judge.example.org can't be asked" in answer.found
        assert "ALL_PROXY" in answer.found


def test_no_client_follows_a_redirect() -> None:
    with fault_server() as server:

        def elsewhere(handler: Handler, labels: list[dict[str, Any]]) -> None:
            handler.send_response(302)
            handler.send_header("Location", f"{server.url}/health")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        server.always = elsewhere
        with pytest.raises(EndpointError, match="HTTP 302"):
            request_labels(f"{server.url}/judge", [{"game_idx": 0, "prompt": "", "response": ""}])
        with make_client(server.url) as client:
            assert client.post("/judge", json={"queries": []}).status_code == 302


@pytest.mark.parametrize("url", ["http://0177.0.0.1:8000", "http://[::1", "http://h:port"])
def test_what_httpx_takes_for_no_address_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    without_proxies(monkeypatch)

    with pytest.raises(EndpointError, match="can't be used"):
        make_client(url)


ODD_PORTS = ("http://127.0.0.1:99999", "http://127.0.0.1:0", "http://127.0.0.1:+80")
UNBRACKETED = ("http://[::1:8265", "http://::1]:8265", "http://::1:8265", "http://fe80::1")
ODD_HOSTS = ("http://a b", "http://a..b", "http://...", f"http://{'a' * 64}.example")


NO_PUNYCODE = ("http://xn--a/v1", "http://xn--/v1")
HALF_A_CHARACTER = "http://127.0.0.1:8000/\ud83d"


@pytest.mark.parametrize("url", [*ODD_PORTS, *ODD_HOSTS, *UNBRACKETED, *NO_PUNYCODE, HALF_A_CHARACTER])
def test_they_are_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("NO_PROXY", "*")

    with pytest.raises(EndpointError, match="the address of the server can't be used"):
        make_client(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://[::1]:8000/v1", "http://my_judge:80", "https://mü.example"]
)
def test_others_are_none_of_these(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("NO_PROXY", "*")

    make_client(url).close()


def test_a_proxy_with_such_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:99999")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with pytest.raises(EndpointError, match="the proxy that http_proxy names can't be used"):
        make_client("http://judge.example.org")


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_certificates_that_the_environment_names_and_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    without_proxies(monkeypatch)
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    with pytest.raises(EndpointError, match=f"Mend or unset what the environment names: SSL_CERT_FILE={file}"):
        make_client("https://judge.example.org")
    # Plain HTTP needs none.
    make_client("http://127.0.0.1:8000")
