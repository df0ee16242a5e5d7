"""Playing games. What each turn asks of its player, and what the reply does to the game, is told first, without any
playing: an engine that plays game by game follows it too.

Here games are played as a batch, the attackers of a step, then the assessors; and ruled games become training samples,
one for each trained turn that has a reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..callbacks import Notify, Progress
from ..game_config import GameConfig, RolloutConfig
from ..parsing import ParsedReply, parse_reply, revision_problem
from ..prompts import assessor_prompt, attacker_prompt, reply_prefix, sentences_prompt
from ..records import LIVING, DataType, Game, GameSpec, GameState, JudgeFailure, Role, Turn
from ..rewards import rewards_of
from ..samples import Sample
from ..seeds import derive_seed
from ..sentences import NumberedNote, note_read, numbered_lines, read_assessment, read_edits
from .rollout import REFERENCE, PromptTooLong, Reply, Rollout, RolloutRequest, Speaker


def opened(spec: GameSpec) -> Game:
    """The game of ``spec`` before its first turn. In a vanilla game the assessor's note is there already."""
    return Game(
        spec=spec,
        turns=(),
        note=None if spec.data_type.is_adversarial else spec.seed_note,
        sentence_starts=() if spec.data_type.is_adversarial else spec.sentence_starts,
        verdict=None,
        state=GameState.AWAITING_RULING,
        reason="",
    )


def voided(game: Game, reason: str) -> Game:
    """``game`` given up for a ``reason`` that is nobody's fault: nobody gets a reward."""
    failure = JudgeFailure(game_id=game.spec.id, is_abstention=False, source="game", reason=reason)
    return replace(game, state=GameState.VOID, reason=reason, ruling=failure, rewards=())


def revision_request(seed: NumberedNote, data_type: DataType, config: GameConfig, *, at_stake: str = "") -> str:
    """What an attacker is asked about the note ``seed``: for the whole of it anew, or for single sentences.

    Args:
        at_stake: the error, or what stands in its place; the attacker is told that sentence, if at all.
    """
    style, is_thinking = config.prompt_style, config.thinking
    if config.revision == "note":
        return attacker_prompt(seed.text, data_type, style=style, is_thinking=is_thinking)
    number = seed.number_of(at_stake) if config.tells_sentence_at_stake else None
    return sentences_prompt(
        seed.written(),
        data_type,
        style=style,
        is_thinking=is_thinking,
        max_edits=config.max_edits,
        at_stake=None if number is None else numbered_lines({number: seed.sentences[number]}),
    )


def assessment_request(note: NumberedNote, config: GameConfig) -> str:
    """What an assessor is asked about ``note``; its sentences have numbers where one is asked for."""
    text = note.text if config.assessor == "verdict" else note.written()
    return assessor_prompt(text, style=config.prompt_style, is_thinking=config.thinking, asked=config.assessor)


def seed_of(spec: GameSpec) -> NumberedNote:
    """The seed note of a game with its sentences."""
    return NumberedNote(spec.seed_note, spec.sentence_starts)


class TurnRules:
    """The requests to the players, and the games after their replies.

    Args:
        seed: the run's seed; with the game's id and the role it decides a reply.
        is_greedy: take the likeliest tokens, as evaluation does.
    """

    def __init__(self, game: GameConfig, rollout: RolloutConfig, *, seed: int, is_greedy: bool = False) -> None:
        self._game = game
        self._rollout = rollout
        self._seed = seed
        self._is_greedy = is_greedy
        self._is_thinking = game.thinking

    def attacker_request(self, game: Game) -> RolloutRequest:
        """What the attacker of an adversarial game is asked."""
        spec = game.spec
        at_stake = spec.pair.sentence_at_stake(is_harmful=spec.data_type.is_harmful)
        prompt = revision_request(seed_of(spec), spec.data_type, self._game, at_stake=at_stake)
        return self._request(game.spec, Role.ATTACKER, prompt)

    def attacked(self, game: Game, request: RolloutRequest, reply: Reply | PromptTooLong) -> Game:
        """``game`` after the attacker's turn: a note for the assessor, or the end."""
        if isinstance(reply, PromptTooLong):
            return voided(game, f"the attacker's prompt is too long: {reply.explanation}")
        parsed = self._parsed(reply)
        game = replace(game, turns=(*game.turns, _turn(request, reply, parsed)))
        note = self._revised(parsed.answer, seed_of(game.spec))
        if isinstance(note, str):
            return replace(game, state=GameState.NO_REVISION, reason=note)
        return replace(game, note=note.text, sentence_starts=note.starts)

    def _revised(self, answer: str, seed: NumberedNote) -> NumberedNote | str:
        """The note that the attacker's ``answer`` makes, or why it makes none."""
        note = NumberedNote(answer)
        if self._game.revision == "sentences":
            edits = read_edits(answer, seed, self._game.max_edits)
            if isinstance(edits, str):
                return edits
            note = seed.edited(edits)
        return revision_problem(note.text, seed.text) or note

    def assessor_request(self, game: Game) -> RolloutRequest:
        """What the assessor of a game with a note is asked. It sees the note alone, never any thinking."""
        return self._request(game.spec, Role.ASSESSOR, assessment_request(note_read(game), self._game))

    def assessed(self, game: Game, request: RolloutRequest, reply: Reply | PromptTooLong) -> Game:
        """``game`` after the assessor's turn: a verdict for the judge, or the end."""
        if isinstance(reply, PromptTooLong):
            if game.turns:
                reason = f"the revision is too long to be assessed: {reply.explanation}"
                return replace(game, note=None, sentence_starts=(), state=GameState.NO_REVISION, reason=reason)
            return voided(game, f"the assessor's prompt is too long: {reply.explanation}")
        parsed = self._parsed(reply)
        game = replace(game, turns=(*game.turns, _turn(request, reply, parsed)))
        assessment = read_assessment(parsed.answer, self._game.assessor, range(len(note_read(game).spans)))
        if isinstance(assessment, str):
            return replace(game, state=GameState.NO_VERDICT, reason=assessment)
        return replace(game, verdict=assessment.verdict, location=assessment.location, correction=assessment.correction)

    def _request(self, spec: GameSpec, role: Role, prompt: str) -> RolloutRequest:
        is_attacker = role is Role.ATTACKER
        version = spec.version_of(role)
        if self._game.no_defender_turn and not is_attacker and version == LIVING:
            version = REFERENCE
        return RolloutRequest(
            speaker=Speaker(role, version),
            prompt=prompt,
            reply_prefix=reply_prefix(role, style=self._game.prompt_style, is_thinking=self._is_thinking),
            max_tokens=self._rollout.max_revision_tokens if is_attacker else self._rollout.max_verdict_tokens,
            seed=derive_seed(self._seed, spec.id, role.value),
            is_greedy=self._is_greedy,
        )

    def _parsed(self, reply: Reply) -> ParsedReply:
        return parse_reply(reply.text, is_thinking=self._is_thinking, is_finished=reply.is_finished)


def _turn(request: RolloutRequest, reply: Reply, parsed: ParsedReply) -> Turn:
    return Turn(
        role=request.speaker.role,
        prompt=request.prompt,
        reply=reply.text,
        thinking=parsed.thinking,
        answer=parsed.answer,
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        log_probs=reply.log_probs,
        is_finished=reply.is_finished,
        is_format_kept=parsed.is_format_kept,
        is_trained=request.speaker.is_living,
        version=request.speaker.version,
    )


def play(
    specs: Sequence[GameSpec],
    rollout: Rollout,
    game_config: GameConfig,
    rollout_config: RolloutConfig,
    *,
    seed: int,
    is_greedy: bool = False,
    on_progress: Notify = lambda _: None,
) -> list[Game]:
    """Play ``specs`` up to the judge's ruling: one game for each, in order.

    Args:
        seed: the run's seed; with the game's id and the role it decides a reply.
        is_greedy: take the likeliest tokens, as evaluation does.
        on_progress: told what is being played, for a display.
    """
    rules = TurnRules(game_config, rollout_config, seed=seed, is_greedy=is_greedy)
    return assess(attack(specs, rollout, rules, on_progress), rollout, rules, on_progress)


def attack(specs: Sequence[GameSpec], rollout: Rollout, rules: TurnRules, on_progress: Notify) -> list[Game]:
    """The first half of :func:`play`: the attackers' turns. Vanilla games have none."""
    games = [opened(spec) for spec in specs]
    attacked = [game for game in games if game.spec.data_type.is_adversarial]
    on_progress(f"{len(attacked)} attackers")
    requests = [rules.attacker_request(game) for game in attacked]
    replies = rollout.generate(requests, _counted(on_progress, f"{len(attacked)} attackers"))
    played = [rules.attacked(*turn) for turn in zip(attacked, requests, replies, strict=True)]
    return _merged(games, played)


def assess(games: Sequence[Game], rollout: Rollout, rules: TurnRules, on_progress: Notify) -> list[Game]:
    """The second half of :func:`play`: the assessors' turns in the games that have a note to read."""
    waiting = [game for game in games if game.state is GameState.AWAITING_RULING]
    on_progress(f"{len(waiting)} assessors")
    requests = [rules.assessor_request(game) for game in waiting]
    replies = rollout.generate(requests, _counted(on_progress, f"{len(waiting)} assessors"))
    played = [rules.assessed(*turn) for turn in zip(waiting, requests, replies, strict=True)]
    return _merged(games, played)


def _counted(on_progress: Notify, text: str) -> Progress:
    return lambda done, total: on_progress(f"{text} {done}/{total}")


def _merged(games: Sequence[Game], changed: Sequence[Game]) -> list[Game]:
    by_id = {game.spec.id: game for game in changed}
    return [by_id.get(game.spec.id, game) for game in games]


def score(games: Sequence[Game], config: GameConfig) -> list[Game]:
    """The games with their rewards.

    Raises:
        ValueError: a game still awaits its ruling.
    """
    return [replace(game, rewards=rewards_of(game, config)) for game in games]


def samples_of(games: Sequence[Game]) -> list[Sample]:
    """The samples to learn from, in the order of the games, attacker before assessor."""
    samples: list[Sample] = []
    for game in games:
        for reward in game.rewards:
            turn = game.turn_of(reward.role)
            if turn is None:
                raise ValueError(f"game {game.spec.id} has a reward for the {reward.role.value} but no such turn")
            samples.append(Sample(game.spec.id, turn, reward))
    return samples
