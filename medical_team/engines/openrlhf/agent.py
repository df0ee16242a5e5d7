"""The games of self-play inside OpenRLHF: what happens in the calls of its rollout engine.

OpenRLHF wants one sample of each call. Two sibling calls play one adversarial game, of which the first returns the
attacker's sample and the second the assessor's. Where one role alone learns, as in a vanilla game, which has no
attacker turn, or against a frozen opponent, each returns that role's sample of a game of its own. What goes wrong in a
game makes it void, with its reason on the disk.

Every sample for training has something to learn from: OpenRLHF's trainer divides by the number of action tokens of a
micro-batch, and a void game's sample alone in one would end the run. In its place another game of the step is played.
If that fails again and again, the call raises what went wrong, and the run ends with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...chat_template import MEND
from ...errors import EngineError, MedicalTeamError, UsageError
from ...evaluation.heldout import heldout_specs
from ...game.draw import GameDraw
from ...game.opponents import OpponentDraw, Standings
from ...game.play import TurnRules, opened, score, voided
from ...game.rollout import PromptTooLong, Reply, RolloutRequest
from ...judge.protocol import AsyncJudge, rule_games_async
from ...judging import make_async_judge
from ...policy.chat import chat_template_problem
from ...records import LIVING, Game, GameSpec, GameState, Role, TrainingRecord
from ...runs.folder import RunFolder
from ..command import RUN_VARIABLE, EngineFiles
from .calls import (
    Echo,
    EngineRollout,
    EngineSample,
    RolloutEngine,
    empty_sample,
    heldout_sample,
    opponent_rollout,
    training_sample,
)
from .dataset import HeldoutTicket, TrainingTicket, read_label
from .game_files import SECOND, GameCount, GameFiles, Place, PlayedGame, RoleBaselines, read_part_files

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ResultT = TypeVar("_ResultT")

MOST_REPLACEMENTS = 8
"""Games that are played in place of one that leaves a sample empty, before the run ends."""

_DEAD_ENGINE = "EngineDeadError"
"""What vLLM raises in every call after its engine died."""


def agent_from_environment() -> GameAgent:
    """The agent of the run that the environment variable ``MEDICAL_TEAM_RUN`` names. Returns when the judge is ready.

    Raises:
        MedicalTeamError: the variable, the run or the judge can't be used; better now than in every game.
    """
    name = os.environ.get(RUN_VARIABLE)
    if not name:
        raise UsageError(
            f"the environment variable {RUN_VARIABLE} is not set where OpenRLHF plays. It names the run folder; with "
            'ray job submit, give it by --runtime-env-json \'{"env_vars": {"' + RUN_VARIABLE + '": "/path/of/run"}}\''
        )
    run = RunFolder.open(Path(name))
    pairs = (record.pair for record in [*run.training_records(), *run.heldout_records()])
    return GameAgent(run, make_async_judge(run.config.judge, pairs, say))


def say(text: str) -> None:
    """Tell a person: Ray carries what its workers write here to the driver."""
    sys.stderr.write(f"medical-team: {text}\n")
    sys.stderr.flush()


class Pairing:
    """Pairs the calls that OpenRLHF makes for one prompt: of two siblings the first plays for both.

    OpenRLHF gathers ``n_samples_per_prompt`` calls for a prompt on one event loop, and each must return one sample.
    What tells siblings is the object of sampling parameters that they share, since each remote call brings its own;
    prompts and labels may be equal by chance.
    """

    def __init__(self) -> None:
        # By the id of the object: whoever waits here holds it, so that no other has that id meanwhile.
        self._waiting: dict[int, asyncio.Future[EngineSample]] = {}

    async def join(
        self, key: object, play_pair: Callable[[], Awaitable[tuple[EngineSample, EngineSample]]]
    ) -> EngineSample:
        """One result of ``play_pair``, which the first of two calls with the object ``key`` runs for both.

        Must be the first thing that a call awaits.

        Raises:
            EngineError: there is no sibling, or the one that played was cancelled or failed.
        """
        if (first := self._waiting.pop(id(key), None)) is not None:
            return await first
        second: asyncio.Future[EngineSample] = asyncio.get_running_loop().create_future()
        self._waiting[id(key)] = second
        try:
            # The first steps of all siblings run before one turn of the loop is over.
            await asyncio.sleep(0)
            if self._waiting.get(id(key)) is second:
                raise EngineError("a call for a sample has no sibling: set --rollout.n_samples_per_prompt 2")
            own, others = await play_pair()
        except BaseException as error:
            if self._waiting.get(id(key)) is second:
                del self._waiting[id(key)]
            elif not second.done():
                second.set_exception(EngineError(f"the sibling ended: {type(error).__name__}: {error}"))
            raise
        if not second.done():
            second.set_result(others)
        return own


@dataclass(frozen=True)
class _Call:
    """One call of OpenRLHF."""

    rollout: EngineRollout
    echo: Echo


class GameAgent:
    """Plays the games of ``run``. One for each rollout engine; all calls come on one event loop.

    Args:
        run: whose rules, notes and folder are used. Nothing but the engine's own folder is written to.
        judge: rules on the games. A judge that is away is waited for.
    """

    def __init__(self, run: RunFolder, judge: AsyncJudge) -> None:
        config, folder = run.config, EngineFiles(run.path).folder
        training = config.training
        self._config = config
        self._day = config.policy.day
        self._judge = judge
        self._opponents = OpponentDraw(config.opponents, config.game, seed=training.seed)
        self._opponent = opponent_rollout(config, say)
        self._draw = GameDraw(
            run.training_records(), config.game, games_per_step=training.games_per_step, seed=training.seed
        )
        self._heldout = run.heldout_records()
        self._rules = TurnRules(config.game, config.rollout, seed=training.seed)
        self._heldout_rules = TurnRules(config.game, config.rollout, seed=training.seed, is_greedy=True)
        self._baselines = RoleBaselines() if config.engine.role_baselines else None
        if self._baselines is not None:
            self._baselines.resume(_counting_games(folder))
        self._pairing = Pairing()
        self._count = GameCount(folder)
        self._files = GameFiles(folder)
        # One thread for the disk, which may be slow, so that lines and counts come one after another.
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="games")
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._is_template_checked = False

    async def execute(
        self,
        prompt: str,
        label: str,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: PreTrainedTokenizerBase,
        llm_engine: RolloutEngine,
        images: Any = None,
    ) -> EngineSample:
        """One sample, as OpenRLHF's ``AgentExecutorBase.execute``.

        Raises:
            EngineError: nothing can be learnt, and the run must end: the rollout engine died, the model can't be asked,
                the row is another data set's, or one game after the other failed.
        """
        # Each remote call brings a copy of the tokenizer; what is worked out for one serves all.
        self._tokenizer = self._tokenizer or hf_tokenizer
        rollout = EngineRollout(
            llm_engine, self._tokenizer, sampling_params, max_length, self._config.rollout, self._day
        )
        filler = self._tokenizer.eos_token_id
        has_log_probs = sampling_params.logprobs is not None
        echo = Echo(prompt, label, has_log_probs, filler if isinstance(filler, int) else 0)
        call = _Call(rollout, echo)
        try:
            self._check_chat_template(self._tokenizer)
            return await self._answer(call, sampling_params)
        except Exception as error:
            say(f"a call could not play: {type(error).__name__}: {error}")
            if _is_heldout(label):
                return empty_sample(echo, is_void=True)
            raise error if isinstance(error, EngineError) else EngineError(f"a call could not play: {error}") from error

    def _check_chat_template(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if self._is_template_checked:
            return
        if (problem := chat_template_problem(tokenizer)) is not None:
            raise UsageError(f"the model's chat template {problem}. {MEND}")
        self._is_template_checked = True

    async def _answer(self, call: _Call, sampling_params: Any) -> EngineSample:
        asked = read_label(call.echo.label)
        if isinstance(asked, HeldoutTicket):
            return await self._evaluate(asked, call)
        record = None if isinstance(asked, TrainingTicket) else asked
        return await self._pairing.join(sampling_params, lambda: self._play_pair(record, call))

    async def _play_pair(self, record: TrainingRecord | None, call: _Call) -> tuple[EngineSample, EngineSample]:
        place, spec = await self._next_spec(record)
        learners = _learners(spec)
        if len(learners) == len(Role):
            games = [await self._play(spec, call, place.attempt)] * 2
            roles = learners
        else:
            # One role learns: two games apart from each other give the two samples.
            specs = (spec, replace(spec, id=f"{spec.id}{SECOND}"))
            games = await asyncio.gather(*(self._play(spec, call, place.attempt) for spec in specs))
            roles = learners * 2
        slots = enumerate(zip(games, roles, strict=True))
        samples = [await self._sample(played, role, place, slot, call) for slot, (played, role) in slots]
        return samples[0], samples[1]

    async def _sample(self, played: PlayedGame, role: Role, place: Place, slot: int, call: _Call) -> EngineSample:
        """The sample of ``role``; where nothing can be learnt from it, that of an assessor of another game of the step.

        Args:
            place: which game of the run it is.
            slot: which of the two samples of that game.

        Raises:
            EngineError: none of the games in its place can be learnt from, or the rollout engine is dead.
        """
        sample = training_sample(played, role, call.echo)
        if sample["action_ranges"]:
            return sample
        step, index = divmod(place.number, self._config.training.games_per_step)
        first = self._config.training.games_per_step + (2 * index + slot) * MOST_REPLACEMENTS
        for other in self._draw.replacements(step, first, MOST_REPLACEMENTS):
            if _DEAD_ENGINE in played.game.reason:
                raise EngineError(f"the rollout engine died. {played.game.reason}")
            played = await self._play(other, call, place.attempt, is_attacker_trained=False)
            sample = training_sample(played, Role.ASSESSOR, call.echo, is_replacement=True)
            if sample["action_ranges"]:
                return sample
        raise EngineError(
            f"a game and the {MOST_REPLACEMENTS} played in its place left nothing to learn from, the last one because: "
            f"{played.game.reason}"
        )

    async def _evaluate(self, ticket: HeldoutTicket, call: _Call) -> EngineSample:
        attempts = await self._on_disk(self._count.attempts)
        training = self._config.training
        specs = heldout_specs(
            self._heldout,
            games=self._config.checkpoints.evaluation_games,
            seed=training.seed,
            step=attempts.next_game // training.games_per_step - 1,
        )
        if ticket.number >= len(specs):
            raise UsageError(f"there is no held-out note {ticket.number}: write the run's engine/heldout.jsonl again")
        played = await self._play(specs[ticket.number], call, len(attempts.first_steps) - 1, is_heldout=True)
        return heldout_sample(played.game, call.echo)

    async def _next_spec(self, record: TrainingRecord | None) -> tuple[Place, GameSpec]:
        place = await self._on_disk(self._count.take)
        spec = self._draw.spec(place.number) if record is None else self._draw.spec_of(record, place.number)
        # There is one opponent at most, so that nothing depends on who won before.
        (spec,) = self._opponents.assigned([spec], spec.step, Standings())
        return place, spec

    async def _play(
        self,
        spec: GameSpec,
        call: _Call,
        attempt: int,
        *,
        is_heldout: bool = False,
        is_attacker_trained: bool = True,
    ) -> PlayedGame:
        """Play, rule, score and save one game. What goes wrong makes it void."""
        started = time.time()
        rules = self._heldout_rules if is_heldout else self._rules
        game = opened(spec)
        try:
            async for further in self._turns(game, rules, call, is_attacker_trained=is_attacker_trained):
                game = further
            ruled = await rule_games_async([game], self._judge, self._config.game.undecidable)
            game = score(ruled, self._config.game)[0]
        except Exception as error:  # noqa: BLE001 - an engine may fail in any way: that voids a game, not the run
            game = _failed(game, error)
        played = self._with_baselines(PlayedGame(attempt, is_heldout, started, time.time(), game))
        return await self._saved(played)

    async def _turns(
        self, game: Game, rules: TurnRules, call: _Call, *, is_attacker_trained: bool
    ) -> AsyncIterator[Game]:
        """``game`` after each of its turns."""
        if game.spec.data_type.is_adversarial:
            request = rules.attacker_request(game)
            game = rules.attacked(game, request, await self._reply(request, call))
            if not is_attacker_trained:
                game = replace(game, turns=tuple(replace(turn, is_trained=False) for turn in game.turns))
            yield game
        if game.state is GameState.AWAITING_RULING:
            request = rules.assessor_request(game)
            yield rules.assessed(game, request, await self._reply(request, call))

    async def _reply(self, request: RolloutRequest, call: _Call) -> Reply | PromptTooLong:
        if request.speaker.is_living or self._opponent is None:
            return await call.rollout.generate(request)
        (reply,) = await asyncio.to_thread(self._opponent.generate, [request])
        return reply

    def _with_baselines(self, played: PlayedGame) -> PlayedGame:
        if self._baselines is None or played.is_heldout:
            return played
        taken = {reward.role: self._baselines.take(reward.role, reward.total) for reward in played.game.rewards}
        return replace(played, attacker_baseline=taken.get(Role.ATTACKER), assessor_baseline=taken.get(Role.ASSESSOR))

    async def _saved(self, played: PlayedGame) -> PlayedGame:
        """``played``, which is on the disk; a game that can't be saved is not learnt from either."""
        try:
            await self._on_disk(lambda: self._files.write(played))
        except (MedicalTeamError, ValueError) as error:
            # The turns may hold what can't be written, such as numbers that are not finite.
            void = _failed(replace(played.game, turns=(), note=None, verdict=None), error)
            played = replace(played, game=void, attacker_baseline=None, assessor_baseline=None)
            await self._on_disk(lambda: self._files.write(played))
        return played

    async def _on_disk(self, work: Callable[[], _ResultT]) -> _ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)


def _learners(spec: GameSpec) -> tuple[Role, ...]:
    """The roles of a game that the policy plays and learns, the attacker first."""
    roles = tuple(Role) if spec.data_type.is_adversarial else (Role.ASSESSOR,)
    return tuple(role for role in roles if spec.version_of(role) == LIVING)


def _is_heldout(label: str) -> bool:
    try:
        return isinstance(read_label(label), HeldoutTicket)
    except MedicalTeamError:
        return False


def _counting_games(folder: Path) -> Iterator[PlayedGame]:
    """The training games so far, without those that a resumed run plays again."""
    attempts = GameCount(folder).attempts()
    for played in read_part_files(folder):
        if not played.is_heldout and not attempts.is_superseded(played.attempt, played.game.spec.step):
            yield played


def _failed(game: Game, error: Exception) -> Game:
    say(f"game {game.spec.id} is void: {traceback.format_exc()}")
    return voided(game, f"the agent failed: {type(error).__name__}: {error}")
