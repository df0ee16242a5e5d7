import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from medical_team.errors import RunFolderError, UsageError
from medical_team.report.live_server import LiveRun, make_server
from medical_team.runs.folder import RunFolder
from report_runs import a_run, a_step, add_step


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return a_run(tmp_path / "run", [a_step(0)], total_steps=4)


@pytest.fixture
def port(run_path: Path) -> Iterator[int]:
    with make_server(LiveRun(run_path), 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def get(port: int, path: str, *, host: str | None = None, method: str = "GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer, content


def get_json(port: int, path: str):
    answer, content = get(port, path)
    assert answer.status == 200, content
    return json.loads(content)


def test_the_page_comes_with_the_overview_and_asks_for_the_rest(port: int) -> None:
    answer, page = get(port, "/")

    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert '"live":true' in page
    assert "connect-src 'self'" in page


def test_new_games_are_there_when_asked_again(port: int, run_path: Path) -> None:
    assert get_json(port, "/state")["lengths"] == {"index": 4, "texts": 4, "cases": 4}

    add_step(RunFolder.open(run_path), 1, a_step(1))
    state = get_json(port, "/state")

    assert state["lengths"]["index"] == 8
    assert state["runs"][0]["state"].startswith("2 of 4 steps")
    assert [row[-1] for row in get_json(port, "/rows?table=index&from=4")] == [f"step-000001-000{n}" for n in range(4)]


def test_a_run_that_went_back_is_another_generation(port: int, run_path: Path) -> None:
    before = get_json(port, "/state")
    RunFolder.open(run_path).rewind(0)
    after = get_json(port, "/state")

    assert after["generation"] == before["generation"] + 1
    assert after["lengths"]["index"] == 0


def test_a_damaged_file_is_told_and_what_was_read_stays(port: int, run_path: Path) -> None:
    get_json(port, "/state")
    with (run_path / "games.jsonl").open("a") as file:
        file.write("{}\n")

    for _ in range(2):
        state = get_json(port, "/state")
        assert "games.jsonl is damaged" in state["problem"]
        assert state["lengths"]["index"] == 4


@pytest.mark.parametrize("path", ["/nothing", "/rows", "/rows?table=x&from=0", "/rows?table=index&from=-1", "/../etc"])
def test_what_is_not_there_is_not_found(port: int, path: str) -> None:
    assert get(port, path)[0].status == 404


def test_only_names_of_this_machine_are_answered(port: int) -> None:
    for host in ("127.0.0.1:1", "localhost", f"[::1]:{port}"):
        assert get(port, "/state", host=host)[0].status == 200
    for host in ("evil.example", f"127.0.0.1.evil.example:{port}", "localhost.evil.example"):
        assert get(port, "/state", host=host)[0].status == 403


def test_nothing_but_reading_is_possible(port: int) -> None:
    assert get(port, "/state", method="POST")[0].status == 501


def test_only_the_loopback_address_is_listened_on(run_path: Path) -> None:
    with make_server(LiveRun(run_path), 0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named(port: int, run_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--port {port} can't be had"):
        make_server(LiveRun(run_path), port)
    with pytest.raises(UsageError, match="--port 70000"):
        make_server(LiveRun(run_path), 70000)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        LiveRun(tmp_path)
