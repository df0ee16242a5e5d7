"""MEDEC as tasks of Inspect (``inspect_ai``): ``inspect eval medical_team/medec -T medec=MEDEC.csv --model ...``.

Several epochs are several votes, of which the majority counts, as ``eval medec --samples`` has it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from inspect_ai import Task, task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState, generate

from ..errors import MedicalTeamError
from ..evaluation.predictions import prediction_of
from .medec_questions import (
    DEFAULT_SEED,
    Outcome,
    figures,
    medec_task,
    medec_texts,
    solution,
    text_of,
    to_row,
    vote_of_row,
    vote_on,
)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

TEXT_KEY = "medec_text"
POSITION_KEY = "medec_position"
"""The place of the text in the file: the bootstrap's draws depend on it, and a log has another order."""
TASK_KEY = "medec_task"
VOTE_KEY = "medec_vote"


def _with_errors_of_inspect(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Our errors as what Inspect prints without a traceback."""

    @functools.wraps(function)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except MedicalTeamError as error:
            raise PrerequisiteError(str(error)) from error

    return wrapped


@task
@_with_errors_of_inspect
def medec(
    medec: str = "",
    texts: int | None = None,
    seed: int = DEFAULT_SEED,
    thinking: bool = False,
    max_tokens: int | None = None,
) -> Task:
    """MEDEC's three parts with the paper's prompt: flag, sentence, correction.

    Args:
        medec: the MEDEC CSV.
        texts: so many texts, whole near-duplicate groups; all without it.
        seed: decides the drawn texts and the intervals.
        thinking: let the model think first.
        max_tokens: the longest reply.
    """
    return _task("three-part", medec, texts, seed, thinking, max_tokens, "short")


@task
@_with_errors_of_inspect
def medec_verdict(
    medec: str = "",
    texts: int | None = None,
    seed: int = DEFAULT_SEED,
    thinking: bool = False,
    max_tokens: int | None = None,
    prompt_style: str = "short",
) -> Task:
    """Safe or Harmful, asked with the assessor's prompt of the game.

    Args:
        medec: the MEDEC CSV.
        texts: so many texts, whole near-duplicate groups; all without it.
        seed: decides the drawn texts and the intervals.
        thinking: let the model think first.
        max_tokens: the longest reply.
        prompt_style: the prompt's wording.
    """
    return _task("assessor", medec, texts, seed, thinking, max_tokens, prompt_style)


def _task(
    name: str,
    path: str,
    texts: int | None,
    seed: int,
    thinking: bool,
    max_tokens: int | None,
    prompt_style: str,
) -> Task:
    asked = medec_task(name, thinking=thinking, max_tokens=max_tokens, prompt_style=prompt_style)
    samples = [
        Sample(
            id=text.text_id,
            input=asked.prompt(text),
            target=solution(text, has_sentences=asked.has_sentences),
            metadata={TEXT_KEY: to_row(text), POSITION_KEY: position},
        )
        for position, text in enumerate(medec_texts(path, texts=texts, seed=seed))
    ]
    return Task(
        dataset=MemoryDataset(samples, name="medec", shuffled=False),
        solver=generate(),
        scorer=medec_reading(name, thinking, prompt_style),
        metrics=[medec_figures(seed)],
        config=GenerateConfig(max_tokens=asked.max_tokens, temperature=0.0),
    )


@metric(scores="unreduced")
def medec_figures(seed: int = DEFAULT_SEED) -> Metric:
    """The figures of ``medical-team eval medec``, with the ends of their intervals over near-duplicate groups."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        outcomes: dict[str, Outcome] = {}
        has_sentences = False
        for score in sorted(scores, key=lambda score: (score.sample_metadata or {})[POSITION_KEY]):
            text, read = text_of((score.sample_metadata or {})[TEXT_KEY]), score.score.metadata or {}
            before = outcomes[text.text_id].votes if text.text_id in outcomes else ()
            outcomes[text.text_id] = Outcome(text, (*before, vote_of_row(read[VOTE_KEY])))
            has_sentences = medec_task(read[TASK_KEY]).has_sentences
        return figures(list(outcomes.values()), has_sentences=has_sentences, seed=seed) if outcomes else {}

    return compute


@scorer(metrics=[medec_figures()])
@_with_errors_of_inspect
def medec_reading(task: str, thinking: bool = False, prompt_style: str = "short") -> Scorer:
    """Reads each reply by the rules of ``eval medec``. The value says whether the flag is right."""
    asked = medec_task(task, thinking=thinking, prompt_style=prompt_style)

    async def score(state: TaskState, target: Target) -> Score:
        if TEXT_KEY not in state.metadata:
            raise PrerequisiteError(
                f"sample {state.sample_id} has no {TEXT_KEY}: medec_reading reads replies to medical_team/medec and "
                "medical_team/medec_verdict alone"
            )
        text, output = text_of(state.metadata[TEXT_KEY]), state.output
        reply = None if output.stop_reason == "model_length" and not output.completion else output.completion
        vote = vote_on(asked, text, reply, is_finished=output.stop_reason != "max_tokens")
        is_right = prediction_of(text, [vote]).is_flag_right
        return Score(
            value=NOANSWER if vote.flag is None else CORRECT if is_right else INCORRECT,
            answer=output.completion,
            explanation=vote.problem or None,
            metadata={TASK_KEY: task, VOTE_KEY: to_row(vote)},
        )

    return score
