"""The judge: there, no other program in its place, right on known notes, fast enough, and no secret of its own told."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from ..config import JudgeConfig
from ..data.load import sample_records
from ..errors import MedicalTeamError
from ..judge.client import base_url, privacy_warning
from ..judge.wire import rulings_of
from ..judging import make_judge
from ..metrics.alarms import JUDGE_BATCH, MUCH_VOID
from ..network.proxies import is_on_this_machine, proxy_for
from ..network.secrets import bearer_token
from ..records import NotePair, Ruling
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .judge_questions import Answer, KnownQuery, Score, ask, known_queries, score_of
from .subject import Subject
from .trials import PROBE_SECONDS, judge_seen

RIGHT_ENOUGH = 0.75
"""A judge that is right less often on known notes teaches much that is wrong."""

GUESSING = 0.55
"""A judge that is right less often guesses, or has its labels the wrong way round."""

_ANSWER_SECONDS = 60.0
_CHECK_SECONDS = 90.0
_REPLY_INDEX = 2


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
    """The judge is right on known notes: a right one, a wrong one, an assessor's whole reply, and others."""
    kind = _asked_kind(subject)
    if kind == "model":
        return judge_seen(subject) or skipped(
            "the judging model is loaded when the run starts, and is too large to be loaded for a look",
            "medical-team judge audit --medec MEDEC.csv   (measures it on known notes)",
        )
    queries = known_queries(_pairs(subject), 0)
    if kind != "remote":
        rulings, _ = _rule_here(subject, queries)
        return _seen_of(score_of(queries, rulings), kind, subject)
    answer = _post(subject, queries)
    if answer.status != 200:
        return _refused(answer, subject)
    return _labels_problem(answer, queries) or _seen_of(score_of(queries, _rulings(answer, queries)), kind, subject)


def latency(subject: Subject) -> Seen:
    """A batch is ruled on in less than a second."""
    kind = _asked_kind(subject)
    if kind == "model":
        return skipped("the judging model is loaded when the run starts; from then on an alarm watches its latency")
    queries = known_queries(_pairs(subject), 1)
    if kind == "remote":
        answer = _post(subject, queries)
        if answer.status != 200:
            return _refused(answer, subject)
        seconds = answer.seconds
    else:
        _, seconds = _rule_here(subject, queries)
    found = f"{seconds:.2f} s for a batch of {JUDGE_BATCH} games"
    if seconds < subject.limits.judge_batch:
        return ok(found)
    return warning(
        f"{found}; it should be less than {subject.limits.judge_batch:g} s",
        "serve it from a GPU of its own, a smaller --model, or fewer --judge.votes; training waits for each batch",
    )


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
            records = subject.records()
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
    judge = subject.config.judge
    if answer.status in (401, 403):
        return failed(
            f"the judge wants a token ({answer.reason})",
            f"export {judge.token_variable}=...   (the one that the judge was started with)",
        )
    if answer.status == 422 or answer.status == 404 or answer.status == 405:
        return failed(f"what listens there takes no games: {answer.reason}", "correct judge.url")
    if answer.status is None:
        return failed(
            f"the judge answers no batch of {JUDGE_BATCH} games: {answer.problem}",
            "look at the judge's own output; a smaller --model, a GPU for it, or a higher judge.timeout_seconds",
        )
    return failed(
        f"the judge fails at a batch of {JUDGE_BATCH} games: {answer.reason}",
        "look at the judge's own output, then end it and start it again: medical-team judge serve",
    )


def _rulings(answer: Answer, queries: Sequence[KnownQuery]) -> Mapping[str, Ruling]:
    # The wire names a query's verdict by its whole reply; what was detected is looked at by `_labels_problem`.
    return rulings_of(answer.body, {index: known.query for index, known in enumerate(queries)}, "remote")


def _labels_problem(answer: Answer, queries: Sequence[KnownQuery]) -> Seen | None:
    """Why the reply is none that a trainer can use; the fork matches labels to games by their order."""
    mend = "serve a judge of this package: medical-team judge serve"
    told = answer.body.get("labels") if isinstance(answer.body, dict) else None
    if not isinstance(told, list):
        return failed('the reply holds no list "labels"', mend)
    indices = [label.get("game_idx") if isinstance(label, dict) else None for label in told]
    if indices != list(range(len(queries))):
        return failed(f"{len(told)} labels for {len(queries)} games, or not in the order of the games", mend)
    label = told[_REPLY_INDEX]
    detected = label.get("error_detected") if isinstance(label, dict) else None
    if detected is not False:
        return failed(
            f"an assessor's whole reply that ends in <answer> Safe </answer> is read as error_detected = {detected}",
            mend,
        )
    return None


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


def _seen_of(score: Score, kind: str, subject: Subject) -> Seen:
    found = f"right on {score.right} of {score.asked} known notes"
    if score.wrong:
        found += f", wrong on {score.wrong}"
    if score.void:
        found += f", no ruling on {score.void} ({score.reasons[0]})"
    if score.void > MUCH_VOID * score.asked:
        return failed(found, _mend_of_void(subject))
    share = score.right / (score.right + score.wrong)
    if share < GUESSING or (kind == "reference" and score.wrong):
        return failed(f"{found}: it guesses, or its labels are the wrong way round", "take another judge.model")
    if share < RIGHT_ENOUGH or score.void:
        return warning(
            found, "medical-team judge audit --medec MEDEC.csv   (says where it errs); or take another judge.model"
        )
    return ok(found)


def _mend_of_void(subject: Subject) -> str:
    if subject.config.engine.kind == "red-team-fork":
        return "the fork sends no cases: medical-team judge serve --judge reference --references train.jsonl"
    return "look at the judge's own output, or serve another: medical-team judge serve --judge model"


GROUP = Group(
    "Judge",
    (
        Check("judge_server", server),
        Check("judge_privacy", privacy),
        Check("judge_labels", labels, PROBE_SECONDS, after="judge_server"),
        Check("judge_latency", latency, _CHECK_SECONDS, after="judge_server"),
    ),
)
