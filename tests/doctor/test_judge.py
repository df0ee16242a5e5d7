"""Each way in which a judge can be wrong, with a real server on this machine."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_server import changed, dripping, fault_server, hanging, status, text
from serving import serving

from builders import a_record
from doctor_cases import a_subject, look
from local_server import QuietHandler, free_port, local_server, running
from medical_team.config import DataConfig, EngineConfig, EngineKind, JudgeConfig, JudgeKind, RunConfig
from medical_team.doctor import judge as judge_checks
from medical_team.doctor.findings import Finding, Status
from medical_team.doctor.subject import Limits
from medical_team.jsonl import write_jsonl
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import reference_judge
from medical_team.records import DataType, JudgeFailure, Labels, Ruling
from openai_server import a_completion, openai_server
from stand_ins import always

if TYPE_CHECKING:
    from httpx import Client


TOKEN = "a-secret-of-the-judge"


class Changed:
    """The reference judge, its rulings changed."""

    name = "changed"

    def __init__(self, change: Callable[..., JudgeFailure | Labels]) -> None:
        self._change = change

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        return {name: self._change(ruling) for name, ruling in reference_judge().rule(queries).items()}


def turned_round(ruling: Ruling) -> Ruling:
    assert isinstance(ruling, Labels)
    return dataclasses.replace(ruling, error_present=not ruling.error_present)


def void(ruling: Ruling) -> Ruling:
    return JudgeFailure(ruling.game_id, is_abstention=True, source="changed", reason="can't tell at all")


def right_labels(labels: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a judge says that knows the synthetic notes: good labels are put in the place of the script's."""
    return [{**label, "error_present": index % 2 == 1, "error_detected": False} for index, label in enumerate(labels)]


def remote(url: str, kind: JudgeKind = "remote") -> RunConfig:
    return RunConfig(judge=JudgeConfig(kind=kind, url=url))


def found(
    name: str,
    url: str,
    *,
    kind: JudgeKind = "remote",
    engine: EngineKind = "local",
    data: str = "sample",
    **variables: Any,
) -> Finding:
    config = dataclasses.replace(remote(url, kind), data=DataConfig(data), engine=EngineConfig(kind=engine))
    return look(name, a_subject(config, **variables))


def all_found(url: str, **options: Any) -> list[Finding]:
    return [found(name, url, **options) for name in ("judge_server", "judge_labels")]


def url_of(client: Client) -> str:
    return str(client.base_url).rstrip("/")


@pytest.mark.parametrize("engine", ["local", "openrlhf", "red-team-fork"])
def test_a_good_judge_is_right_on_every_known_note_whoever_asks(engine: str) -> None:
    with serving(reference_judge()) as client:
        server, labels = all_found(url_of(client), engine=engine)

    assert (server.status, labels.status) == (Status.OK, Status.OK)
    assert server.found == f"{url_of(client)} is healthy: some/model"
    assert labels.found.startswith("right on 64 of 64 known notes, in ")


def test_a_judge_that_is_down_is_started() -> None:
    port = free_port()
    finding = found("judge_server", f"http://127.0.0.1:{port}")

    assert finding.status is Status.FAILED
    assert "nothing listens" in finding.found
    assert "the port is free" in finding.found
    assert finding.mend.startswith(f"medical-team judge serve --port {port}")


def test_a_judge_that_loads_is_waited_for() -> None:
    with fault_server() as server:
        server.health.append(503)
        finding = found("judge_server", server.url)

    assert finding.status is Status.FAILED
    assert "is not ready: loading" in finding.found
    assert "wait until" in finding.mend


class NotAJudge(QuietHandler):
    def do_GET(self) -> None:
        self.answer(404)


def test_a_port_that_another_program_has_is_told_with_how_to_find_it() -> None:
    server = local_server(NotAJudge)
    with running(server) as url:
        finding = found("judge_server", url)

    assert finding.status is Status.FAILED
    assert "another program than a judge listens" in finding.found
    assert f"ss -ltnp 'sport = :{server.server_port}'" in finding.mend


def test_a_port_that_takes_connections_and_says_nothing_is_taken_too() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        subject = a_subject(remote(f"http://127.0.0.1:{silent.getsockname()[1]}"), limits=Limits(service=0.2))
        finding = look("judge_server", subject)

    assert finding.status is Status.FAILED
    assert "no answer within 0.2 seconds" in finding.found


def test_a_slow_judge_is_a_warning() -> None:
    with serving(reference_judge()) as client:
        judge = JudgeConfig(kind="remote", url=url_of(client))
        finding = look("judge_labels", a_subject(RunConfig(judge=judge), limits=Limits(judge_batch=0.0001)))

    assert finding.status is Status.WARNING
    assert finding.found.endswith("; a batch of 64 games should take less than 0.0001 s")


def test_a_judge_that_answers_too_late_fails() -> None:
    with fault_server() as server:
        server.always = hanging(3.0)
        judge = JudgeConfig(kind="remote", url=server.url, timeout_seconds=0.3)
        finding = look("judge_labels", a_subject(RunConfig(judge=judge)))

    assert finding.status is Status.FAILED
    assert "no answer within 0.3 seconds" in finding.found
    assert "judge.timeout_seconds" in finding.mend


def test_an_answer_that_drips_for_ever_ends_in_time() -> None:
    with fault_server() as server:
        server.always = dripping
        judge = JudgeConfig(kind="remote", url=server.url, timeout_seconds=0.5)
        finding = look("judge_labels", a_subject(RunConfig(judge=judge)))

    assert finding.status is Status.FAILED
    assert "no answer within 0.5 seconds" in finding.found


def test_labels_the_wrong_way_round_fail() -> None:
    with serving(Changed(turned_round)) as client:
        finding = found("judge_labels", url_of(client))

    assert finding.status is Status.FAILED
    assert "wrong on 64: it guesses, or its labels are the wrong way round" in finding.found


def test_a_judge_that_can_t_tell_fails() -> None:
    with serving(Changed(void)) as client:
        local, fork = (found("judge_labels", url_of(client), engine=kind) for kind in ("local", "red-team-fork"))

    assert local.status is fork.status is Status.FAILED
    assert "no ruling on 64 (can't tell at all)" in local.found
    assert "--references train.jsonl" in fork.mend


def test_the_fork_s_judge_must_know_the_cases_that_the_fork_does_not_send(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    records = [a_record(DataType.VANILLA_HARMFUL), a_record(DataType.VANILLA_BENIGN)]
    write_jsonl(path, records)

    with serving(reference_judge()) as client:
        local, fork = (
            found("judge_labels", url_of(client), engine=kind, data=str(path)) for kind in ("local", "red-team-fork")
        )
    with serving(reference_judge([records[0].pair])) as client:
        knowing = found("judge_labels", url_of(client), engine="red-team-fork", data=str(path))

    assert (local.status, fork.status, knowing.status) == (Status.OK, Status.FAILED, Status.OK)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (status(500), "rules on no batch of 64 games: HTTP 500"),
        (status(503, b'{"detail": "overloaded"}'), 'HTTP 503: "overloaded"'),
        (status(404), "no batch of 64 games: HTTP 404"),
        (text(b"<html>welcome</html>"), "is no list of labels"),
        (text(b'{"labels": {"0": true}}'), "is no list of labels"),
        (changed(lambda labels: labels[:-1]), "one for each of the 64 games"),
        (changed(lambda labels: labels[::-1]), "in their order"),
        (changed(lambda labels: [{**x, "error_present": "no"} for x in right_labels(labels)]), "no ruling on 64"),
    ],
)
def test_a_reply_that_no_trainer_could_use_fails(fault: Callable[..., Any], words: str) -> None:
    with fault_server() as server:
        server.always = fault
        finding = found("judge_labels", server.url)

    assert finding.status is Status.FAILED
    assert words in finding.found
    assert finding.mend


def test_a_judge_that_wants_a_token_names_the_variable_and_never_shows_the_token() -> None:
    with serving(reference_judge(), token=TOKEN) as client:
        without = found("judge_labels", url_of(client))
        wrong = found("judge_labels", url_of(client), MEDICAL_TEAM_JUDGE_TOKEN="another-secret")
        right = found("judge_labels", url_of(client), MEDICAL_TEAM_JUDGE_TOKEN=TOKEN)

    assert (without.status, wrong.status, right.status) == (Status.FAILED, Status.FAILED, Status.OK)
    assert "export MEDICAL_TEAM_JUDGE_TOKEN" in without.mend
    assert "another-secret" not in f"{wrong}"


def test_a_judge_beyond_this_machine_is_named_and_sent_no_note_of_the_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train.jsonl"
    write_jsonl(path, [a_record(DataType.VANILLA_HARMFUL)])
    # The loopback under a name that is not known to be one.
    monkeypatch.setattr(judge_checks, "is_on_this_machine", always(False))
    with fault_server() as server:
        found("judge_labels", server.url, data=str(path))
        sent = str(server.requests)
    warning = found("judge_privacy", "http://judge.example.org:8000")

    assert "amoxicillin three times" not in sent
    assert "queries" in sent
    assert warning.status is Status.WARNING
    assert "sent unencrypted to the judge at judge.example.org" in warning.found


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    finding = found("judge_server", "http://me:password-of-mine@127.0.0.1:8000")

    assert finding.status is Status.FAILED
    assert "password-of-mine" not in f"{finding}"


def test_the_reference_judge_needs_no_server() -> None:
    findings = all_found("", kind="reference")

    assert [finding.status for finding in findings[:2]] == [Status.OK, Status.OK]
    assert findings[1].found.startswith("right on 64 of 64 known notes, in ")


def test_a_judging_model_is_not_loaded_for_a_look() -> None:
    finding = found("judge_labels", "", kind="model")
    assert (finding.status, "judge audit" in finding.mend) == (Status.SKIPPED, True)


def test_a_model_server_that_is_away_fails() -> None:
    port = free_port()
    finding = found("judge_labels", f"http://127.0.0.1:{port}/v1", kind="openai")

    assert finding.status is Status.FAILED
    assert str(port) in finding.found


def test_a_model_that_always_says_the_same_guesses() -> None:
    with openai_server(lambda body: a_completion("A")) as server:
        finding = found("judge_labels", server.url, kind="openai")

    assert finding.status is Status.FAILED
    assert "right on 64" not in finding.found
