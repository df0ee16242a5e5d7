"""How one record becomes one game of two agents, and who gets which reward."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import verifiers.v1 as vf

from medical_team.config import RunConfig
from medical_team.errors import UsageError
from medical_team.game.play import TurnRules, opened, score
from medical_team.game.rollout import PromptTooLong, Reply, RolloutRequest
from medical_team.judge.protocol import AsyncJudge, rule_games_async
from medical_team.judging import make_async_judge
from medical_team.records import Game, GameSpec, GameState, JudgeFailure, Labels, Role
from medical_team.rewards import is_faithful_revision, is_verdict_right
from medical_team_verifiers.taskset import MedicalGameTask, MedicalGameTaskset

logger = logging.getLogger(__name__)

REWARD = "game"
"""The reward's name on a trace; its terms are metrics."""


class MedicalGameEnvConfig(vf.EnvConfig):
    """Who plays. Each is the run's model unless it names another."""

    attacker: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    assessor: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())


class JudgeFailedError(RuntimeError):
    """The judge failed, so that the game is nobody's: the episode is an error, and can be tried again."""


class MedicalGameEnv(vf.Env[MedicalGameEnvConfig]):
    """The attacker speaks in adversarial games alone. The assessor is shown its public answer, never its thinking.

    Raises:
        UsageError: the tasks are not of this game, or the rules name a judge that can't be had here.
    """

    def __init__(self, config: MedicalGameEnvConfig) -> None:
        super().__init__(config)
        self._config_of_run: RunConfig = _rules_of(self)
        if self._config_of_run.judge.kind == "model":
            raise UsageError(
                "judge.kind is model, which would be loaded into this process and can't be had here: name reference, "
                "openai, or remote with the address of `medical-team judge serve`"
            )
        rollout = self._config_of_run.rollout
        self.config = config.model_copy(
            update={
                "attacker": _limited(config.attacker, rollout.max_revision_tokens),
                "assessor": _limited(config.assessor, rollout.max_verdict_tokens),
            }
        )
        self._rules = TurnRules(self._config_of_run.game, rollout, seed=self._config_of_run.training.seed)
        self._judge: AsyncJudge | None = None

    async def start(self) -> None:
        """Have the judge ready before the first game.

        Raises:
            JudgeError: it can't be set up.
        """
        self._judge = await asyncio.to_thread(make_async_judge, self._config_of_run.judge, (), logger.warning)

    async def setup(self, agents: vf.Agents) -> None:
        """Only who learns by the rules is trained."""
        agents.assessor.trainable = not self._config_of_run.game.no_defender_turn

    async def run(self, task: vf.Task[vf.TaskData], agents: vf.Agents) -> None:
        """Play one game. An agent that failed ends it; its trace says why."""
        game = opened(_spec_of(task))
        if game.spec.data_type.is_adversarial:
            request = self._rules.attacker_request(game)
            trace = await _spoken(agents.attacker, request)
            if not trace.ok:
                return
            game = self._rules.attacked(game, request, _reply(trace))
        if game.state is GameState.AWAITING_RULING:
            await _spoken(agents.assessor, self._rules.assessor_request(game))

    async def finalize(self, task: vf.Task[vf.TaskData], episode: vf.Episode[vf.TaskData]) -> None:
        """Rule on the game and reward each of its agents.

        Raises:
            JudgeFailedError: the judge failed. A judge that can't tell is another matter: see :func:`_reward`.
        """
        if not all(trace.ok for trace in episode.traces):
            return
        if self._judge is None:
            raise JudgeFailedError("the environment was not started, so there is no judge: play inside env.serving()")
        config = self._config_of_run.game
        ruled = await rule_games_async(
            [self._replayed(_spec_of(task), episode.traces)], self._judge, config.undecidable
        )
        game = score(ruled, config)[0]
        if isinstance(game.ruling, JudgeFailure) and not game.ruling.is_abstention:
            raise JudgeFailedError(game.ruling.reason)
        for trace in episode.traces:
            _reward(trace, game)

    def _replayed(self, spec: GameSpec, traces: Sequence[vf.Trace[vf.TaskData]]) -> Game:
        """The game that the traces tell."""
        by_role = {Role(trace.agent.name): trace for trace in traces}
        game = opened(spec)
        if Role.ATTACKER in by_role:
            game = self._rules.attacked(game, self._rules.attacker_request(game), _reply(by_role[Role.ATTACKER]))
        if Role.ASSESSOR in by_role:
            game = self._rules.assessed(game, self._rules.assessor_request(game), _reply(by_role[Role.ASSESSOR]))
        return game


class _WithTaskset(Protocol):
    # verifiers names no type for the tasks of an environment: which they are is asked when it is made.
    @property
    def taskset(self) -> object: ...


class _Player(Protocol):
    # verifiers names no type for the tasks of an agent either; ours give it a prompt and nothing else.
    async def run(self, task: vf.Task[vf.TaskData]) -> vf.Trace[vf.TaskData]: ...


def _rules_of(environment: _WithTaskset) -> RunConfig:
    """The rules that come with the tasks. A configuration of verifiers can pair any tasks with an environment."""
    taskset = environment.taskset
    if isinstance(taskset, MedicalGameTaskset):
        return taskset.rules
    raise UsageError(
        f"the tasks are those of {type(taskset).__name__}, which are not of this game: "
        "set taskset.id to medical-team-verifiers"
    )


def _spec_of(task: vf.Task[vf.TaskData]) -> GameSpec:
    """The game that ``task`` is: only those of :class:`MedicalGameTaskset` get here."""
    if isinstance(task, MedicalGameTask):
        return task.spec
    raise UsageError(f"a {type(task).__name__} was given to play, expected a MedicalGameTask")


def _limited(agent: vf.AgentConfig, max_tokens: int) -> vf.AgentConfig:
    """``agent`` with the rules' longest reply, unless it says otherwise."""
    sampling = agent.sampling
    if sampling is not None and sampling.max_tokens is not None:
        return agent
    chosen = sampling.model_dump(exclude_unset=True) if sampling is not None else {}
    values = {**chosen, "max_tokens": max_tokens}
    return agent.model_copy(update={"sampling": vf.SamplingConfig.model_validate(values)})


async def _spoken(player: _Player, request: RolloutRequest) -> vf.Trace[vf.TaskData]:
    # A server takes no beginning of a reply; the prompt names the format all the same.
    data = vf.TaskData.model_validate({"prompt": request.prompt, "name": request.speaker.role.value})
    return await player.run(vf.Task(data))


def _reply(trace: vf.Trace[vf.TaskData]) -> Reply | PromptTooLong:
    return Reply(trace.last_reply, (), (), (), not trace.is_truncated)


def _reward(trace: vf.Trace[vf.TaskData], game: Game) -> None:
    """The reward of one agent. Who has none (a void game, a tie that is dropped) doesn't learn from the trace."""
    reward = game.reward_of(Role(trace.agent.name))
    trace.info["game"] = {"state": game.state.value, "reason": game.reason}
    trace.record_metric("void", float(game.state is GameState.VOID))
    trace.record_metric("decided", float(game.state is GameState.DECIDED))
    if isinstance(game.ruling, Labels):
        trace.record_metric("verdict_right", float(is_verdict_right(game.ruling)))
    if (is_faithful := is_faithful_revision(game)) is not None:
        trace.record_metric("faithful_revision", float(is_faithful))
    if reward is None:
        trace.agent.trainable = False
        return
    trace.record_reward(REWARD, reward.total)
    for name in ("core", "revision", "format", "location", "correction"):
        if (term := getattr(reward, name)) is not None:
            trace.record_metric(name, term)
