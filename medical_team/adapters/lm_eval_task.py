"""MEDEC as tasks of lm-evaluation-harness (``lm_eval``); the folder ``lm_eval_tasks`` is their ``--include_path``.

The harness hands a metric one value of each document and asks for one number, so every figure gets the same values:
what scoring needs of a text and its reply, as a line of JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from ..errors import UsageError
from ..evaluation.medec_texts import MedecText
from ..evaluation.predictions import Vote
from ..jsonl import from_line, to_line
from .medec_questions import (
    DEFAULT_SEED,
    FLAG_FIGURES,
    INTERVAL_ENDS,
    LOWER_IS_BETTER,
    SENTENCE_FIGURES,
    Outcome,
    figures,
    medec_task,
    medec_texts,
    solution,
    vote_on,
)

TASKS_FOLDER = Path(__file__).parent / "lm_eval_tasks"

_OPTIONS = ("medec", "texts", "seed", "thinking", "max_tokens", "prompt_style")


@dataclass(frozen=True)
class ScoredText:
    """What the figures need of one text and the reply to it: neither its words nor those of the reply."""

    text: MedecText
    vote: Vote


class _Medec(ConfigurableTask):
    """One of MEDEC's tasks. Its options come by ``--metadata``, as JSON."""

    TASK_NAME: ClassVar[str]
    VERSION = 1
    CONFIG = None

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        config = dict(config or {})
        metadata: Mapping[str, Any] = config.get("metadata") or {}
        # The harness adds the model's own arguments.
        self._options = {name: value for name, value in metadata.items() if name in _OPTIONS}
        if config.get("num_fewshot"):
            raise UsageError("num_fewshot is for tasks with examples: MEDEC is zero-shot here (eval medec has --shots)")
        self._asked = medec_task(
            self.TASK_NAME,
            thinking=self._options.get("thinking", False),
            max_tokens=self._options.get("max_tokens"),
            prompt_style=self._options.get("prompt_style", "short"),
        )
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - the harness leaves its parameters untyped
            config={
                "task": config.get("task"),
                "metadata": {"version": self.VERSION, **metadata},
                "custom_dataset": self._dataset,
                "test_split": "test",
                "output_type": "generate_until",
                "doc_to_text": "prompt",
                "doc_to_target": "target",
                # Without any, the harness would end a reply at the first empty line.
                "generation_kwargs": {
                    "until": [],
                    "do_sample": False,
                    "temperature": 0.0,
                    "max_gen_toks": self._asked.max_tokens,
                },
                "num_fewshot": 0,
                "metric_list": [],
                "process_results": self.process_results,
            }
        )

    def _dataset(self, **_: Any) -> dict[str, Dataset]:
        texts = medec_texts(
            self._options.get("medec"), texts=self._options.get("texts"), seed=self._options.get("seed", DEFAULT_SEED)
        )
        rows = [
            {
                "prompt": self._asked.prompt(text),
                "target": solution(text, has_sentences=self._asked.has_sentences),
                "row": to_line(text),
            }
            for text in texts
        ]
        # datasets types the rows as dict, without saying of what.
        return {"test": Dataset.from_list(rows)}  # pyright: ignore[reportUnknownMemberType] - a bare dict to datasets

    def process_results(self, doc: Mapping[str, Any], results: Sequence[str | None]) -> dict[str, str]:
        """What scoring needs of one document, under the name of every figure."""
        text = from_line(doc["row"], MedecText)
        # The harness doesn't say why a model gave nothing.
        vote = vote_on(self._asked, text, results[0] or "")
        wordless = replace(
            text, text="", sentences={}, error_sentence=None, corrected_sentence=None, corrected_text=None
        )
        line = to_line(ScoredText(wordless, replace(vote, reply="")))
        return dict.fromkeys(self.aggregation(), line)

    def aggregation(self) -> dict[str, Callable[[Sequence[str]], float]]:
        """The figures' names, and what makes each of them of the values."""
        seed = self._options.get("seed", DEFAULT_SEED)
        has_sentences = self._asked.has_sentences
        names = (*FLAG_FIGURES, *(SENTENCE_FIGURES if has_sentences else ()))
        with_ends = [f"{name}{end}" for name in names for end in ("", *(f"_{end}" for end in INTERVAL_ENDS))]
        return {name: partial(_figure, name=name, has_sentences=has_sentences, seed=seed) for name in with_ends}

    def higher_is_better(self) -> dict[str, bool]:
        """Whether more is better, by figure."""
        return {name: not name.startswith(LOWER_IS_BETTER) for name in self.aggregation()}


class ThreePartMedec(_Medec):
    """Flag, sentence and correction."""

    TASK_NAME = "three-part"


class VerdictMedec(_Medec):
    """Safe or Harmful."""

    TASK_NAME = "assessor"


def _figure(lines: Sequence[str], *, name: str, has_sentences: bool, seed: int) -> float:
    """One figure; nan where no text allows to say it."""
    return _figures(tuple(lines), has_sentences, seed).get(name, float("nan"))


@lru_cache(maxsize=1)
def _figures(lines: tuple[str, ...], has_sentences: bool, seed: int) -> Mapping[str, float]:
    scored = [from_line(line, ScoredText) for line in lines]
    outcomes = [Outcome(each.text, (each.vote,)) for each in scored]
    return figures(outcomes, has_sentences=has_sentences, seed=seed)
