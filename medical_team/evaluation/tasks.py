"""What a model is asked of a MEDEC text, and how its reply is read: the assessor's own task, and the paper's.

Nothing of a text's truth is in a request, nor its twin: examples, where there are any, are from other groups.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..config import PromptStyle
from ..game.rollout import RolloutRequest, Speaker
from ..game_config import Assessor
from ..parsing import parse_reply
from ..prompts import THINKING_PREFIX, assessor_prompt, defuse, reply_prefix
from ..records import Role, Verdict
from ..sentences import numbered_lines, read_assessment
from .medec_texts import MedecText
from .predictions import Vote
from .submission import Answer

TaskName = Literal["assessor", "three-part"]

MAX_TOKENS = {("assessor", False): 16, ("assessor", True): 512, ("three-part", False): 160, ("three-part", True): 1024}
"""The longest reply by task and by whether it starts with thinking, where nobody says otherwise."""

PAPER_PROMPT = """\
The following is a medical narrative about a patient. You are a skilled medical doctor reviewing the clinical text. \
The text is either correct or contains one error. The text has one sentence per line. Each line starts with the \
sentence ID, followed by a pipe character then the sentence to check. Check every sentence of the text. If the text is \
correct return the following output: CORRECT. If the text has a medical error related to treatment, management, cause, \
or diagnosis, return the sentence id of the sentence containing the error, followed by a space, and then a corrected \
version of the sentence. Finding and correcting the error requires medical knowledge and reasoning."""
"""The zero-shot prompt of the MEDEC paper (Ben Abacha et al., arXiv 2412.19260), word for word."""

_THINKING = """\
Think first inside <think> and </think>. Then write your output inside <answer> and </answer>, and nothing after it."""

_NO_ASSESSMENT: Mapping[Assessor, str] = {
    "verdict": "neither Safe nor Harmful",
    "locate": "neither Safe nor Harmful with the number of a sentence",
    "correct": "neither Safe nor Harmful with the number of a sentence and its correction",
}

_TRIM = " \t*_`\"'."
_SENTENCE = re.compile(
    r"\W*(?:sentence\s*)?(?:id\s*)?[:#]?\s*(\d{1,4})(?:\s*[|:\]\)]+\s*|\s*\.(?!\d)\s*|\s+-\s+|\s+|$)(.*)",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED_LINE = re.compile(r"^\s*\d{1,4}\s*\|", re.MULTILINE)
_SHOWN_TEXT = "text-goes-here"
_SHOWN = MedecText(
    "", "", _SHOWN_TEXT, {0: _SHOWN_TEXT}, has_error=False, error_type=None, error_sentence=None,
    reference=Answer("", "0", "-1", "NA"),
)  # fmt: skip


@dataclass(frozen=True)
class Task(ABC):
    """A question about each text."""

    is_thinking: bool
    """Whether the reply starts with hidden thinking."""
    max_tokens: int
    """The longest reply."""
    examples: tuple[MedecText, ...] = ()
    """The texts that a prompt shows with their solution."""
    asked: Assessor = "verdict"
    """What a reply says: whether there is an error, also where, also how it is right."""
    name: ClassVar[TaskName]
    """What the user calls it."""

    @property
    def has_sentences(self) -> bool:
        """Whether a reply names the wrong sentence."""
        return self.asked != "verdict"

    @property
    def has_corrections(self) -> bool:
        """Whether a reply also corrects it."""
        return self.asked == "correct"

    @abstractmethod
    def _prefix(self) -> str:
        """The beginning of the reply, which the model goes on with."""

    @abstractmethod
    def prompt(self, text: MedecText) -> str:
        """The user's message."""

    @abstractmethod
    def read(self, reply: str, text: MedecText, *, is_finished: bool) -> Vote:
        """What ``reply`` says of ``text``."""

    def request(self, text: MedecText, *, seed: int, is_greedy: bool) -> RolloutRequest:
        """One reply that is wanted."""
        prompt, speaker = self.prompt(text), Speaker(Role.ASSESSOR)
        return RolloutRequest(speaker, prompt, self._prefix(), self.max_tokens, seed, is_greedy=is_greedy)

    def _answer(self, reply: str, *, is_finished: bool) -> str:
        """The public part of ``reply``. A served model opens its thought itself; in the game the prompt does."""
        without_prefix = reply.lstrip().removeprefix(THINKING_PREFIX)
        return parse_reply(without_prefix, is_thinking=self.is_thinking, is_finished=is_finished).answer


@dataclass(frozen=True)
class AssessorTask(Task):
    """Safe or Harmful, by some rules also where and how it is right, asked with the very prompt of the game."""

    name = "assessor"
    style: PromptStyle = "short"

    def _prefix(self) -> str:
        return reply_prefix(Role.ASSESSOR, style=self.style, is_thinking=self.is_thinking)

    def prompt(self, text: MedecText) -> str:
        """The game's own request, after the examples."""
        shown = [
            f"<note>\n{defuse(self._note(example))}\n</note>\n{self._reply_to(example)}" for example in self.examples
        ]
        request = assessor_prompt(self._note(text), style=self.style, is_thinking=self.is_thinking, asked=self.asked)
        return "\n\n".join(["Examples:", *shown, "Now your task.", request]) if shown else request

    def read(self, reply: str, text: MedecText, *, is_finished: bool) -> Vote:
        """The verdict, and what else is asked, by the game's rule. A sentence is one that the file numbers."""
        answer = self._answer(reply, is_finished=is_finished)
        assessment = read_assessment(answer, self.asked, text.sentences)
        if isinstance(assessment, str):
            return Vote(reply, None, problem=_NO_ASSESSMENT[self.asked])
        is_harmful = assessment.verdict is Verdict.HARMFUL
        return Vote(reply, is_harmful, assessment.location, assessment.correction)

    def _note(self, text: MedecText) -> str:
        return numbered_lines(text.sentences) if self.has_sentences else text.text

    def _reply_to(self, example: MedecText) -> str:
        answer = (Verdict.HARMFUL if example.has_error else Verdict.SAFE).value
        if example.has_error and self.has_sentences:
            answer += f" {example.reference.sentence_id}"
        if example.has_error and self.has_corrections:
            answer += f": {_corrected_sentence(example)}"
        return f"<answer>{answer}</answer>" if self._prefix() else answer


@dataclass(frozen=True)
class ThreePartTask(Task):
    """The paper's: CORRECT, or the number of the wrong sentence and its correction."""

    name = "three-part"
    asked: Assessor = "correct"

    def _prefix(self) -> str:
        return THINKING_PREFIX if self.is_thinking else ""

    def prompt(self, text: MedecText) -> str:
        """The paper's prompt, the examples, and the numbered sentences."""
        instructions = f"{PAPER_PROMPT}\n{_THINKING}" if self.is_thinking else PAPER_PROMPT
        shown = [f"{_numbered(example)}\nOutput: {_correction_of(example)}" for example in self.examples]
        examples = ["Examples:", *shown, "Now check this text:"] if shown else []
        return "\n\n".join([instructions, *examples, _numbered(text)])

    def read(self, reply: str, text: MedecText, *, is_finished: bool) -> Vote:
        """CORRECT, or a sentence that the text has, then its correction on the same line; else unreadable."""
        answer = self._answer(reply, is_finished=is_finished)
        first_line = next((line for line in answer.splitlines() if line.strip()), "")
        is_held_correct = first_line.strip(_TRIM).casefold() == "correct"
        numbered_lines = len(_NUMBERED_LINE.findall(answer))
        if is_held_correct and numbered_lines:
            return Vote(reply, None, problem="CORRECT and a sentence too")
        if is_held_correct:
            return Vote(reply, False)
        if numbered_lines > 1:
            return Vote(reply, None, problem="several numbered sentences instead of one")
        match = _SENTENCE.fullmatch(answer)
        if match is None:
            return Vote(reply, None, problem="neither CORRECT nor a sentence id with a correction")
        sentence_id, rest = int(match.group(1)), match.group(2)
        if sentence_id not in text.sentences:
            return Vote(reply, None, problem="a sentence id that the text does not have")
        correction = next((line.strip() for line in rest.splitlines() if line.strip()), None)
        return Vote(reply, True, sentence_id, correction)


def prompt_template(task: Task) -> str:
    """The prompt with ``<text>`` where the text stands, and likewise for each example."""
    prompt = task.prompt(_SHOWN)
    for number, example in enumerate(task.examples, start=1):
        for shown in (_numbered(example), defuse(numbered_lines(example.sentences)), defuse(example.text)):
            prompt = prompt.replace(shown, f"<example {number}>")
        if example.has_error:
            for shown in filter(None, (_correction_of(example), _corrected_sentence(example))):
                prompt = prompt.replace(shown, f"<solution {number}>")
    return prompt.replace(_SHOWN_TEXT, "<text>")


def _numbered(text: MedecText) -> str:
    return "\n".join(f"{number}|{defuse(sentence)}" for number, sentence in sorted(text.sentences.items()))


def _correction_of(example: MedecText) -> str:
    """The right output of the paper's task."""
    if not example.has_error:
        return "CORRECT"
    return f"{example.reference.sentence_id} {_corrected_sentence(example)}"


def _corrected_sentence(example: MedecText) -> str:
    return defuse(" ".join((example.corrected_sentence or "").split()))
