"""The model judge: a language model that compares a note with its case, by closed questions. What it found is kept
on disk: resuming a run and judging it again ask nothing twice."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..callbacks import Notify
from ..config import JudgeConfig
from ..model_files import own_cache
from ..records import NotePair, Ruling
from .protocol import MODEL, VOTE, Finding, JudgeQuery, rule_by_findings
from .questions import (
    PROMPT_VERSION,
    WORDINGS,
    AnswerScorer,
    AnswerScores,
    ClosedQuestion,
    NoAnswer,
    Vote,
    decide,
    error_question,
    logistic,
    plausibility_question,
    vote_of,
)
from .reference import PairIndex
from .rewrite import MAX_CHARACTERS, keeps_the_error

FILE = "findings.sqlite3"

_FORMAT = 1
_BUSY_SECONDS = 30.0
_TELLING_OPTIONS = ("votes", "margin", "minimum_confidence", "ask_plausibility")
"""By which the same question may be answered otherwise."""
_FINDING = TypeAdapter(Finding)

ResultT = TypeVar("ResultT")


def default_cache_folder() -> Path:
    """Where findings are kept unless told otherwise: under ``$XDG_CACHE_HOME``, or ``~/.cache``."""
    return own_cache() / "judge"


class FindingCache:
    """Findings by key.

    Args:
        folder: where the file is; made when something is to be kept.
        notify: told once when the cache can't be used.
    """

    def __init__(self, folder: Path, notify: Notify = lambda text: None) -> None:
        self.path = folder / FILE
        self._notify = notify
        self._is_usable = True

    @staticmethod
    def key(*parts: Any) -> str:
        """A hash of ``parts``: texts, numbers, None and dataclasses of them."""
        content = [_plain(part) for part in (_FORMAT, *parts)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def get_all(self, keys: Iterable[str]) -> dict[str, Finding]:
        """The findings of those ``keys`` that are known. An entry that can't be read counts as unknown."""
        wanted = list(keys)
        if not wanted or not self.path.exists():
            return {}
        return self._use(lambda connection: _read(connection, wanted), {})

    def put_all(self, findings: Mapping[str, Finding]) -> None:
        """Keep ``findings``; one that replaces an unreadable entry is kept too."""
        if findings:
            self._use(lambda connection: _write(connection, findings), None)

    def _use(self, work: Callable[[sqlite3.Connection], ResultT], otherwise: ResultT) -> ResultT:
        if not self._is_usable:
            return otherwise
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS findings (key TEXT PRIMARY KEY, finding TEXT NOT NULL)")
                return work(connection)
        except (OSError, sqlite3.Error) as error:
            self._is_usable = False
            self._notify(
                f"The judge's cache {self.path} can't be used ({error}); judging goes on without it. Name another "
                "folder in judge.cache, or delete the file."
            )
            return otherwise


def _read(connection: sqlite3.Connection, keys: list[str]) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    wanted = "SELECT key, finding FROM findings WHERE key IN (SELECT value FROM json_each(?))"
    for key, content in connection.execute(wanted, [json.dumps(keys)]):
        with contextlib.suppress(ValidationError):
            found[key] = _FINDING.validate_json(content)
    return found


def _write(connection: sqlite3.Connection, findings: Mapping[str, Finding]) -> None:
    rows = [(key, _FINDING.dump_json(finding).decode()) for key, finding in findings.items()]
    with connection:
        connection.executemany("INSERT OR REPLACE INTO findings VALUES (?, ?)", rows)


def _plain(part: Any) -> Any:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return dataclasses.asdict(part)
    return part


@dataclass(frozen=True)
class _Subject:
    """What is asked about: games with the same note and case share their finding."""

    note: str
    pair: NotePair | None


class ModelJudge:
    """Rules by what a language model answers.

    Args:
        scorer: the model, in this process or behind a server.
        config: how sure is sure enough.
        kind: what kind of judge labels should name.
        pairs: where to look for the case of a query that names none. Without a case the model must know medicine.
        cache: where findings are kept; None: nowhere.
    """

    prompt_version = PROMPT_VERSION

    def __init__(
        self,
        scorer: AnswerScorer,
        config: JudgeConfig | None = None,
        *,
        kind: str = "model",
        pairs: Iterable[NotePair] = (),
        cache: FindingCache | None = None,
    ) -> None:
        self.name = f"{kind}:{scorer.name}"
        self._scorer = scorer
        self._config = config or JudgeConfig()
        self._pairs = pairs
        self._cache = cache

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id."""
        findings = self._find_all(queries)
        return rule_by_findings(queries, findings, judge=self.name, prompt_version=self.prompt_version)

    def _find_all(self, queries: Sequence[JudgeQuery]) -> list[Finding]:
        subjects = [self._subject(query) for query in queries]
        different = list(dict.fromkeys(subjects))
        keys = [self._key(subject) for subject in different]
        known = self._cache.get_all(keys) if self._cache else {}
        unknown = [(key, subject) for key, subject in zip(keys, different, strict=True) if key not in known]
        found = dict(zip((key for key, _ in unknown), self._ask([subject for _, subject in unknown]), strict=True))
        if self._cache:
            self._cache.put_all({key: finding for key, finding in found.items() if not finding.is_failure})
        by_subject = {subject: {**known, **found}[key] for key, subject in zip(keys, different, strict=True)}
        return [by_subject[subject] for subject in subjects]

    def _subject(self, query: JudgeQuery) -> _Subject:
        if query.pair is not None or len(query.note) > MAX_CHARACTERS:
            return _Subject(query.note, query.pair)
        candidates = self._index.candidates(query.note)
        return _Subject(query.note, candidates[0] if len(candidates) == 1 else None)

    @cached_property
    def _index(self) -> PairIndex:
        return PairIndex(self._pairs)

    def _key(self, subject: _Subject) -> str:
        # pair content only: a case that was numbered anew is the same case
        pair = replace(subject.pair, case_id="", near_duplicate_group="") if subject.pair else None
        options = {name: getattr(self._config, name) for name in _TELLING_OPTIONS}
        return FindingCache.key(self._scorer.identity, self.prompt_version, options, subject.note, pair)

    def _ask(self, subjects: Sequence[_Subject]) -> list[Finding]:
        findings: dict[_Subject, Finding] = {
            subject: Finding(None, f"the note is longer than {MAX_CHARACTERS} characters", MODEL, is_failure=True)
            for subject in subjects
            if len(subject.note) > MAX_CHARACTERS
        }
        askable = [subject for subject in subjects if subject not in findings]
        votes = self._votes(askable, [0])
        unsure = [subject for subject in askable if self._is_unsure(votes[subject][0])]
        for subject, further in self._votes(unsure, range(1, min(self._config.votes, WORDINGS))).items():
            votes[subject] += further
        for subject in askable:
            findings[subject] = self._finding(subject, votes[subject])
        if self._config.ask_plausibility:
            self._add_plausibility(findings)
        return [findings[subject] for subject in subjects]

    def _votes(self, subjects: Sequence[_Subject], wordings: Sequence[int]) -> dict[_Subject, list[Vote | NoAnswer]]:
        """What the wordings, asked all at once, give for an error in each note."""
        # The wordings of one note stand together, and begin with the same words.
        votes: dict[_Subject, list[Vote | NoAnswer]] = {subject: [] for subject in subjects}
        asked = [
            (subject, error_question(subject.note, subject.pair, wording))
            for subject in subjects
            for wording in wordings
        ]
        answers = self._score([item.question for _, item in asked])
        for (subject, item), answer in zip(asked, answers, strict=True):
            votes[subject].append(answer if isinstance(answer, NoAnswer) else vote_of(answer, item.error_index))
        return votes

    def _is_unsure(self, vote: Vote | NoAnswer) -> bool:
        return isinstance(vote, Vote) and (not vote.is_calibrated or abs(vote.odds) < self._config.margin)

    def _finding(self, subject: _Subject, votes: Sequence[Vote | NoAnswer]) -> Finding:
        given: list[Vote] = []
        for vote in votes:
            if isinstance(vote, NoAnswer):
                return Finding(None, vote.reason, MODEL, is_failure=True)
            given.append(vote)
        decision = decide(given)
        source = VOTE if len(given) > 1 else MODEL
        how = "once" if len(given) == 1 else f"in {len(given)} wordings"
        sure = "unknown" if decision.confidence is None else f"{decision.confidence:.2f}"
        is_sure = decision.confidence is None or decision.confidence >= self._config.minimum_confidence
        if decision.probability == 0.5 or not is_sure:
            reason = f"can't tell: the model was asked {how}, its confidence is {sure}"
            return Finding(None, reason, source, confidence=decision.confidence)
        error_present = decision.probability > 0.5
        says = "contains a medical error" if error_present else "is medically correct"
        compared = "compared with its case" if subject.pair else "without a case to compare with"
        return Finding(
            error_present,
            f"the model, asked {how}, says that the note, {compared}, {says} (confidence {sure})",
            source,
            confidence=decision.confidence,
            error_type=_error_type(subject) if error_present else None,
        )

    def _add_plausibility(self, findings: dict[_Subject, Finding]) -> None:
        decided = [subject for subject, finding in findings.items() if finding.error_present is not None]
        answers = self._score([plausibility_question(subject.note) for subject in decided])
        for subject, answer in zip(decided, answers, strict=True):
            if isinstance(answer, AnswerScores) and answer.is_calibrated:
                plausibility = logistic(vote_of(answer, 0).odds)
                findings[subject] = replace(findings[subject], plausibility=plausibility)

    def _score(self, questions: Sequence[ClosedQuestion]) -> Sequence[AnswerScores | NoAnswer]:
        if not questions:
            return []
        try:
            return self._scorer.score(questions)
        except Exception as error:  # noqa: BLE001 - a model may fail in any way: that voids games, not the run
            return [NoAnswer(f"the model failed: {type(error).__name__}: {error}")] * len(questions)


def _error_type(subject: _Subject) -> str | None:
    if subject.pair is None or not keeps_the_error(subject.note, subject.pair):
        return None
    return subject.pair.error_type
