"""What a call of OpenRLHF brings and what it gets back: a rollout engine to draw replies with, which is an asynchronous
vLLM engine that takes and gives tokens, and a played game as a sample to train on, with the metrics that are logged
beside it. A frozen opponent's replies come from an OpenAI-compatible server.

OpenRLHF averages a metric over all samples of a step. A role's metric is therefore logged times ``is_attacker`` or
``is_assessor``: the role's own mean is the metric's mean divided by that of the flag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from ...callbacks import Notify
from ...config import RolloutConfig, RunConfig
from ...errors import EndpointError
from ...evaluation.endpoint import EndpointRollout
from ...game.rollout import PromptTooLong, Reply, RolloutRequest
from ...network.proxies import privacy_warning
from ...openai_chat import ChatClient, ChatRequest
from ...policy.chat import decode_reply, encode_prompt
from ...records import DataType, Game, GameState, Labels, Reward, Role, Turn
from ...rewards import is_faithful_revision, is_verdict_right
from .game_files import PlayedGame

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class RolloutEngine(Protocol):
    """What an executor is given to generate with."""

    async def generate(self, prompt_token_ids: list[int], sampling_params: Any, multi_modal_data: Any = None) -> Any:
        """Generate one completion: vLLM's output."""
        ...


@dataclass(frozen=True)
class EngineRollout:
    """Draws the replies of one call with what OpenRLHF gave it."""

    engine: RolloutEngine
    tokenizer: PreTrainedTokenizerBase
    sampling_params: Any
    """vLLM's, shared with sibling calls: never changed."""
    max_length: int
    """Most tokens of prompt and reply together (``--data.max_len``)."""
    config: RolloutConfig
    day: date
    """What the chat template is told."""

    async def generate(self, request: RolloutRequest) -> Reply | PromptTooLong:
        """The reply to ``request``. Raises what the engine raises."""
        prompt_token_ids = encode_prompt(self.tokenizer, request.prompt, request.reply_prefix, self.day)
        params = self._params(request)
        if (refusal := self._refusal(len(prompt_token_ids), params.max_tokens)) is not None:
            return refusal
        output = await self.engine.generate(list(prompt_token_ids), params)
        return self._reply(prompt_token_ids, output.outputs[0])

    def _params(self, request: RolloutRequest) -> Any:
        params = deepcopy(self.sampling_params)
        # Without --rollout.max_new_tokens there is no other limit than ours.
        params.max_tokens = min(request.max_tokens, params.max_tokens or request.max_tokens)
        if request.is_greedy:
            params.temperature = 0.0
        if params.logprobs is None:
            # Of the sampled token alone: the games are saved with them.
            params.logprobs = 0
        return params

    def _refusal(self, prompt_tokens: int, max_tokens: int) -> PromptTooLong | None:
        if prompt_tokens > self.config.max_prompt_tokens:
            return PromptTooLong(
                f"{prompt_tokens} tokens, rollout.max_prompt_tokens is {self.config.max_prompt_tokens}"
            )
        if prompt_tokens + max_tokens > self.max_length:
            return PromptTooLong(
                f"{prompt_tokens} tokens and a reply of up to {max_tokens}, --data.max_len is {self.max_length}"
            )
        return None

    def _reply(self, prompt_token_ids: tuple[int, ...], completion: Any) -> Reply:
        token_ids: tuple[int, ...] = tuple(completion.token_ids)
        is_finished = completion.finish_reason == "stop"
        return Reply(
            text=decode_reply(self.tokenizer, token_ids, token_ids[-1:] if is_finished else ()),
            prompt_token_ids=prompt_token_ids,
            token_ids=token_ids,
            log_probs=_log_probs(token_ids, completion.logprobs),
            is_finished=is_finished,
        )


def _log_probs(token_ids: Sequence[int], log_probs: Sequence[Mapping[int, Any]] | None) -> tuple[float, ...]:
    if log_probs is None:
        raise ValueError("the rollout engine gave no log-probs, though it was asked for them")
    return tuple(float(entry[token_id].logprob) for token_id, entry in zip(token_ids, log_probs, strict=True))


def opponent_rollout(config: RunConfig, notify: Notify) -> EndpointRollout | None:
    """What draws the replies of the fixed opponent that ``config`` names; None where it names no address of one.

    Raises:
        EndpointError: the address or the token can't be used.
    """
    if config.opponents.url is None:
        return None
    return EndpointRollout(_client_of(config, notify), config.rollout.temperature)


def check_opponent_server(config: RunConfig, notify: Notify) -> None:
    """Ask the server of the fixed opponent for a word, where ``config`` names one.

    Raises:
        EndpointError: it can't be asked.
    """
    if config.opponents.url is None:
        return
    if warning := privacy_warning(config.opponents.url, sent="notes", receiver="the opponent"):
        notify(f"warning: {warning}")
    client = _client_of(config, notify)
    try:
        client.complete([ChatRequest("Say: ready", max_tokens=1)])
    except EndpointError as error:
        raise EndpointError(f"the opponent at opponents.url can't play: {error}") from error
    finally:
        client.close()
    notify(f"the opponent {config.opponents.fixed} answers at {config.opponents.url}")


def _client_of(config: RunConfig, notify: Notify) -> ChatClient:
    opponents = config.opponents
    return ChatClient(
        opponents.url or "", opponents.fixed or "", token_variable=opponents.token_variable, notify=notify
    )


_FILLER_TOKENS = 2
"""OpenRLHF reads the log-probs of all tokens but the first; so many make the shortest row that it can work with."""


class EngineSample(TypedDict):
    """What an executor returns for one call."""

    prompt: str
    label: str
    images: None
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
    return _sample(echo, None, 0.0, _logs(is_void=float(is_void)))


def _sample(echo: Echo, turn: Turn | None, reward: float, logs: dict[str, float]) -> EngineSample:
    prompt = turn.prompt_token_ids if turn else (echo.filler_token,) * _FILLER_TOKENS
    reply, log_probs = (turn.token_ids, turn.log_probs) if turn else ((), ())
    start = len(prompt)
    return EngineSample(
        prompt=echo.prompt,
        label=echo.label,
        images=None,
        mm_train_inputs=None,
        reward=reward,
        scores=reward,
        observation_tokens=[*prompt, *reply],
        action_ranges=[(start, start + len(reply))] if reply else [],
        rollout_log_probs=[*[0.0] * start, *log_probs] if echo.has_log_probs else None,
        truncated=turn is not None and not turn.is_finished,
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
