"""Closed questions answered by a language model in vLLM: one token a question, bound to the allowed answers.

All questions of a call are one batch, in which those with the same beginning share what was read of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isfinite, log

from ..callbacks import Notify
from ..config import JudgeConfig, RolloutConfig
from ..errors import JudgeError, MissingDependencyError, PolicyError, VllmError
from ..judge.questions import AnswerScores, ClosedQuestion, NoAnswer
from .chat import encode_prompt
from .closed_questions import JUDGE_DAY, first_tokens, no_model
from .frozen import FrozenPolicy
from .merged_weights import merged_weights
from .vllm_engine import VllmEngine, longest_text

_TOGETHER = 32


class VllmScorer:
    """Answers closed questions with the judge's model, in an engine of its own.

    Args:
        config: the section [judge] of a run.
        identity: names it in the cache's keys.
        notify: told what takes long.

    Raises:
        JudgeError: the model can't be loaded, or vLLM doesn't start with it.
    """

    def __init__(self, config: JudgeConfig, *, identity: str, notify: Notify = lambda text: None) -> None:
        self.name = config.model
        self._config = config
        self._notify = notify
        self._token_ids: dict[str, list[int]] = {}
        self._start()
        self.identity = f"{identity} {self._dtype}"

    def score(self, questions: Sequence[ClosedQuestion]) -> Sequence[AnswerScores | NoAnswer]:
        """Scores for each question, in order; a question that is too long has none.

        An engine that dies is started again once; where that doesn't help, no question has a score.
        """
        encoded = [encode_prompt(self._tokenizer, question.prompt, "", JUDGE_DAY) for question in questions]
        answers: list[AnswerScores | NoAnswer] = [
            NoAnswer(f"the question has {len(prompt)} tokens, more than {self._longest}") for prompt in encoded
        ]
        rows = [row for row, prompt in enumerate(encoded) if len(prompt) <= self._longest]
        firsts = [[self._first_tokens(answer) for answer in questions[row].answers] for row in rows]
        try:
            found = self._chosen([encoded[row] for row in rows], firsts)
        except (VllmError, JudgeError) as error:
            found = [NoAnswer(str(error)) for _ in rows]
        for row, answer in zip(rows, found, strict=True):
            answers[row] = answer
        return answers

    def close(self) -> None:
        """End the engine."""
        self._engine.close()

    def _chosen(
        self, prompts: Sequence[tuple[int, ...]], firsts: Sequence[Sequence[Sequence[int]]]
    ) -> list[AnswerScores | NoAnswer]:
        choices = [sorted({token for answer in each for token in answer}) for each in firsts]
        try:
            log_probs = self._engine.choose(prompts, choices)
        except VllmError as error:
            self._notify(f"{error} The judge's engine is started again.")
            self._engine.close()
            self._start()
            log_probs = self._engine.choose(prompts, choices)
        return [_scores(found, answers) for found, answers in zip(log_probs, firsts, strict=True)]

    def _start(self) -> None:
        config = self._config
        try:
            self._notify(f"Loading the judge's model {config.model} ...")
            policy = FrozenPolicy(
                config.model, device=config.device, precision=config.precision, day=JUDGE_DAY, notify=self._notify
            )
            limits = RolloutConfig(
                temperature=1.0,
                max_prompt_tokens=config.max_prompt_tokens,
                max_revision_tokens=1,
                max_verdict_tokens=1,
                batch_size=_TOGETHER,
            )
            self._dtype = policy.compute_dtype
            self._engine = VllmEngine(policy, limits, self._dtype, serves_adapters=False)
            self._engine.push(merged_weights(policy))
            policy.forget_weights()
        except MissingDependencyError:
            raise
        except VllmError as error:
            raise JudgeError(
                str(error).replace("rollout.engine", "judge.engine").replace("rollout.", "judge.")
            ) from error
        except PolicyError as error:
            raise no_model(error) from error
        self._tokenizer = policy.tokenizer
        self._longest = longest_text(policy, limits) - 1

    def _first_tokens(self, answer: str) -> list[int]:
        if answer not in self._token_ids:
            self._token_ids[answer] = first_tokens(self._tokenizer, answer)
        return self._token_ids[answer]


def _scores(found: dict[int, float], answers: Sequence[Sequence[int]]) -> AnswerScores | NoAnswer:
    """Each answer's log-prob among the allowed ones."""
    sums = [sum(exp(found[token]) for token in tokens if token in found) for tokens in answers]
    # One that is less likely than a number can say is as good as impossible.
    log_probs = tuple(log(each) if each > 0 else -100.0 for each in sums)
    if not all(map(isfinite, log_probs)) or not any(sums):
        return NoAnswer("the model gives no finite numbers")
    return AnswerScores(log_probs)
