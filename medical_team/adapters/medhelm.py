"""MEDEC as a run spec of MedHELM (``medhelm``): ``medhelm-run -r "medec_official:medec=MEDEC.csv,model=..." ...``.

MedHELM has a run spec ``medec`` of its own, whose figures are others: it reads a text's true sentence id as a number
from an id with a correction behind it, which fails, and it takes ``CORRECT.`` for an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helm.benchmark.adaptation.adapter_spec import ADAPT_GENERATION, AdapterSpec
from helm.benchmark.adaptation.request_state import RequestState
from helm.benchmark.metrics.evaluate_instances_metric import EvaluateInstancesMetric
from helm.benchmark.metrics.metric import MetricMetadata, MetricSpec
from helm.benchmark.metrics.metric_name import MetricName
from helm.benchmark.metrics.statistic import Stat
from helm.benchmark.presentation.taxonomy_info import TaxonomyInfo
from helm.benchmark.run_spec import RunSpec, run_spec_function
from helm.benchmark.scenarios.scenario import (
    CORRECT_TAG,
    TEST_SPLIT,
    Input,
    Instance,
    Output,
    Reference,
    Scenario,
    ScenarioMetadata,
    ScenarioSpec,
)

from ..errors import UsageError
from .medec_questions import (
    DEFAULT_SEED,
    FLAG_FIGURES,
    LOWER_IS_BETTER,
    SENTENCE_FIGURES,
    Outcome,
    figures,
    medec_task,
    medec_texts,
    solution,
    text_of,
    to_row,
    vote_on,
)


@run_spec_function("medec_official")
def medec_official(
    medec: str = "",
    task: str = "three-part",
    texts: int | None = None,
    seed: int = DEFAULT_SEED,
    thinking: bool | str = False,
    max_tokens: int | None = None,
    prompt_style: str = "short",
) -> RunSpec:
    """MEDEC with the prompts and figures of ``medical-team eval medec``.

    Args:
        medec: the MEDEC CSV.
        task: ``three-part`` or ``assessor``.
        texts: so many texts, whole near-duplicate groups; all without it.
        seed: decides the drawn texts and the intervals.
        thinking: let the model think first.
        max_tokens: the longest reply.
        prompt_style: wording of the assessor's prompt.

    Raises:
        ValueError: an argument can't be used.
    """
    is_thinking = _truth("thinking", thinking)
    asked = medec_task(task, thinking=is_thinking, max_tokens=max_tokens, prompt_style=prompt_style)
    medec_texts(medec, texts=texts, seed=seed)
    how: dict[str, Any] = {"task": task, "thinking": is_thinking, "prompt_style": prompt_style, "seed": seed}
    return RunSpec(
        name=f"medec_official:task={task}",
        scenario_spec=ScenarioSpec(
            class_name=f"{__name__}.{MedecScenario.__name__}", args={"medec": medec, "texts": texts, **how}
        ),
        # The whole prompt is the text of an instance.
        adapter_spec=AdapterSpec(
            method=ADAPT_GENERATION,
            instructions="",
            input_prefix="",
            input_suffix="",
            output_prefix="",
            output_suffix="",
            max_train_instances=0,
            num_outputs=1,
            max_tokens=asked.max_tokens,
            temperature=0.0,
            stop_sequences=[],
        ),
        metric_specs=[MetricSpec(class_name=f"{__name__}.{MedecMetric.__name__}", args=how)],
        groups=["medec_official"],
    )


class MedecScenario(Scenario):
    """The texts of a MEDEC CSV, each with its question."""

    name = "medec_official"
    description = "Clinical notes, each correct or with one error (Ben Abacha et al., arXiv 2412.19260)"
    tags = ["error_detection", "error_correction", "biomedical"]  # noqa: RUF012, as the base class declares them

    def __init__(self, medec: str, texts: int | None, task: str, thinking: bool, prompt_style: str, seed: int) -> None:
        super().__init__()
        self._asked = medec_task(task, thinking=thinking, prompt_style=prompt_style)
        self._texts = medec_texts(medec, texts=texts, seed=seed)

    def get_instances(self, output_path: str) -> list[Instance]:
        """One instance for each text; the truth is beside it."""
        return [
            Instance(
                input=Input(text=self._asked.prompt(text)),
                references=[
                    Reference(Output(solution(text, has_sentences=self._asked.has_sentences)), tags=[CORRECT_TAG])
                ],
                split=TEST_SPLIT,
                id=text.text_id,
                extra_data=to_row(text),
            )
            for text in self._texts
        ]

    def get_metadata(self) -> ScenarioMetadata:
        """What MedHELM shows of it."""
        return ScenarioMetadata(
            name=self.name,
            display_name="MEDEC, official metrics",
            description=self.description,
            taxonomy=TaxonomyInfo(
                task="Classification",
                what="Detect and correct errors in medical narratives",
                when="Any",
                who="Researcher, Clinician",
                language="English",
            ),
            main_metric=FLAG_FIGURES[0],
            main_split=TEST_SPLIT,
        )


class MedecMetric(EvaluateInstancesMetric):
    """The figures of ``medical-team eval medec``, with the ends of their intervals over near-duplicate groups."""

    def __init__(self, task: str, thinking: bool, prompt_style: str, seed: int) -> None:
        self._asked = medec_task(task, thinking=thinking, prompt_style=prompt_style)
        self._seed = seed

    def evaluate_instances(self, request_states: Sequence[RequestState], eval_cache_path: str) -> list[Stat]:
        """One statistic for each figure."""
        outcomes = [self._outcome(state) for state in request_states]
        found = figures(outcomes, has_sentences=self._asked.has_sentences, seed=self._seed)
        return [_stat(name, value) for name, value in found.items()]

    def get_metadata(self) -> list[MetricMetadata]:
        """What MedHELM shows of the figures."""
        names = (*FLAG_FIGURES, *(SENTENCE_FIGURES if self._asked.has_sentences else ()))
        return [
            MetricMetadata(
                name=name, display_name=name.replace("_", " "), lower_is_better=name.startswith(LOWER_IS_BETTER)
            )
            for name in names
        ]

    def _outcome(self, state: RequestState) -> Outcome:
        text = text_of(state.instance.extra_data or {})
        completions = state.result.completions if state.result is not None else []
        vote = vote_on(self._asked, text, completions[0].text if completions else "")
        return Outcome(text, (vote,))


def _stat(name: str, value: float) -> Stat:
    return Stat(MetricName(name)).add(value)  # pyright: ignore[reportUnknownMemberType] - MedHELM leaves the number untyped


def _truth(name: str, value: bool | str) -> bool:
    """A run entry's true and false come as words."""
    words = {"true": True, "false": False}
    if str(value).lower() not in words:
        raise UsageError(f"{name} is {value!r}, expected true or false")
    return words[str(value).lower()]
