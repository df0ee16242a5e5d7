"""What a judge is asked by the examination: notes of which the answer is known, and any question over HTTP, without
patience."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import httpx
from pydantic import JsonValue

from ..errors import EndpointError
from ..judge.conversation import json_or_none
from ..judge.protocol import JudgeQuery
from ..judge.wire import WirePair, WireQuery
from ..metrics.alarms import JUDGE_BATCH
from ..network.clients import make_client
from ..records import DataType, Labels, NotePair, Ruling, Verdict

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
        pair = WirePair.of(self.query.pair) if with_case and self.query.pair else None
        kind = self.query.data_type if with_case else None
        return WireQuery(
            game_idx=index, prompt=self.query.note, response=self.reply, pair=pair, data_type=kind
        ).model_dump(mode="json", exclude_none=True)


def known_queries(pairs: Sequence[NotePair], batch: int) -> list[KnownQuery]:
    """One batch: a right note called Safe, a wrong one called Harmful, an assessor's whole reply, and more notes.

    Args:
        pairs: at least one case.
        batch: which batch; as long as there are cases left, batches share none.
    """
    start = batch * JUDGE_BATCH // 2 % len(pairs)
    rotated = [*pairs[start:], *pairs[:start]]
    return [_known(number, *known) for number, known in enumerate(islice(_endless(rotated), JUDGE_BATCH))]


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


@dataclass(frozen=True)
class Score:
    """How a judge did on known notes."""

    asked: int
    right: int
    wrong: int
    reasons: tuple[str, ...]
    """Why it said nothing of the others, in its own words, each once."""

    @property
    def void(self) -> int:
        """Notes that it said nothing of."""
        return self.asked - self.right - self.wrong


def score_of(queries: Sequence[KnownQuery], rulings: Mapping[str, Ruling]) -> Score:
    """Compare ``rulings`` with what is known."""
    right = wrong = 0
    reasons: dict[str, None] = {}
    for known in queries:
        ruling = rulings.get(known.query.game_id)
        if isinstance(ruling, Labels):
            is_right = ruling.error_present is known.is_wrong_note
            right, wrong = right + is_right, wrong + (not is_right)
        else:
            reasons[ruling.reason if ruling else "its reply has no label of this game"] = None
    return Score(len(queries), right, wrong, tuple(reasons))


_CONNECT_SECONDS = 5.0
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
    timeout = httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
    started = time.monotonic()
    try:
        with (
            make_client(base, headers=headers, timeout=timeout) as client,
            client.stream("GET" if body is None else "POST", path, json=body) as response,
        ):
            content = _read(response, started + seconds)
            return Answer(response.status_code, json_or_none(content), time.monotonic() - started)
    except httpx.ConnectError as error:
        return Answer(None, None, time.monotonic() - started, str(error) or "no connection", is_refused=True)
    except httpx.TimeoutException:
        return Answer(None, None, time.monotonic() - started, f"no answer within {seconds:g} seconds")
    except EndpointError as error:
        return Answer(None, None, time.monotonic() - started, str(error), is_unasked=True)
    except (httpx.HTTPError, UnicodeError) as error:
        return Answer(None, None, time.monotonic() - started, str(error) or type(error).__name__)


def _read(response: httpx.Response, deadline: float) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        # The library's own time-out is for each piece.
        if time.monotonic() > deadline or len(content) > _MOST_BYTES:
            raise httpx.ReadTimeout("no whole answer in time")
    return bytes(content)
