"""What a run plays and learns from: steps, games, samples by role, tokens. Estimated from the training records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import DEMO_MODEL, TINY_RANDOM_MODEL, RunConfig
from ..data.load import load_records
from ..errors import DataError, UsageError
from ..game.draw import playable_records
from ..game.turns import assessment_request, revision_request
from ..records import DataType, Role, TrainingRecord
from ..sentence_edits import NumberedNote
from .plan import RoleWork, Workload

_CHARACTERS_PER_TOKEN = {TINY_RANDOM_MODEL: 1.0, DEMO_MODEL: 5.4}
_CHARACTERS_PER_TOKEN_ELSEWHERE = 4.0
"""SmolLM2's tokenizer reads 4.07 characters of MEDEC's notes a token; larger vocabularies read about as many."""

_ASSUMED_NOTE_CHARACTERS = 777.0
"""MEDEC-MS's validation set on average."""
_TEMPLATE_TOKENS = 30
"""What a chat template writes around a message, with a system prompt of its own."""
_ANSWER_TAG_TOKENS = 8
_ASSUMED_THINKING_TOKENS = 200
_VERDICT_TOKENS = 2
_SENTENCE_CHARACTERS = 90.0
"""Of a sentence of MEDEC, with its number."""


@dataclass(frozen=True)
class _Notes:
    """The records as far as the estimate needs them."""

    shares: dict[DataType, float]
    characters: float
    count: int | None
    remark: str | None


def workload_of(config: RunConfig) -> Workload:
    """The work of a run of ``config``. Reads the training records, if they are there."""
    notes = _notes(config)
    training = config.training
    games = training.steps * training.games_per_step
    shares = _played_shares(notes.shares, config)
    adversarial = sum(share for data_type, share in shares.items() if data_type.is_adversarial)
    attackers, assessors = _samples(config, games, adversarial)
    remarks = [text for text in (notes.remark, _thinking_remark(config)) if text]
    remarks.append(
        f"tokens are estimated at {_characters_per_token(config):g} characters each, a revision as long as its note; "
        "every game is taken to run its course"
    )
    return Workload(
        steps=training.steps,
        games_per_step=training.games_per_step,
        records=notes.count,
        epochs=games / notes.count if notes.count else None,
        updates=training.steps * training.epochs_per_step * training.minibatches_per_step,
        roles=tuple(
            _role_work(config, role, round(samples), notes.characters)
            for role, samples in ((Role.ATTACKER, attackers), (Role.ASSESSOR, assessors))
        ),
        notes=tuple(remarks),
    )


def _samples(config: RunConfig, games: int, adversarial: float) -> tuple[float, float]:
    """Trained turns of the attacker and of the assessor."""
    if config.game.no_defender_turn:
        return games * adversarial, 0.0
    # OpenRLHF's two replies to a vanilla prompt are two independent verdicts.
    vanilla_replies = 2 if config.engine.kind == "openrlhf" else 1
    return games * adversarial, games * (adversarial + vanilla_replies * (1 - adversarial))


def _notes(config: RunConfig) -> _Notes:
    even = dict.fromkeys(DataType, 0.25)
    try:
        records = playable_records(
            load_records(config.data.train, config.game.error_types),
            config.game,
        )
    except (DataError, UsageError) as error:
        first = str(error).splitlines()[0].rstrip(":")
        remark = (
            f"the training records can't be used ({first}): taken for granted are four equal categories and notes of "
            f"{_ASSUMED_NOTE_CHARACTERS:.0f} characters, as MEDEC's"
        )
        return _Notes(even, _ASSUMED_NOTE_CHARACTERS, None, remark)
    return _of_records(records)


def _of_records(records: Sequence[TrainingRecord]) -> _Notes:
    counts = {data_type: sum(record.data_type is data_type for record in records) for data_type in DataType}
    characters = sum(len(record.note) for record in records) / len(records)
    shares = {data_type: count / len(records) for data_type, count in counts.items()}
    return _Notes(shares, characters, len(records), None)


def _played_shares(shares: dict[DataType, float], config: RunConfig) -> dict[DataType, float]:
    """The categories as they are played under the ablations."""
    if config.game.no_attacker_turn:
        return {data_type: 0.0 if data_type.is_adversarial else share for data_type, share in shares.items()}
    if config.game.no_defender_turn:
        adversarial = sum(share for data_type, share in shares.items() if data_type.is_adversarial)
        return {
            data_type: share / adversarial if data_type.is_adversarial and adversarial else 0.0
            for data_type, share in shares.items()
        }
    return shares


def _role_work(config: RunConfig, role: Role, samples: int, note_characters: float) -> RoleWork:
    rollout, game = config.rollout, config.game
    is_attacker, is_thinking = role is Role.ATTACKER, game.thinking
    longest_reply = rollout.max_revision_tokens if is_attacker else rollout.max_verdict_tokens
    rate = _characters_per_token(config)
    if is_attacker:
        around = revision_request(NumberedNote(""), DataType.ADVERSARIAL_HARMFUL, game)
    else:
        around = assessment_request(NumberedNote(""), game)
    prompt = (note_characters + len(around)) / rate + _TEMPLATE_TOKENS
    revised = note_characters
    if game.revision == "sentences":
        revised = min(note_characters, game.max_edits * _SENTENCE_CHARACTERS)
    reply = revised / rate if is_attacker else _VERDICT_TOKENS
    if not is_attacker and game.assessor == "correct":
        # Half of the notes have an error.
        reply += _SENTENCE_CHARACTERS / rate / 2
    reply += _ANSWER_TAG_TOKENS + (_ASSUMED_THINKING_TOKENS if is_thinking else 0)
    return RoleWork(
        role=role.value,
        samples=samples,
        max_prompt_tokens=rollout.max_prompt_tokens,
        max_reply_tokens=longest_reply,
        expected_prompt_tokens=min(prompt, rollout.max_prompt_tokens),
        expected_reply_tokens=min(reply, longest_reply),
    )


def _characters_per_token(config: RunConfig) -> float:
    return _CHARACTERS_PER_TOKEN.get(config.policy.model, _CHARACTERS_PER_TOKEN_ELSEWHERE)


def _thinking_remark(config: RunConfig) -> str | None:
    if not config.game.thinking:
        return None
    return f"{_ASSUMED_THINKING_TOKENS} tokens of thinking in each reply are an assumption"
