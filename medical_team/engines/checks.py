"""What is tried before an engine is started for hours: the judge, with notes whose truth is known, and the command
line, with the engine's own parser."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from ..callbacks import Notify
from ..config import JudgeConfig
from ..errors import JudgeError
from ..judge.client import RemoteJudge, privacy_warning
from ..judge.protocol import Judge, JudgeQuery
from ..judging import make_judge
from ..records import DataType, JudgeFailure, NotePair, Ruling, TrainingRecord, Verdict
from .command import TRAINER
from .installed import ask_probe

CASES_ASKED = 4
"""Cases of the data that the judge is asked about, each with its error and without."""


@dataclass(frozen=True)
class JudgeProbe:
    """What a judge said of notes whose truth is known."""

    asked: int
    right: int
    seconds: float
    """For all of them, in one request."""


def check_judge(config: JudgeConfig, records: Sequence[TrainingRecord], notify: Notify) -> JudgeProbe:
    """Ask the judge of ``config`` about notes of ``records``, as the agent inside upstream OpenRLHF will.

    Raises:
        JudgeError: it can't be reached, or is no judge to train with.
    """
    pairs = _pairs(records)
    judge = make_judge(config, (record.pair for record in records), notify)
    return _probe(judge, [_query(pair, is_harmful, knows_case=True) for pair in pairs for is_harmful in (True, False)])


def check_judge_without_cases(config: JudgeConfig, records: Sequence[TrainingRecord], notify: Notify) -> JudgeProbe:
    """The same as the fork will: with the notes' texts alone, and without a token.

    Raises:
        JudgeError: it can't be reached, wants a token, or is no judge to train with.
    """
    url = config.url or ""
    if warning := privacy_warning(url):
        notify(f"warning: {warning}")
    pairs = _pairs(records)
    queries = [_query(pair, is_harmful, knows_case=False) for pair in pairs for is_harmful in (True, False)]
    with RemoteJudge(
        url, timeout_seconds=config.timeout_seconds, patience_seconds=config.patience_seconds, notify=notify
    ) as judge:
        judge.wait_until_ready()
        try:
            return _probe(judge, queries)
        except JudgeError as error:
            raise JudgeError(
                f"{error}. The fork sends notes without their cases: serve the judge with --references train.jsonl"
            ) from error


def needs_token(config: JudgeConfig) -> bool:
    """Whether a token for the judge is in the environment."""
    return bool(os.environ.get(config.token_variable, "").strip())


def _pairs(records: Sequence[TrainingRecord]) -> list[NotePair]:
    return list(dict.fromkeys(record.pair for record in records))[:CASES_ASKED]


def _query(pair: NotePair, is_harmful: bool, *, knows_case: bool) -> JudgeQuery:
    verdict = Verdict.HARMFUL if is_harmful else Verdict.SAFE
    return JudgeQuery(
        game_id=f"{pair.case_id}-{verdict.value}",
        note=pair.error_note if is_harmful else pair.corrected_note,
        verdict=verdict,
        pair=pair if knows_case else None,
        data_type=(DataType.VANILLA_HARMFUL if is_harmful else DataType.VANILLA_BENIGN) if knows_case else None,
    )


def _probe(judge: Judge, queries: Sequence[JudgeQuery]) -> JudgeProbe:
    started = time.monotonic()
    rulings = judge.rule(queries)
    seconds = time.monotonic() - started
    problems = [problem for query in queries if (problem := _problem(rulings.get(query.game_id), query))]
    right = len(queries) - len(problems)
    # A model may miss an error or two; one that is right no more often than a coin trains nobody.
    if 2 * right <= len(queries):
        raise JudgeError(
            f"the judge is right on {right} of {len(queries)} notes of the data whose truth is known, so training with "
            f"it would teach nothing; of the first it fails at: {problems[0]}"
        )
    return JudgeProbe(len(queries), right, seconds)


def _problem(ruling: Ruling | None, query: JudgeQuery) -> str | None:
    is_harmful = query.verdict is Verdict.HARMFUL
    if ruling is None:
        return "it doesn't answer"
    if isinstance(ruling, JudgeFailure):
        return ruling.reason
    if ruling.error_detected is not is_harmful:
        return f"it takes the verdict {query.verdict} for another"
    if ruling.error_present is not is_harmful:
        return "it finds no error where one is" if is_harmful else "it finds an error where none is"
    return None


_PROBE_SECONDS = 120.0


@dataclass(frozen=True)
class ParserVerdict:
    """What an engine's parser says of a command line."""

    is_accepted: bool
    problem: str | None
    """Why it is refused, in the engine's words."""
    remarks: tuple[str, ...]
    """What the engine's parser printed, such as settings that it changes by itself."""
    settings: Mapping[str, JsonValue]
    """The settings that it understood, by their names in the engine."""


def check_with_parser(python: str, arguments: Sequence[str], paths: Sequence[str] = ()) -> ParserVerdict:
    """Have the parser of the engine's :data:`.command.TRAINER` read ``arguments``. Nothing of the engine starts.

    Args:
        python: the engine's Python.
        arguments: all that follows the module.
        paths: folders to look in first, such as the fork's checkout.

    Raises:
        EngineError: that Python can't be run.
    """
    wanted = {"module": TRAINER, "arguments": list(arguments), "paths": list(paths)}
    return ask_probe(
        python, wanted, ParserVerdict, seconds=_PROBE_SECONDS, failure="can't check the engine's command line"
    )
