# pyright: reportMissingImports=false
"""How one record becomes one game of two agents, and who gets which reward."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import verifiers.v1 as vf

from medical_team.config import RunConfig
from medical_team.errors import UsageError
from medical_team.game.play import TurnRules, opened, score
from medical_team.game.rollout import PromptTooLong, Reply, RolloutRequest
from medical_team.judge.protocol import AsyncJudge, rule_games_async
from medical_team.judging import make_async_judge
from medical_team.records import Game, GameState, JudgeFailure, Labels, Role
from medical_team.rewards import is_faithful_revision, is_verdict_right
from medical_team_verifiers.taskset import MedicalGameTask

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
        UsageError: the rules name a judge that can't be had here.
    """

    def __init__(self, config: MedicalGameEnvConfig) -> None:
        super().__init__(config)
        self._config_of_run: RunConfig = self.taskset.rules
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

    async def run(self, task: MedicalGameTask, agents: vf.Agents) -> None:
        """Play one game. An agent that failed ends it; its trace says why."""
        game = opened(task.spec)
        if game.spec.data_type.is_adversarial:
            request = self._rules.attacker_request(game)
            trace = await agents.attacker.run(_turn(request))
            if not trace.ok:
                return
            game = self._rules.attacked(game, request, _reply(trace))
        if game.state is GameState.AWAITING_RULING:
            await agents.assessor.run(_turn(self._rules.assessor_request(game)))

    async def finalize(self, task: MedicalGameTask, episode: vf.Episode) -> None:
        """Rule on the game and reward each of its agents.

        Raises:
            JudgeFailedError: the judge failed. A judge that can't tell is another matter: see :func:`_reward`.
        """
        if not all(trace.ok for trace in episode.traces):
            return
        if self._judge is None:
            raise JudgeFailedError("the environment was not started, so there is no judge: play inside env.serving()")
        config = self._config_of_run.game
        ruled = await rule_games_async([self._replayed(task, episode.traces)], self._judge, config.undecidable)
        game = score(ruled, config)[0]
        if isinstance(game.ruling, JudgeFailure) and not game.ruling.is_abstention:
            raise JudgeFailedError(game.ruling.reason)
        for trace in episode.traces:
            _reward(trace, game)

    def _replayed(self, task: MedicalGameTask, traces: Sequence[vf.Trace]) -> Game:
        """The game that the traces tell."""
        by_role = {Role(trace.agent.name): trace for trace in traces}
        game = opened(task.spec)
        if Role.ATTACKER in by_role:
            game = self._rules.attacked(game, self._rules.attacker_request(game), _reply(by_role[Role.ATTACKER]))
        if Role.ASSESSOR in by_role:
            game = self._rules.assessed(game, self._rules.assessor_request(game), _reply(by_role[Role.ASSESSOR]))
        return game


def _limited(agent: vf.AgentConfig, max_tokens: int) -> vf.AgentConfig:
    """``agent`` with the rules' longest reply, unless it says otherwise."""
    sampling = agent.sampling or vf.SamplingConfig()
    if sampling.max_tokens is not None:
        return agent
    values = {**sampling.model_dump(exclude_unset=True), "max_tokens": max_tokens}
    return agent.model_copy(update={"sampling": vf.SamplingConfig.model_validate(values)})


def _turn(request: RolloutRequest) -> vf.Task:
    # A server takes no beginning of a reply; the prompt names the format all the same.
    return vf.Task(vf.TaskData(prompt=request.prompt, name=request.speaker.role.value))


def _reply(trace: vf.Trace) -> Reply | PromptTooLong:
    return Reply(trace.last_reply, (), (), (), not trace.is_truncated)


def _reward(trace: vf.Trace, game: Game) -> None:
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
