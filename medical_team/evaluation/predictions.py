"""What is predicted of a MEDEC text: single votes, the majority, and the official answer that it makes.

A reply that can't be read is no prediction: it is neither a detection nor a text held correct, and in the submission
the text has no line, which the official metrics count as wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..records import Closed
from .medec_texts import MedecText
from .submission import NO_SENTENCE, Answer, folded_correction, safe_answer


@dataclass(frozen=True)
class Vote(Closed):
    """What one reply says. ``flag`` is None where it can't be read, and ``problem`` says why."""

    reply: str
    flag: bool | None
    """Whether it says that the text has an error."""
    sentence_id: int | None = None
    correction: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Prediction(Closed):
    """One line of ``predictions.jsonl``: the truth of a text (never the text itself), and what is said of it."""

    text_id: str
    near_duplicate_group: str
    has_error: bool
    error_type: str | None
    true_sentence_id: int
    """The sentence with the error; -1 in a correct text."""
    words: int
    flag: bool | None
    """Whether the text is said to have an error; None where no reply can be read, or the votes are even."""
    sentence_id: int | None
    correction: str | None
    votes: tuple[Vote, ...]
    """Every reply; empty for a baseline."""

    @property
    def is_flag_right(self) -> bool:
        """Whether the flag is the truth; without a flag: no."""
        return self.flag is self.has_error

    @property
    def is_sentence_right(self) -> bool:
        """Whether the wrong sentence is named, or a correct text held correct."""
        return self.is_flag_right and (not self.has_error or self.sentence_id == self.true_sentence_id)


def prediction_of(text: MedecText, votes: Sequence[Vote]) -> Prediction:
    """The majority of the votes that can be read; of those that found an error, of the sentence that most name."""
    readable = Counter(vote.flag for vote in votes if vote.flag is not None)
    # Even votes are no verdict: they must count neither as a detection nor as a text held correct.
    flag = None if readable[True] == readable[False] else readable[True] > readable[False]
    chosen = _most_named(votes) if flag else None
    return _prediction(text, flag, chosen, tuple(votes))


def answer_of(prediction: Prediction) -> Answer | None:
    """The line of the official submission; None where there is no prediction."""
    if prediction.flag is None:
        return None
    if not prediction.flag:
        return safe_answer(prediction.text_id)
    sentence_id = NO_SENTENCE if prediction.sentence_id is None else str(prediction.sentence_id)
    return Answer(prediction.text_id, "1", sentence_id, folded_correction(prediction.correction or ""))


def answers_of(predictions: Sequence[Prediction]) -> dict[str, Answer]:
    """The lines of the official submission, by text id."""
    answers = map(answer_of, predictions)
    return {answer.text_id: answer for answer in answers if answer is not None}


def _most_named(votes: Sequence[Vote]) -> Vote | None:
    """The first vote for the sentence that most votes name."""
    found = [vote for vote in votes if vote.flag]
    named = Counter(vote.sentence_id for vote in found if vote.sentence_id is not None)
    if not named:
        return None
    sentence_id = named.most_common(1)[0][0]
    return next(vote for vote in found if vote.sentence_id == sentence_id)


def _prediction(text: MedecText, flag: bool | None, chosen: Vote | None, votes: tuple[Vote, ...]) -> Prediction:
    return Prediction(
        text_id=text.text_id,
        near_duplicate_group=text.near_duplicate_group,
        has_error=text.has_error,
        error_type=text.error_type,
        true_sentence_id=int(text.reference.sentence_id),
        words=text.words,
        flag=flag,
        sentence_id=chosen.sentence_id if chosen else None,
        correction=chosen.correction if chosen else None,
        votes=votes,
    )


def _copied(text: MedecText, sentence_id: int | None) -> Vote:
    """That a sentence is wrong, with itself for its correction."""
    return Vote("", True, sentence_id, None if sentence_id is None else text.sentences[sentence_id])


def _copy_oracle(text: MedecText) -> Vote:
    if not text.has_error:
        return Vote("", False)
    return Vote("", True, int(text.reference.sentence_id), text.error_sentence)


BASELINES: Mapping[str, Callable[[MedecText], Vote]] = {
    "all-safe": lambda _: Vote("", False),
    "all-harmful": lambda _: Vote("", True),
    "all-harmful-last": lambda text: _copied(text, max(text.sentences, default=None)),
    "copy-oracle": _copy_oracle,
}
"""What no model is needed for: the floors beside every result. copy-oracle knows the flag and the sentence, and copies
it unchanged: what correcting nothing scores."""

FLAG_BASELINES = frozenset({"all-harmful"})
"""Those that say nothing of sentences. A flag without a sentence is -1 and NA in a submission, which the official
metrics would take for right on correct texts."""


def baseline_predictions(name: str, texts: Sequence[MedecText]) -> list[Prediction]:
    """What the baseline ``name`` says of ``texts``."""
    votes = [(text, BASELINES[name](text)) for text in texts]
    return [_prediction(text, vote.flag, vote, ()) for text, vote in votes]
