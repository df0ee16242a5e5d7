"""Closed questions answered by a language model in this process: the log-probs of the allowed answers, by
transformers or by vLLM, one token a question."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from math import isfinite
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from ..callbacks import Notify
from ..config import JudgeConfig, RolloutConfig
from ..errors import JudgeError, MissingDependencyError, PolicyError, VllmError
from ..judge.questions import AnswerScorer, AnswerScores, ClosedQuestion, NoAnswer
from ..runs.places import is_hub_name
from .chat import chat_tokenizer, encode_prompt
from .decoding import left_padded
from .devices import choose_device, choose_dtype
from .forward_pass import ForwardPass, hides_padding
from .hub import cached_folder
from .loading import LanguageModel, load_language_model
from .pair import FrozenPolicy
from .vllm_engine import VllmEngine, longest_text
from .vllm_rollout import merged_weights
from .vllm_room import check_installed

JUDGE_DAY = date(2026, 1, 1)
"""The day that a judge's chat template is told: what it finds, and what is kept of that, depends on no day."""

_POLICY_OPTION = re.compile(r"\bpolicy\.(?=(?:model|device|precision)\b)")


@contextmanager
def _told_of_the_judge() -> Generator[None]:
    """Errors whose messages name options of the policy and its engine, for a person who set up a judge."""
    try:
        yield
    except MissingDependencyError:
        raise
    except VllmError as error:
        raise JudgeError(str(error).replace("rollout.", "judge.")) from error
    except PolicyError as error:
        raise JudgeError(f"the judge has no model: {_POLICY_OPTION.sub('judge.', str(error))}") from error


@lru_cache(maxsize=64)
def first_tokens(tokenizer: PreTrainedTokenizerBase, answer: str) -> list[int]:
    """The tokens that begin ``answer``, with a space before it and without."""
    spellings = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (answer, f" {answer}")]
    firsts = {ids[0] for ids in spellings if ids and chat_tokenizer(tokenizer).decode([ids[0]]).strip()}
    return sorted(firsts)


_TOGETHER = 32


class _Scorer:
    """Answers closed questions: what the two engines have in common."""

    identity: str
    _tokenizer: PreTrainedTokenizerBase
    _longest: int

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, questions: Sequence[ClosedQuestion]) -> Sequence[AnswerScores | NoAnswer]:
        """Scores for each question, in order; a question that is too long, or that the engine can't read, has none."""
        encoded = [encode_prompt(self._tokenizer, question.prompt, "", JUDGE_DAY) for question in questions]
        answers: list[AnswerScores | NoAnswer] = [
            NoAnswer(f"the question has {len(prompt)} tokens, more than {self._longest}") for prompt in encoded
        ]
        rows = [row for row, prompt in enumerate(encoded) if len(prompt) <= self._longest]
        firsts = [[first_tokens(self._tokenizer, answer) for answer in questions[row].answers] for row in rows]
        for row, answer in zip(rows, self._answered([encoded[row] for row in rows], firsts), strict=True):
            answers[row] = answer
        return answers

    def _answered(
        self, prompts: Sequence[tuple[int, ...]], firsts: Sequence[Sequence[Sequence[int]]]
    ) -> Sequence[AnswerScores | NoAnswer]:
        """Scores for each prompt, whose answers begin with one of ``firsts``."""
        raise NotImplementedError


def _scores(first_log_probs: Iterable[torch.Tensor]) -> AnswerScores | NoAnswer:
    """Each answer's log-prob, of those of the tokens that begin it."""
    log_probs = [tokens.logsumexp(dim=0).item() for tokens in first_log_probs]
    if not all(map(isfinite, log_probs)):
        return NoAnswer("the model gives no finite numbers")
    return AnswerScores(tuple(log_probs))


class VllmScorer(_Scorer):
    """Answers closed questions with the judge's model, in an engine of its own.

    An engine that dies is started again once; where that doesn't help, no question has a score.

    Args:
        config: the section [judge] of a run.
        identity: names it in the cache's keys.
        notify: told what takes long.

    Raises:
        JudgeError: the model can't be loaded, or vLLM doesn't start with it.
    """

    def __init__(self, config: JudgeConfig, *, identity: str, notify: Notify = lambda text: None) -> None:
        super().__init__(config.model)
        self._config = config
        self._notify = notify
        self._start()
        self.identity = f"{identity} {self._dtype}"

    def close(self) -> None:
        """End the engine."""
        self._engine.close()

    def _answered(
        self, prompts: Sequence[tuple[int, ...]], firsts: Sequence[Sequence[Sequence[int]]]
    ) -> Sequence[AnswerScores | NoAnswer]:
        choices = [sorted({token for answer in each for token in answer}) for each in firsts]
        try:
            try:
                found = self._engine.choose(prompts, choices)
            except VllmError as error:
                self._notify(f"{error} The judge's engine is started again.")
                self._engine.close()
                self._start()
                found = self._engine.choose(prompts, choices)
        except (VllmError, JudgeError) as error:
            return [NoAnswer(str(error)) for _ in prompts]
        # What is less likely than vLLM tells is as good as impossible.
        return [
            _scores(torch.tensor([log_probs.get(token, -100.0) for token in tokens]) for tokens in answers)
            for log_probs, answers in zip(found, firsts, strict=True)
        ]

    def _start(self) -> None:
        config = self._config
        with _told_of_the_judge():
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
        self._tokenizer = policy.tokenizer
        self._longest = longest_text(policy, limits) - 1


def load_answer_scorer(config: JudgeConfig, notify: Notify = lambda text: None) -> AnswerScorer:
    """Load the model of the judge "model".

    Raises:
        JudgeError: it can't be loaded or used; the message names the option of the section [judge].
        MissingDependencyError: a library is not installed.
    """
    device, dtype = place_of_judge(config)
    if config.engine == "vllm":
        return VllmScorer(config, identity=f"{config.model} {model_fingerprint(config.model)} vllm", notify=notify)
    with _told_of_the_judge():
        notify(f"Loading the judge's model {config.model} ...")
        language_model = load_language_model(config.model, device=device, dtype=dtype, notify=notify)
    return LanguageModelScorer(
        language_model,
        identity=f"{config.model} {model_fingerprint(config.model)} {dtype}",
        tokens_per_batch=config.tokens_per_batch,
        max_prompt_tokens=config.max_prompt_tokens,
    )


def place_of_judge(config: JudgeConfig) -> tuple[torch.device, torch.dtype]:
    """Where the model of the judge "model" computes, and in what; nothing is loaded.

    Raises:
        JudgeError: that is not there, or vLLM is asked for and can't be had; the message names the option.
    """
    with _told_of_the_judge():
        if config.engine == "vllm":
            check_installed()
        device = choose_device(config.device)
        return device, choose_dtype(config.precision, device)


class LanguageModelScorer(_Scorer):
    """Answers closed questions with a language model.

    Args:
        language_model: the model.
        identity: names it in the cache's keys.
        tokens_per_batch: padded tokens in one forward pass; a matter of memory. A batch that doesn't fit is halved.
        max_prompt_tokens: longest question. The model's context window is a limit too.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        *,
        identity: str = "",
        tokens_per_batch: int = 8192,
        max_prompt_tokens: int = 4096,
    ) -> None:
        super().__init__(language_model.name)
        self.identity = identity or language_model.name
        self._forward_pass = ForwardPass(language_model.model)
        self._tokenizer = language_model.tokenizer
        self._pad_token_id = language_model.pad_token_id
        self._device = language_model.model.device
        self._tokens_per_batch = tokens_per_batch
        self._can_pad = hides_padding(language_model.model)
        window = language_model.context_window
        self._longest = max_prompt_tokens if window is None else min(max_prompt_tokens, window)

    def _answered(
        self, prompts: Sequence[tuple[int, ...]], firsts: Sequence[Sequence[Sequence[int]]]
    ) -> Sequence[AnswerScores | NoAnswer]:
        answers: dict[int, AnswerScores | NoAnswer] = {}
        for rows in self._batches(prompts):
            for row, found in zip(rows, self._first_log_probs([prompts[row] for row in rows]), strict=True):
                answers[row] = found if isinstance(found, NoAnswer) else _scores(found[each] for each in firsts[row])
        return [answers[row] for row in range(len(prompts))]

    def _batches(self, encoded: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
        """Rows of about the same length, the longest first, so that memory runs out at once or never."""
        rows = sorted(range(len(encoded)), key=lambda row: -len(encoded[row]))
        while rows:
            count = max(1, self._tokens_per_batch // max(1, len(encoded[rows[0]]))) if self._can_pad else 1
            yield rows[:count]
            rows = rows[count:]

    def _first_log_probs(self, prompts: Sequence[tuple[int, ...]]) -> Sequence[torch.Tensor | NoAnswer]:
        try:
            return list(self._forward(prompts))
        except torch.OutOfMemoryError:
            if len(prompts) == 1:
                return [
                    NoAnswer(f"a question of {len(prompts[0])} tokens doesn't fit into the memory of {self._device}")
                ]
        middle = len(prompts) // 2
        return [*self._first_log_probs(prompts[:middle]), *self._first_log_probs(prompts[middle:])]

    @torch.inference_mode()
    def _forward(self, prompts: Sequence[tuple[int, ...]]) -> torch.Tensor:
        """Log-probs of the reply's first token, [B, V], in fp32 on the CPU. Prompts are padded on the left."""
        ids, mask = (torch.tensor(each, device=self._device) for each in left_padded(prompts, self._pad_token_id))
        logits_BV, _ = self._forward_pass(ids, mask, keeps_cache=False)
        return logits_BV.float().log_softmax(dim=-1).cpu()


def model_fingerprint(name: str) -> str:
    """What tells one state of the model's files from another."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        cached = cached_folder(name) if is_hub_name(name) else None
        # the hub's cache has a folder for each revision, named by its hash
        return cached.name if cached else ""
    states = sorted(
        (file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.iterdir() if file.is_file()
    )
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]
