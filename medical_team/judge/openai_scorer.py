"""Closed questions answered by a model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, a vendor.

A vLLM server is bound to the allowed answers themselves (``structured_outputs`` with a choice): replies of one token.
Another is asked for the answer as JSON (``response_format`` with a JSON schema). Both are asked for log-probs. One that
refuses either is asked without; first questions about the sky find that out, and whether a model answers only when it
may think first. Without log-probs only the answer itself is known, and a reply that is none of the allowed answers is
no answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ..callbacks import Notify
from ..config import JudgeConfig
from ..errors import EndpointError, JudgeError
from ..network.proxies import privacy_warning
from ..openai_chat import ChatClient, ChatRefusal, ChatReply, ChatRequest
from .questions import AnswerScores, ClosedQuestion, NoAnswer

_MAX_JSON_TOKENS = 32
_MAX_TOKENS = 8
_MAX_THINKING_TOKENS = 4096
_TOP_LOG_PROBS = 20
_AROUND_ANSWER = " \t\r\n\"'*`_.:,(){}[]"
_LISTED = re.compile(r"\W{0,3}(\w+)\s*[:.)](?=\s|$)")
_WORD = re.compile(r"\w+")
_PROBE = ClosedQuestion("Is the sky blue?\nA: Yes.\nB: No.\nAnswer with one letter, A or B.", ("A", "B"))
# Nobody answers so who isn't bound to it: a server may accept the wish for a choice, and not know what it means.
_CHOICE_PROBE = ClosedQuestion("Is the sky blue?", ("Zorrequat", "Vembilloo"))
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Dialect:
    """What a server understands beyond the bare minimum."""

    has_json_schema: bool
    has_log_probs: bool
    has_choice: bool = False
    is_thinking: bool = False
    """Whether the model thinks before it answers, as OpenAI's newer ones do, and needs room for that."""

    def request(self, question: ClosedQuestion) -> ChatRequest:
        """``question``, greedily, as this server understands it."""
        options: dict[str, object] = {}
        if self.has_choice:
            options["structured_outputs"] = {"choice": list(question.answers)}
        if self.has_json_schema:
            options["response_format"] = _response_format(question.answers)
        if self.has_log_probs:
            options |= {"logprobs": True, "top_logprobs": _TOP_LOG_PROBS}
        max_tokens = _MAX_JSON_TOKENS if self.has_json_schema else _MAX_TOKENS
        if self.is_thinking:
            max_tokens = _MAX_THINKING_TOKENS
        return ChatRequest(question.prompt, max_tokens=max_tokens, options=options)


DIALECTS = (
    Dialect(False, True, has_choice=True),
    Dialect(True, True),
    Dialect(False, True),
    Dialect(True, False),
    Dialect(False, False),
)
"""In the order in which they are tried: log-probs tell more than a schema does."""


class OpenAIScorer:
    """Answers closed questions by asking a server. :func:`connect_openai` makes one.

    Args:
        client: talks to the server, and waits while it is away.
        model: the server's name of the model.
        url: the server, for the cache's keys.

    Raises:
        EndpointError: the server can't be reached, or answers no question at all.
    """

    def __init__(self, client: ChatClient, *, model: str, url: str) -> None:
        self.name = model
        self.identity = f"{url} {model}"
        self._client = client
        self.dialect, probe = self._find_dialect()
        if isinstance(probe, NoAnswer):
            # Its model answers nothing within a few tokens.
            roomy = replace(self.dialect, is_thinking=True)
            thought = self._probed(roomy, _PROBE)
            self.dialect, probe = (self.dialect, probe) if isinstance(thought, NoAnswer) else (roomy, thought)
        self.tells_log_probs = isinstance(probe, AnswerScores) and probe.is_calibrated
        """Whether the first reply came with log-probs: a server may ignore what it was asked for."""

    def score(self, questions: Sequence[ClosedQuestion]) -> Sequence[AnswerScores | NoAnswer]:
        """Scores for each question, in order. A question that the server refuses has none, and spoils no other."""
        requests = [self.dialect.request(question) for question in questions]
        try:
            replies = self._client.complete(requests)
        except EndpointError:
            # The server may be away, or refuse one of them; it was waited for already.
            replies = self._client.complete_each(requests)
        return [scores_of(reply, question.answers) for reply, question in zip(replies, questions, strict=True)]

    def _find_dialect(self) -> tuple[Dialect, AnswerScores | NoAnswer]:
        # The barest question waits for a server that is away, and raises what is wrong with it.
        (bare,) = self._client.complete([DIALECTS[-1].request(_PROBE)])
        for dialect in DIALECTS[:-1]:
            if dialect.has_choice and isinstance(self._probed(dialect, _CHOICE_PROBE), NoAnswer):
                continue
            (reply,) = self._client.complete_each([dialect.request(_PROBE)])
            if isinstance(reply, ChatReply):
                return dialect, scores_of(reply, _PROBE.answers)
        return DIALECTS[-1], scores_of(bare, _PROBE.answers)

    def _probed(self, dialect: Dialect, question: ClosedQuestion) -> AnswerScores | NoAnswer:
        (reply,) = self._client.complete_each([dialect.request(question)])
        return scores_of(reply, question.answers)


def connect_openai(config: JudgeConfig, notify: Notify) -> OpenAIScorer:
    """Ask the server of ``config`` a first question.

    Raises:
        JudgeError: it can't be reached, or answers no question.
    """
    url = config.url or ""
    if warning := privacy_warning(url, sent="notes and sentences of their cases", receiver="the model"):
        notify(f"warning: {warning}")
    try:
        client = ChatClient(
            url,
            config.model,
            token_variable=config.token_variable,
            concurrency=config.concurrency,
            timeout_seconds=config.timeout_seconds,
            patience_seconds=config.patience_seconds,
            notify=notify,
        )
        scorer = OpenAIScorer(client, model=config.model, url=url)
    except EndpointError as error:
        raise JudgeError(f"the judge's model can't be asked: {error}") from error
    if not scorer.tells_log_probs:
        notify(
            f"{url} tells no log-probs: every note is asked about in {config.votes} wordings (judge.votes), and the "
            "confidence is the share that agrees"
        )
    return scorer


def scores_of(reply: ChatReply | ChatRefusal, answers: Sequence[str]) -> AnswerScores | NoAnswer:
    """What ``reply`` says about each of ``answers``; nothing is guessed at."""
    if isinstance(reply, ChatRefusal):
        return NoAnswer(reply.reason)
    text = reply.text.rpartition("</think>")[2]
    said = _answer_said(text, answers)
    log_probs = _log_probs(reply.choice, answers, said)
    if log_probs is not None:
        return AnswerScores(log_probs)
    if said is None:
        listed = ", ".join(answers)
        return NoAnswer(f"the model's reply is none of {listed}: {text[:_SHOWN_CHARACTERS]!a}")
    return AnswerScores(tuple(0.0 if answer == said else -1.0 for answer in answers), is_calibrated=False)


def _response_format(answers: Sequence[str]) -> dict[str, object]:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(answers)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _answer_said(text: str, answers: Sequence[str]) -> str | None:
    """The answer that ``text`` gives: as JSON, bare, or as the label of a list ("A: Yes") that names no other one."""
    try:
        content: Any = json.loads(text, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        said: object = cast("dict[str, object]", content).get("answer")
        return said if isinstance(said, str) and said in answers else None
    bare = text.strip(_AROUND_ANSWER)
    if bare in answers:
        return bare
    listed = _LISTED.match(text.strip())
    if listed is None or listed[1] not in answers:
        return None
    others = set(answers) - {listed[1]}
    return None if others.intersection(_WORD.findall(text.strip(), listed.end())) else listed[1]


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; an empty one where a key stands in it twice, of which Python would take the last."""
    content = dict(pairs)
    return content if len(content) == len(pairs) else {}


def _log_probs(choice: Mapping[str, Any], answers: Sequence[str], said: str | None) -> tuple[float, ...] | None:
    """The log-prob of each answer where the reply gives one; None where the server tells none that can be used.

    An answer that is not among the likeliest tokens is held to be as likely as the last of them: it is less. A reply
    that names several answers, and gives none, tells nothing.
    """
    try:
        tokens: list[dict[str, Any]] = choice["logprobs"]["content"]
        bare = [str(token["token"]).strip(_AROUND_ANSWER) for token in tokens]
        places = [place for place, token in enumerate(bare) if token in answers and said in (None, token)]
        if len({bare[place] for place in places}) > 1:
            # "A or B": which one is meant would be a guess
            return None
        # a reply that begins otherwise still tells how likely each answer was as its beginning
        place = places[-1] if places else 0
        likeliest = [(str(top["token"]), float(top["logprob"])) for top in tokens[place]["top_logprobs"]]
    except (LookupError, TypeError, ValueError, OverflowError):
        return None
    by_answer: dict[str, list[float]] = {answer: [] for answer in answers}
    for token, log_prob in likeliest:
        stripped = token.strip(_AROUND_ANSWER)
        if stripped in by_answer and math.isfinite(log_prob):
            by_answer[stripped].append(log_prob)
    finite = [log_prob for _, log_prob in likeliest if math.isfinite(log_prob)]
    if not any(by_answer.values()) or len(likeliest) < 2:
        return None
    return tuple(_log_sum(found) if found else min(finite) for found in by_answer.values())


def _log_sum(log_probs: Sequence[float]) -> float:
    highest = max(log_probs)
    return highest + math.log(math.fsum(math.exp(log_prob - highest) for log_prob in log_probs))
