"""The judge that a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..config import JudgeConfig, judge_problems
from ..errors import ConfigError, JudgeError
from ..records import NotePair
from .protocol import Judge
from .questions import AnswerScorer
from .reference import ReferenceJudge

Notify = Callable[[str], None]
LoadScorer = Callable[[JudgeConfig, Notify], AnswerScorer]


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
            ``policy.answer_scoring.load_answer_scorer``, or ``cli.judging.load_scorer``, which imports it when called.

    Raises:
        ConfigError: values of ``config`` contradict each other.
        JudgeError: the judge can't be set up.
        PolicyError: its model can't be loaded.
    """
    if problems := list(judge_problems(config, "judge.")):
        raise ConfigError("The judge can't be set up:", problems)
    if config.kind == "reference":
        return ReferenceJudge(pairs)
    raise JudgeError(f"the judge {config.kind!r} is not there yet")
