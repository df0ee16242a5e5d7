"""A played game as the samples that OpenRLHF trains on, and the metrics that it logs beside them.

OpenRLHF averages a metric over all samples of a step. A role's metric is therefore logged times ``is_attacker`` or
``is_assessor``: the role's own mean is the metric's mean divided by that of the flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from ...records import DataType, Game, GameState, Labels, Reward, Role, Turn
from ...rewards import is_faithful_revision, is_verdict_right
from .game_files import PlayedGame

_FILLER_TOKENS = 2
"""OpenRLHF reads the log-probs of all tokens but the first; so many make the shortest row that it can work with."""


class EngineSample(TypedDict):
    """What an executor returns for one call."""

    prompt: str
    label: str
    images: Any
    mm_train_inputs: None
    reward: float
    scores: float
    observation_tokens: list[int]
    action_ranges: list[tuple[int, int]]
    """Where the trained tokens are; empty for a sample that nothing is learnt from."""
    rollout_log_probs: list[float] | None
    truncated: bool
    extra_logs: dict[str, float]


@dataclass(frozen=True)
class Echo:
    """What a sample says back, and how."""

    prompt: str
    label: str
    images: Any
    has_log_probs: bool
    """Whether OpenRLHF asked for the log-probs of the rollout."""
    filler_token: int
    """Stands where a row has no tokens of its own."""


def training_sample(played: PlayedGame, role: Role, echo: Echo, *, is_replacement: bool = False) -> EngineSample:
    """The sample of ``role``: nothing is learnt from it where the role has no reward.

    ``is_replacement`` says that the game was played in place of one without a sample.
    """
    game = played.game
    turn, reward = game.turn_of(role), game.reward_of(role)
    if turn is None or reward is None or not turn.token_ids:
        return empty_sample(echo, is_void=game.state is GameState.VOID)
    baseline = played.baseline_of(role) or 0.0
    logs = _turn_logs(game, turn, reward, baseline) | {
        f"is_{game.spec.data_type.value}": 1.0,
        "is_replacement": float(is_replacement),
    }
    return _sample(echo, turn, reward.total - baseline, logs)


def heldout_sample(game: Game, echo: Echo) -> EngineSample:
    """The sample of an evaluation. Its reward is 1 if the verdict was right, else 0, whatever the game pays."""
    is_right = isinstance(game.ruling, Labels) and is_verdict_right(game.ruling)
    logs = _logs(is_void=float(game.state is GameState.VOID))
    turn = game.turn_of(Role.ASSESSOR)
    if turn is None or not turn.token_ids:
        return empty_sample(echo, is_void=game.state is GameState.VOID)
    return _sample(echo, turn, float(is_right), logs)


def empty_sample(echo: Echo, *, is_void: bool) -> EngineSample:
    """A sample that nothing is learnt from. Its reward has no weight, but must be a number."""
    return EngineSample(
        prompt=echo.prompt,
        label=echo.label,
        images=echo.images,
        mm_train_inputs=None,
        reward=0.0,
        scores=0.0,
        observation_tokens=[echo.filler_token] * _FILLER_TOKENS,
        action_ranges=[],
        rollout_log_probs=[0.0] * _FILLER_TOKENS if echo.has_log_probs else None,
        truncated=False,
        extra_logs=_logs(is_void=float(is_void)),
    )


def _sample(echo: Echo, turn: Turn, reward: float, logs: dict[str, float]) -> EngineSample:
    start = len(turn.prompt_token_ids)
    return EngineSample(
        prompt=echo.prompt,
        label=echo.label,
        images=echo.images,
        mm_train_inputs=None,
        reward=reward,
        scores=reward,
        observation_tokens=[*turn.prompt_token_ids, *turn.token_ids],
        action_ranges=[(start, start + len(turn.token_ids))],
        rollout_log_probs=[*[0.0] * start, *turn.log_probs] if echo.has_log_probs else None,
        truncated=not turn.is_finished,
        extra_logs=logs,
    )


def _turn_logs(game: Game, turn: Turn, reward: Reward, baseline: float) -> dict[str, float]:
    name = turn.role.value
    is_attacker = turn.role is Role.ATTACKER
    logs = {
        f"is_{name}": 1.0,
        f"{name}_total": reward.total,
        f"{name}_core": reward.core,
        f"{name}_format": reward.format or 0.0,
        f"{name}_baseline": baseline,
        f"{name}_win": float(reward.core > 0),
        f"{name}_format_kept": float(turn.is_format_kept is not False),
        f"{name}_reply_tokens": float(len(turn.token_ids)),
    }
    if is_attacker:
        logs["attacker_revision"] = reward.revision or 0.0
        logs["attacker_faithful"] = float(bool(is_faithful_revision(game)))
        logs["attacker_undecidable"] = float(game.state is GameState.UNDECIDABLE)
    else:
        logs["assessor_location"] = reward.location or 0.0
        logs["assessor_correction"] = reward.correction or 0.0
    return _logs(**logs)


def _logs(**values: float) -> dict[str, float]:
    """All keys, since OpenRLHF wants the same in every sample; those that are not given are 0."""
    return {key: values.get(key, 0.0) for key in LOG_KEYS}


_ROLE_KEYS = ("total", "core", "format", "baseline", "win", "format_kept", "reply_tokens")

LOG_KEYS = (
    "is_attacker",
    "is_assessor",
    "is_void",
    "is_replacement",
    *(f"is_{data_type.value}" for data_type in DataType),
    *(f"{role.value}_{key}" for role in Role for key in _ROLE_KEYS),
    "attacker_revision",
    "attacker_faithful",
    "attacker_undecidable",
    "assessor_location",
    "assessor_correction",
)
"""The metrics of every sample, which OpenRLHF logs as ``train/<key>``."""
