"""The judge that a configuration asks for, together with the closed worlds that it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .callbacks import Notify
from .config import JudgeConfig, JudgeFallback, RunConfig, problems_of
from .data.synthetic.judge import decide_synthetic
from .errors import ConfigError, JudgeError
from .judge.client import RemoteJudge, privacy_warning
from .judge.gathering import GatheringJudge
from .judge.model_judge import FindingCache, ModelJudge, default_cache_folder
from .judge.openai_scorer import connect_openai
from .judge.protocol import AsyncJudge, Judge
from .judge.questions import AnswerScorer
from .judge.reference import HybridJudge, ReferenceJudge
from .network.secrets import bearer_token
from .records import NotePair, Source

CLOSED_WORLDS = {Source.SYNTHETIC: decide_synthetic}

LoadScorer = Callable[[JudgeConfig, Notify], AnswerScorer]


def reference_judge(pairs: Iterable[NotePair] = ()) -> ReferenceJudge:
    """The judge without a model: it compares with the known ``pairs``, and decides closed worlds by what made them."""
    return ReferenceJudge(pairs, CLOSED_WORLDS)


def make_judge(
    config: JudgeConfig,
    pairs: Iterable[NotePair] = (),
    notify: Notify = lambda text: None,
    load_scorer: LoadScorer | None = None,
) -> Judge:
    """The judge that ``config`` asks for.

    Args:
        config: which judge, and its options.
        pairs: known cases, for queries that name none.
        notify: told, a sentence at a time, what takes long or a person should know.
        load_scorer: loads the model of the judge "model". It needs torch, which this room doesn't import:
            ``policy.answer_scoring.load_answer_scorer``, or ``cli.arguments.load_scorer``, which imports it later.

    Raises:
        ConfigError: values of ``config`` are out of bounds or contradict each other.
        JudgeError: the judge can't be set up.
        PolicyError: its model can't be loaded.
    """
    if problems := problems_of(RunConfig(judge=config)):
        raise ConfigError("The judge can't be set up:", problems)
    known = list(pairs)
    if config.kind == "reference":
        return reference_judge(known)
    if config.kind == "hybrid":
        second = _make_second(config, config.fallback, known, notify, load_scorer)
        return HybridJudge(reference_judge(known), second)
    return _make_second(config, config.kind, known, notify, load_scorer)


def _make_second(
    config: JudgeConfig,
    kind: JudgeFallback,
    pairs: Sequence[NotePair],
    notify: Notify,
    load_scorer: LoadScorer | None,
) -> Judge:
    if kind == "remote":
        return _connect_remote(config, notify)
    if kind == "openai":
        scorer = connect_openai(config, notify)
    elif load_scorer is None:
        raise JudgeError("the judge 'model' was asked for where no model can be loaded: pass load_scorer")
    else:
        scorer = load_scorer(config, notify)
    folder = Path(config.cache).expanduser() if config.cache else default_cache_folder()
    cache = FindingCache(folder, notify) if config.use_cache else None
    return ModelJudge(scorer, config, kind=kind, pairs=pairs, cache=cache)


def make_async_judge(
    config: JudgeConfig, pairs: Iterable[NotePair] = (), notify: Notify = lambda text: None
) -> AsyncJudge:
    """:func:`make_judge` for callers on an event loop; it returns, like that one, when the judge is ready.

    The judge is asked in threads, a judge service by several at a time; questions about single games reach it in
    batches. The judge "model" can't be had here: on a loop plays an engine that has filled the GPU.

    Raises:
        ConfigError: values of ``config`` are out of bounds or contradict each other.
        JudgeError: the judge can't be set up.
    """
    return GatheringJudge(make_judge(config, pairs, notify), calls=config.concurrency if config.kind == "remote" else 1)


def _connect_remote(config: JudgeConfig, notify: Notify) -> RemoteJudge:
    url = config.url or ""
    if warning := privacy_warning(url):
        notify(f"warning: {warning}")
    judge = RemoteJudge(
        url,
        token=bearer_token(config.token_variable),
        games_per_request=config.queries_per_request,
        timeout_seconds=config.timeout_seconds,
        patience_seconds=config.patience_seconds,
        notify=notify,
    )
    judge.wait_until_ready()
    return judge
