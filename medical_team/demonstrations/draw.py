"""Which demonstrations a step learns from: a pure function of the data, the seed and the step."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..config import GameConfig
from ..errors import UsageError
from ..game.play import assessment_request, revision_request
from ..judging import reference_judge
from ..prompts import ANSWER_PREFIX, reply_prefix
from ..records import DataType, Role, TrainingRecord, Verdict
from ..seeds import derived_random
from ..sentences import NumberedNote
from .revisions import revised_note, revised_sentences

_TRIES = 16
"""Records drawn for one demonstration before all are tried; of some notes no revision can be shown."""


class NothingToShowError(UsageError):
    """None of the records has a demonstration of this kind."""


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
        guessed_records: in a share of the verdicts, one of these, and a coin flip as its verdict: an assessor learns
            from them that it doesn't know, and so tries both verdicts when it plays.
        guessed_share: that share.
        is_paired: whether the verdicts come in twos: of both notes of a case where ``records`` hold both in turn, so
            that what differs between them is what there is to learn, and guesses with both verdicts for a note.

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
        guessed_share: float = 0.5,
        is_paired: bool = False,
    ) -> None:
        taught = records if assessor_records is None else assessor_records
        self._records = {
            Role.ATTACKER: _by_truth(_as_adversarial(record) for record in records),
            Role.ASSESSOR: _by_truth(taught),
        }
        self._guessed_records = guessed_records
        self._guessed_share = guessed_share
        self._is_paired = is_paired
        self._config = config
        self._seed = seed
        self._attacker_share = 0.0 if config.no_attacker_turn else attacker_share
        self._judge = reference_judge()

    def demonstrations(self, step: int, count: int) -> list[Demonstration]:
        """``count`` demonstrations for ``step``, half of them of notes with an error.

        Raises:
            NothingToShowError: there is no note of which a revision can be demonstrated, or no sentence to name.
        """
        attackers = round(count * self._attacker_share)
        roles = [Role.ATTACKER] * attackers + [Role.ASSESSOR] * (count - attackers)
        return [
            self._demonstration(role, index % 2 == 0, derived_random(self._seed, "demonstration", step, draw))
            for index, role in enumerate(roles)
            for draw in [index - index % 2 if self._is_paired and role is Role.ASSESSOR else index]
        ]

    def verdict_of(self, record: TrainingRecord) -> Demonstration | None:
        """The right verdict on ``record``'s note; None where more is asked, and no sentence holds all of the error."""
        return self._verdict(record, record.data_type.is_harmful)

    def _demonstration(self, role: Role, is_harmful: bool, rng: random.Random) -> Demonstration:
        records = self._records[role][is_harmful]
        if role is Role.ASSESSOR and self._guessed_records and rng.random() < self._guessed_share:
            guessed = self._verdict(rng.choice(self._guessed_records), is_harmful ^ (rng.random() < 0.5))
            if guessed is not None:
                return guessed
        shown = next(
            (
                found
                for record in _in_turn(records, rng)
                if (found := self.verdict_of(record) if role is Role.ASSESSOR else self._revision_of(record, rng))
            ),
            None,
        )
        if shown is not None:
            return shown
        if role is Role.ASSESSOR:
            raise NothingToShowError(
                f"no record shows what game.assessor = {self._config.assessor!r} asks for: in none of the notes with "
                "an error does one sentence hold all of it. Number the sentences of the notes as MEDEC does, or ask "
                'for verdicts alone: game.assessor = "verdict".'
            )
        raise NothingToShowError(
            f"no revision could be demonstrated of any note {'with' if is_harmful else 'without'} an error: the "
            "reference judge knows no neutral wording of these notes. Demonstrate only verdicts: "
            "warmstart.attacker_share = 0.0."
        )

    def _verdict(self, record: TrainingRecord, says_harmful: bool) -> Demonstration | None:
        verdict = Verdict.HARMFUL if says_harmful else Verdict.SAFE
        style, is_thinking = self._config.prompt_style, self._config.thinking
        note = NumberedNote(record.note, record.sentence_starts)
        prompt = assessment_request(note, self._config)
        prefix = reply_prefix(Role.ASSESSOR, style=style, is_thinking=is_thinking)
        answer = verdict.value
        if says_harmful and self._config.assessor != "verdict":
            at_stake = record.pair.sentence_at_stake(is_harmful=record.data_type.is_harmful)
            number = note.number_of(at_stake)
            if number is None or at_stake not in note.sentences[number]:
                return None
            answer = f"{answer} {number}"
            if self._config.assessor == "correct":
                right = note.sentences[number].replace(at_stake, record.corrected_sentence)
                answer = f"{answer}: {' '.join(right.split())}"
        reply = written_reply(_verdict_rationale(record, says_harmful), answer, prefix)
        return Demonstration(Role.ASSESSOR, record.id, prompt, prefix, reply)

    def _revision_of(self, record: TrainingRecord, rng: random.Random) -> Demonstration | None:
        revise = revised_sentences if self._config.revision == "sentences" else revised_note
        revision = revise(record, self._judge, rng)
        if revision is None:
            return None
        style, is_thinking = self._config.prompt_style, self._config.thinking
        seed = NumberedNote(record.note, record.sentence_starts)
        at_stake = record.pair.sentence_at_stake(is_harmful=record.data_type.is_harmful)
        prompt = revision_request(seed, record.data_type, self._config, at_stake=at_stake)
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


def _in_turn(records: Sequence[TrainingRecord], rng: random.Random) -> Iterator[TrainingRecord]:
    """Records as they are drawn, and then each of them once."""
    for _ in range(_TRIES):
        yield rng.choice(records)
    yield from rng.sample(records, len(records))


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
            raise UsageError(
                f"none of the {len(sides[not is_harmful])} training records is a note {missing} an error: "
                "demonstrations need both kinds. `medical-team data build` makes both of each error case; give its "
                "train.jsonl as data.train."
            )
    return sides
