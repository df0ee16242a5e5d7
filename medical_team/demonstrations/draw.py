"""Which demonstrations a step learns from: a pure function of the data, the seed and the step."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..config import GameConfig
from ..errors import UsageError
from ..game.play import assessment_request, revision_request
from ..judging import reference_judge
from ..prompts import ANSWER_PREFIX, reply_prefix
from ..records import DataType, Role, TrainingRecord, Verdict
from ..seeds import derived_random
from ..sentence_edits import NumberedNote
from .revisions import revised_note, revised_sentences

_GUESSED_SHARE = 0.5

_TRIES = 16
"""Records tried for one revision; of a few notes the reference judge knows none but the two that it has."""


@dataclass(frozen=True)
class Demonstration:
    """What a player is asked, and what it should say."""

    role: Role
    record_id: str
    prompt: str
    reply_prefix: str
    """What the reply already starts with in the prompt."""
    reply: str


class DemonstrationDraw:
    """Draws demonstrations from error cases.

    Args:
        records: what assessors and attackers learn from, each as a note with or without an error.
        config: the rules; players are shown the prompts that the game shows them.
        seed: the run's seed.
        attacker_share: the share of demonstrations for the attacker, from 0 to 1.
        assessor_records: where verdicts are taught for some of the records only, those; else all.
        guessed_records: half of the verdicts are shown for these, and each is a coin flip: an assessor learns from
            them that it doesn't know, and so tries both verdicts when it plays.

    Raises:
        UsageError: there is no record with an error, or none without.
    """

    def __init__(
        self,
        records: Sequence[TrainingRecord],
        config: GameConfig,
        *,
        seed: int,
        attacker_share: float,
        assessor_records: Sequence[TrainingRecord] | None = None,
        guessed_records: Sequence[TrainingRecord] = (),
    ) -> None:
        taught = records if assessor_records is None else assessor_records
        self._records = {
            Role.ATTACKER: _by_truth(_as_adversarial(record) for record in records),
            Role.ASSESSOR: _by_truth(taught),
        }
        self._guessed_records = guessed_records
        self._config = config
        self._seed = seed
        self._attacker_share = 0.0 if config.no_attacker_turn else attacker_share
        self._judge = reference_judge()

    def demonstrations(self, step: int, count: int) -> list[Demonstration]:
        """``count`` demonstrations for ``step``, half of them of notes with an error.

        Raises:
            UsageError: no note was found of which a revision can be demonstrated.
        """
        attackers = round(count * self._attacker_share)
        roles = [Role.ATTACKER] * attackers + [Role.ASSESSOR] * (count - attackers)
        return [
            self._demonstration(role, index % 2 == 0, derived_random(self._seed, "demonstration", step, index))
            for index, role in enumerate(roles)
        ]

    def _demonstration(self, role: Role, is_harmful: bool, rng: random.Random) -> Demonstration:
        records = self._records[role][is_harmful]
        if role is Role.ASSESSOR and self._guessed_records and rng.random() < _GUESSED_SHARE:
            return self._verdict(rng.choice(self._guessed_records), rng.random() < 0.5)
        if role is Role.ASSESSOR:
            record = rng.choice(records)
            return self._verdict(record, record.data_type.is_harmful)
        for _ in range(_TRIES):
            record = rng.choice(records)
            revise = revised_sentences if self._config.revision == "sentences" else revised_note
            revision = revise(record, self._judge, rng)
            if revision is not None:
                return self._revision(record, revision)
        raise UsageError(
            f"no revision could be demonstrated in {_TRIES} tries: the reference judge knows neutral wordings of too "
            "few of these notes. Demonstrate only verdicts: warmstart.attacker_share = 0.0."
        )

    def _verdict(self, record: TrainingRecord, says_harmful: bool) -> Demonstration:
        verdict = Verdict.HARMFUL if says_harmful else Verdict.SAFE
        style, is_thinking = self._config.prompt_style, self._config.thinking
        note = NumberedNote(record.note, record.sentence_starts)
        prompt = assessment_request(note, self._config)
        prefix = reply_prefix(Role.ASSESSOR, style=style, is_thinking=is_thinking)
        answer = verdict.value
        if says_harmful and self._config.assessor != "verdict":
            number = note.number_of(_at_stake(record)) or 0
            answer = f"{answer} {number}"
            if self._config.assessor == "correct":
                right = note.sentences[number].replace(record.error_sentence, record.corrected_sentence)
                answer = f"{answer}: {' '.join(right.split())}"
        reply = written_reply(_verdict_rationale(record, says_harmful), answer, prefix)
        return Demonstration(Role.ASSESSOR, record.id, prompt, prefix, reply)

    def _revision(self, record: TrainingRecord, revision: str) -> Demonstration:
        style, is_thinking = self._config.prompt_style, self._config.thinking
        prompt = revision_request(NumberedNote(record.note, record.sentence_starts), record.data_type, self._config)
        prefix = reply_prefix(Role.ATTACKER, style=style, is_thinking=is_thinking)
        reply = written_reply(_revision_rationale(record), revision, prefix)
        return Demonstration(Role.ATTACKER, record.id, prompt, prefix, reply)


def written_reply(rationale: str, answer: str, prefix: str) -> str:
    """The reply that goes on from ``prefix``; where it opens a thought, the rationale is the hidden thinking."""
    if not prefix:
        return answer
    if prefix == ANSWER_PREFIX:
        return f"{answer}</answer>"
    return f" {rationale} </think> <answer> {answer} </answer>"


def _at_stake(record: TrainingRecord) -> str:
    return record.error_sentence if record.data_type.is_harmful else record.corrected_sentence


def _verdict_rationale(record: TrainingRecord, says_harmful: bool) -> str:
    if not says_harmful:
        return "Every statement agrees with the rest of the note."
    return f"The note says: {record.error_sentence} That is wrong. Right would be: {record.corrected_sentence}"


def _revision_rationale(record: TrainingRecord) -> str:
    if not record.data_type.is_harmful:
        return "The note is correct. I change the wording alone and keep every fact."
    return f"The error is here: {record.error_sentence} I keep an error in the note and change the wording around it."


def _as_adversarial(record: TrainingRecord) -> TrainingRecord:
    is_harmful = record.data_type.is_harmful
    return replace(record, data_type=DataType.ADVERSARIAL_HARMFUL if is_harmful else DataType.ADVERSARIAL_BENIGN)


def _by_truth(records: Iterable[TrainingRecord]) -> dict[bool, list[TrainingRecord]]:
    sides: dict[bool, list[TrainingRecord]] = {True: [], False: []}
    for record in records:
        sides[record.data_type.is_harmful].append(record)
    for is_harmful, side in sides.items():
        if not side:
            missing = "with" if is_harmful else "without"
            raise UsageError(f"the data has no note {missing} an error: demonstrations need both kinds")
    return sides
