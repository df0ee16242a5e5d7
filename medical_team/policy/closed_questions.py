"""What every engine that reads closed questions for a judge shares."""

from __future__ import annotations

import re
from datetime import date

from transformers import PreTrainedTokenizerBase

from ..errors import JudgeError, PolicyError

JUDGE_DAY = date(2026, 1, 1)
"""The day that a judge's chat template is told: what it finds, and what is kept of that, depends on no day."""

_POLICY_OPTION = re.compile(r"\bpolicy\.(?=(?:model|device|precision)\b)")


def no_model(error: PolicyError) -> JudgeError:
    """``error``, whose message names options of the policy, for a person who set up a judge."""
    return JudgeError(f"the judge has no model: {_POLICY_OPTION.sub('judge.', str(error))}")


def first_tokens(tokenizer: PreTrainedTokenizerBase, answer: str) -> list[int]:
    """The tokens that begin ``answer``, with a space before it and without."""
    spellings = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (answer, f" {answer}")]
    firsts = {ids[0] for ids in spellings if ids and str(tokenizer.decode([ids[0]])).strip()}
    return sorted(firsts)
