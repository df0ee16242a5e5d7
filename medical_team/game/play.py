"""Playing games: the attackers of a step as one batch, then the assessors as one batch.

The assessor is shown the attacker's public answer alone, never its thinking. What goes wrong is data: a game
without a revision or without a verdict ends in that state, with the reason, and is never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..config import GameConfig, SamplingConfig
from ..parsing import ParsedReply, parse_reply, parse_verdict, revision_problem
from ..prompts import assessor_prompt, attacker_prompt, reply_prefix
from ..records import Game, GameSpec, GameState, JudgeFailure, Role, Turn
from ..seeds import derive_seed
from .sampler import PromptTooLong, Reply, Sampler, SampleRequest

Progress = Callable[[str], None]


def play(
    specs: Sequence[GameSpec],
    sampler: Sampler,
    game_config: GameConfig,
    sampling_config: SamplingConfig,
    *,
    seed: int,
    is_greedy: bool = False,
    on_progress: Progress = lambda _: None,
) -> list[Game]:
    """Play ``specs`` up to the judge's ruling: one game for each, in order.

    Args:
        seed: the run's seed; with the game's id and the role it decides a reply.
        is_greedy: take the likeliest tokens, as evaluation does.
        on_progress: told what is being played, for a display.
    """
    games = attack(
        specs, sampler, game_config, sampling_config, seed=seed, is_greedy=is_greedy, on_progress=on_progress
    )
    return assess(games, sampler, game_config, sampling_config, seed=seed, is_greedy=is_greedy, on_progress=on_progress)


def attack(
    specs: Sequence[GameSpec],
    sampler: Sampler,
    game_config: GameConfig,
    sampling_config: SamplingConfig,
    *,
    seed: int,
    is_greedy: bool = False,
    on_progress: Progress = lambda _: None,
) -> list[Game]:
    """The first half of :func:`play`: the attackers' turns. Vanilla games have none."""
    table = _Table(sampler, game_config, sampling_config, seed, is_greedy)
    games = [_opened(spec) for spec in specs]
    attacked = [game for game in games if game.spec.data_type.is_adversarial]
    on_progress(f"{len(attacked)} attackers")
    return _merged(games, table.attack(attacked))


def assess(
    games: Sequence[Game],
    sampler: Sampler,
    game_config: GameConfig,
    sampling_config: SamplingConfig,
    *,
    seed: int,
    is_greedy: bool = False,
    on_progress: Progress = lambda _: None,
) -> list[Game]:
    """The second half of :func:`play`: the assessors' turns in the games that have a note to read."""
    table = _Table(sampler, game_config, sampling_config, seed, is_greedy)
    waiting = [game for game in games if game.state is GameState.AWAITING_RULING]
    on_progress(f"{len(waiting)} assessors")
    return _merged(games, table.assess(waiting))


class _Table:
    """Where the players sit: what both turns need to know."""

    def __init__(
        self, sampler: Sampler, game: GameConfig, sampling: SamplingConfig, seed: int, is_greedy: bool
    ) -> None:
        self._sampler = sampler
        self._game = game
        self._sampling = sampling
        self._seed = seed
        self._is_greedy = is_greedy
        self._is_thinking = not game.direct_chat_no_cot

    def attack(self, games: Sequence[Game]) -> list[Game]:
        requests = [
            self._request(
                game.spec.id,
                Role.ATTACKER,
                attacker_prompt(
                    game.spec.seed_note,
                    game.spec.data_type,
                    style=self._game.prompt_style,
                    is_thinking=self._is_thinking,
                ),
            )
            for game in games
        ]
        replies = self._sampler.sample(requests)
        return [
            self._attacked(game, request, reply) for game, request, reply in zip(games, requests, replies, strict=True)
        ]

    def assess(self, games: Sequence[Game]) -> list[Game]:
        requests = [
            self._request(
                game.spec.id,
                Role.ASSESSOR,
                assessor_prompt(game.note or "", style=self._game.prompt_style, is_thinking=self._is_thinking),
            )
            for game in games
        ]
        replies = self._sampler.sample(requests)
        return [
            self._assessed(game, request, reply) for game, request, reply in zip(games, requests, replies, strict=True)
        ]

    def _request(self, game_id: str, role: Role, prompt: str) -> SampleRequest:
        is_attacker = role is Role.ATTACKER
        return SampleRequest(
            role=role,
            prompt=prompt,
            reply_prefix=reply_prefix(role, style=self._game.prompt_style, is_thinking=self._is_thinking),
            max_tokens=self._sampling.max_revision_tokens if is_attacker else self._sampling.max_verdict_tokens,
            seed=derive_seed(self._seed, game_id, role.value),
            is_reference=self._game.no_defender_turn and not is_attacker,
            is_greedy=self._is_greedy,
        )

    def _attacked(self, game: Game, request: SampleRequest, reply: Reply | PromptTooLong) -> Game:
        if isinstance(reply, PromptTooLong):
            return _void(game, f"the attacker's prompt is too long: {reply.explanation}")
        parsed = self._parsed(reply)
        game = replace(game, turns=(*game.turns, _turn(request, reply, parsed)))
        problem = revision_problem(parsed.answer, game.spec.seed_note)
        if problem is not None:
            return replace(game, state=GameState.NO_REVISION, reason=problem)
        return replace(game, note=parsed.answer)

    def _assessed(self, game: Game, request: SampleRequest, reply: Reply | PromptTooLong) -> Game:
        if isinstance(reply, PromptTooLong):
            if game.turns:
                reason = f"the revision is too long to be assessed: {reply.explanation}"
                return replace(game, note=None, state=GameState.NO_REVISION, reason=reason)
            return _void(game, f"the assessor's prompt is too long: {reply.explanation}")
        parsed = self._parsed(reply)
        verdict = parse_verdict(parsed.answer)
        game = replace(game, turns=(*game.turns, _turn(request, reply, parsed)), verdict=verdict)
        if verdict is None:
            reason = "the assessor's public answer is neither Safe nor Harmful"
            return replace(game, state=GameState.NO_VERDICT, reason=reason)
        return game

    def _parsed(self, reply: Reply) -> ParsedReply:
        return parse_reply(reply.text, is_thinking=self._is_thinking, is_finished=reply.is_finished)


def _opened(spec: GameSpec) -> Game:
    return Game(
        spec=spec,
        turns=(),
        note=None if spec.data_type.is_adversarial else spec.seed_note,
        verdict=None,
        state=GameState.AWAITING_RULING,
        reason="",
    )


def _turn(request: SampleRequest, reply: Reply, parsed: ParsedReply) -> Turn:
    return Turn(
        role=request.role,
        prompt=request.prompt,
        reply=reply.text,
        thinking=parsed.thinking,
        answer=parsed.answer,
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        log_probs=reply.log_probs,
        is_finished=reply.is_finished,
        is_format_kept=parsed.is_format_kept,
        is_trained=not request.is_reference,
    )


def _void(game: Game, reason: str) -> Game:
    failure = JudgeFailure(game_id=game.spec.id, is_abstention=False, source="game", reason=reason)
    return replace(game, state=GameState.VOID, reason=reason, ruling=failure)


def _merged(games: Sequence[Game], changed: Sequence[Game]) -> list[Game]:
    by_id = {game.spec.id: game for game in changed}
    return [by_id.get(game.spec.id, game) for game in games]
