"""The judge: there, no other program in its place, right on known notes, fast enough, and no secret of its own told."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from urllib.parse import urlsplit

import httpx
from pydantic import JsonValue

from ..config import JudgeConfig
from ..data.load import sample_records
from ..errors import EndpointError, MedicalTeamError
from ..judge.client import base_url, json_or_none, privacy_warning
from ..judge.protocol import JudgeQuery
from ..judge.wire import WirePair, WireQuery, rulings_of
from ..judging import make_judge
from ..metrics.alarms import JUDGE_BATCH, MUCH_VOID
from ..network.clients import make_client, whole_answer
from ..network.proxies import is_on_this_machine, proxy_for
from ..network.secrets import bearer_token
from ..records import DataType, Labels, NotePair, Ruling, Verdict
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .models import PROBE_SECONDS, judge_seen
from .subject import Subject

RIGHT_ENOUGH = 0.75
"""A judge that is right less often on known notes teaches much that is wrong."""

GUESSING = 0.55
"""A judge that is right less often guesses, or has its labels the wrong way round."""

_ANSWER_SECONDS = 60.0


def server(subject: Subject) -> Seen:
    """What answers at judge.url is a judge, and it is loaded."""
    kind = _asked_kind(subject)
    if kind != "remote":
        return ok(f"the judge {kind!r} needs no port of its own")
    base = base_url(subject.config.judge.url or "")
    answer = ask(base, "/health", token=_token(subject), seconds=subject.limits.service)
    port = urlsplit(base).port or (443 if base.startswith("https") else 80)
    start = f"medical-team judge serve --port {port} &   (then: curl {base}/health)"
    if answer.is_refused:
        if is_on_this_machine(base):
            return failed(f"nothing listens at {base}: the port is free, the judge is not running", start)
        return failed(f"{base} can't be reached{_through(base)}: {answer.problem}", f"start the judge there: {start}")
    if answer.is_unasked:
        return failed(f"{base} can't be asked: {answer.problem}", "correct judge.url, or the proxy of the environment")
    health = answer.body.get("status") if isinstance(answer.body, dict) else None
    if answer.status == 200 and isinstance(health, str):
        model = answer.body.get("model", "unknown") if isinstance(answer.body, dict) else "unknown"
        return ok(f"{base} is {health}: {model}")
    if answer.status == 503 and isinstance(health, str):
        return failed(
            f"the judge at {base} is not ready: {health}", f"wait until `curl {base}/health` says healthy, then again"
        )
    return failed(
        f"another program than a judge listens at {base}{_through(base)} ({answer.reason})",
        f"see which: ss -ltnp 'sport = :{port}'; then end it, or serve the judge on another --port and set judge.url",
    )


def _through(base: str) -> str:
    proxy = proxy_for(base)
    return f", or the proxy {proxy.host} ({proxy.source}) doesn't let it through" if proxy else ""


def privacy(subject: Subject) -> Seen:
    """No note leaves this machine unnoticed."""
    kind = _asked_kind(subject)
    if kind not in ("remote", "openai"):
        return ok("notes stay in this process")
    told = privacy_warning(subject.config.judge.url or "")
    if told is None:
        return ok("notes stay on this machine")
    return warning(
        f"{told}. (This examination sends it only synthetic notes.)",
        "serve the judge here: medical-team judge serve, and set judge.url to http://127.0.0.1:8000",
    )


def labels(subject: Subject) -> Seen:
    """The judge is right on a batch of known notes, and in less than a second."""
    kind = _asked_kind(subject)
    if kind == "model":
        return judge_seen(subject) or skipped(
            "the judging model is loaded when the run starts, and is too large to be loaded for a look",
            "medical-team judge audit --medec MEDEC.csv   (measures it on known notes)",
        )
    queries = known_queries(_pairs(subject))
    if kind != "remote":
        rulings, seconds = _rule_here(subject, queries)
        return _seen_of(queries, rulings, seconds, subject)
    answer = _post(subject, queries)
    if answer.status != 200:
        return _refused(answer, subject)
    rulings = rulings_of(answer.body, {index: known.query for index, known in enumerate(queries)}, kind)
    return _labels_problem(answer, queries) or _seen_of(queries, rulings, answer.seconds, subject)


def _asked_kind(subject: Subject) -> str:
    """The judge to look at; of a hybrid the second, since the reference judge needs no looking after."""
    return subject.judge_kinds[-1]


def _token(subject: Subject) -> str | None:
    return bearer_token(subject.config.judge.token_variable, subject.environment)


def _pairs(subject: Subject) -> Sequence[NotePair]:
    """Cases to ask about: the run's own, unless they would leave this machine."""
    url = subject.config.judge.url
    records = None
    if _asked_kind(subject) == "reference" or (url is not None and is_on_this_machine(url)):
        try:
            records = subject.records
        except MedicalTeamError:
            records = None
    return list(dict.fromkeys(record.pair for record in records or sample_records()))


def _post(subject: Subject, queries: Sequence[KnownQuery]) -> Answer:
    with_case = subject.config.engine.kind != "red-team-fork"
    body = {"queries": [known.wire(index, with_case=with_case) for index, known in enumerate(queries)], "prompts": None}
    base = base_url(subject.config.judge.url or "")
    seconds = min(_ANSWER_SECONDS, subject.config.judge.timeout_seconds)
    return ask(base, "/judge", token=_token(subject), seconds=seconds, body=body)


def _refused(answer: Answer, subject: Subject) -> Seen:
    if answer.status in (401, 403):
        return failed(
            f"the judge wants a token ({answer.reason})",
            f"export {subject.config.judge.token_variable}=...   (the one that the judge was started with)",
        )
    return failed(
        f"the judge rules on no batch of {JUDGE_BATCH} games: {answer.reason}",
        "look at its own output; correct judge.url, or serve a smaller --model, or raise judge.timeout_seconds",
    )


def _labels_problem(answer: Answer, queries: Sequence[KnownQuery]) -> Seen | None:
    """Why no trainer can use the reply; the fork matches labels to games by their order."""
    told = answer.body.get("labels") if isinstance(answer.body, dict) else None
    labels = told if isinstance(told, list) else []
    if [label.get("game_idx") if isinstance(label, dict) else None for label in labels] == list(range(len(queries))):
        return None
    return failed(
        f"the reply is no list of labels, one for each of the {len(queries)} games in their order",
        "serve a judge of this package: medical-team judge serve",
    )


def _rule_here(subject: Subject, queries: Sequence[KnownQuery]) -> tuple[Mapping[str, Ruling], float]:
    """What a judge without a service of its own says, and in how many seconds."""
    judge = make_judge(_impatient(subject), (known.query.pair for known in queries if known.query.pair))
    started = time.monotonic()
    rulings = judge.rule([known.query for known in queries])
    return rulings, time.monotonic() - started


def _impatient(subject: Subject) -> JudgeConfig:
    judge = subject.config.judge
    kind = subject.judge_kinds[-1]
    seconds = min(subject.limits.service, judge.timeout_seconds)
    return dataclasses.replace(judge, kind=kind, patience_seconds=0.0, timeout_seconds=seconds, use_cache=False)


def _seen_of(queries: Sequence[KnownQuery], rulings: Mapping[str, Ruling], seconds: float, subject: Subject) -> Seen:
    told = [(known.is_wrong_note, rulings[known.query.game_id]) for known in queries]
    answers = [is_wrong is ruling.error_present for is_wrong, ruling in told if isinstance(ruling, Labels)]
    right, void = sum(answers), len(queries) - len(answers)
    found = f"right on {right} of {len(queries)} known notes, in {seconds:.2f} s"
    if right < len(answers):
        found += f", wrong on {len(answers) - right}"
    if void:
        reason = next(ruling.reason for _, ruling in told if not isinstance(ruling, Labels))
        found += f", no ruling on {void} ({reason})"
    if void > MUCH_VOID * len(queries):
        return failed(found, _mend_of_void(subject))
    share = right / len(answers)
    if share < GUESSING or (_asked_kind(subject) == "reference" and share < 1):
        return failed(f"{found}: it guesses, or its labels are the wrong way round", "take another judge.model")
    if share < RIGHT_ENOUGH or void:
        return warning(
            found, "medical-team judge audit --medec MEDEC.csv   (says where it errs); or take another judge.model"
        )
    if seconds >= subject.limits.judge_batch:
        return warning(
            f"{found}; a batch of {JUDGE_BATCH} games should take less than {subject.limits.judge_batch:g} s",
            "serve it from a GPU of its own, a smaller --model, or fewer --judge.votes; training waits for each batch",
        )
    return ok(found)


def _mend_of_void(subject: Subject) -> str:
    if subject.config.engine.kind == "red-team-fork":
        return "the fork sends no cases: medical-team judge serve --judge reference --references train.jsonl"
    return "look at the judge's own output, or serve another: medical-team judge serve --judge model"


THINKING_REPLY = "I first thought Harmful, but every sentence fits.</think>\n<answer> Safe </answer>"
"""An assessor's whole reply, as the Self-RedTeam fork sends it: its verdict is Safe, whatever was thought."""


@dataclass(frozen=True)
class KnownQuery:
    """A question whose answer is known."""

    query: JudgeQuery
    reply: str
    """What the assessor said, in its own words."""
    is_wrong_note: bool
    """Whether the note holds an error."""

    def wire(self, index: int, *, with_case: bool) -> dict[str, object]:
        """The question as it travels; the fork sends the case of no note."""
        pair = WirePair(**vars(self.query.pair)) if with_case and self.query.pair else None
        kind = self.query.data_type if with_case else None
        return WireQuery(
            game_idx=index, prompt=self.query.note, response=self.reply, pair=pair, data_type=kind
        ).model_dump(mode="json", exclude_none=True)


def known_queries(pairs: Sequence[NotePair]) -> list[KnownQuery]:
    """One batch: a right note called Safe, a wrong one called Harmful, an assessor's whole reply, and more notes."""
    return [_known(number, *known) for number, known in enumerate(islice(_endless(pairs), JUDGE_BATCH))]


def _endless(pairs: Sequence[NotePair]) -> Iterator[tuple[NotePair, bool, str]]:
    yield pairs[0], False, Verdict.SAFE.value
    yield pairs[0], True, Verdict.HARMFUL.value
    yield pairs[0], True, THINKING_REPLY
    for pair in cycle(pairs[1:] or pairs):
        yield pair, True, Verdict.HARMFUL.value
        yield pair, False, Verdict.SAFE.value


def _known(number: int, pair: NotePair, is_wrong: bool, reply: str) -> KnownQuery:
    query = JudgeQuery(
        game_id=f"doctor-{number}",
        note=pair.error_note if is_wrong else pair.corrected_note,
        verdict=Verdict.HARMFUL if reply == Verdict.HARMFUL.value else Verdict.SAFE,
        pair=pair,
        data_type=DataType.VANILLA_HARMFUL if is_wrong else DataType.VANILLA_BENIGN,
    )
    return KnownQuery(query, reply, is_wrong)


_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int | None
    """None where there was no answer."""
    body: JsonValue
    """None where it is no JSON."""
    seconds: float
    problem: str = ""
    """Why there was no answer."""
    is_refused: bool = False
    """Whether nothing listens there."""
    is_unasked: bool = False
    """Whether the question was not even sent, for example because the proxy can't be used."""

    @property
    def reason(self) -> str:
        """What is wrong with an answer that is not 200, in the service's own words where it has any."""
        if self.problem:
            return self.problem
        told = self.body.get("detail", self.body.get("status")) if isinstance(self.body, dict) else None
        return f"HTTP {self.status}" + (f": {json.dumps(told)[:200]}" if told else "")


def ask(base: str, path: str, *, token: str | None, seconds: float, body: Mapping[str, object] | None = None) -> Answer:
    """GET ``path``, or POST ``body`` to it. Never raises for what the network does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    started = time.monotonic()
    try:
        with make_client(base, headers=headers) as client:
            status, _, content = whole_answer(client, path, seconds=seconds, most_bytes=_MOST_BYTES, json=body)
        return Answer(status, json_or_none(content), time.monotonic() - started)
    except httpx.ConnectError as error:
        return Answer(None, None, time.monotonic() - started, str(error) or "no connection", is_refused=True)
    except httpx.TimeoutException:
        return Answer(None, None, time.monotonic() - started, f"no answer within {seconds:g} seconds")
    except EndpointError as error:
        return Answer(None, None, time.monotonic() - started, str(error), is_unasked=True)
    except (httpx.HTTPError, UnicodeError) as error:
        return Answer(None, None, time.monotonic() - started, str(error) or type(error).__name__)


GROUP = Group(
    "Judge",
    (
        Check("judge_server", server),
        Check("judge_privacy", privacy),
        Check("judge_labels", labels, PROBE_SECONDS, after="judge_server"),
    ),
)
