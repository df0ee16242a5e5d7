"""A rollout engine of OpenRLHF as its agent sees it, with scripted replies; and runs to play in it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from builders import a_record
from medical_team.config import GameConfig, RolloutConfig, RunConfig, TrainingConfig
from medical_team.engines.openrlhf.agent import GameAgent
from medical_team.engines.openrlhf.dataset import EngineRow, write_prompt_dataset
from medical_team.engines.openrlhf.game_files import PlayedGame, read_part_files
from medical_team.jsonl import read_jsonl
from medical_team.judge.protocol import AsyncJudge, JudgeQuery
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.records import DataType, Labels, Ruling, TrainingRecord, Verdict
from medical_team.runs.folder import RunFolder

TOKENIZER = make_tiny_model()[1]
MAX_LENGTH = 4096
LOG_PROB = -0.25

Script = Callable[[str], Any]
"""From the text of a prompt to a reply: a text, an exception, or a text that goes on beyond the limit (Endless)."""


@dataclass(frozen=True)
class Endless:
    """A reply that is cut at the token limit."""

    text: str


@dataclass
class SamplingParams:
    """vLLM's, as far as OpenRLHF 0.11.2 sets them."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = 1024
    min_tokens: int = 1
    skip_special_tokens: bool = False
    logprobs: int | None = None


class TokensPrompt(dict[str, Any]):
    """vLLM's, a typed dictionary."""


def is_attacker_prompt(prompt: str) -> bool:
    return "Rewrite the note" in prompt


def note_in(prompt: str) -> str:
    return prompt.partition("<note>\n")[2].partition("\n</note>")[0]


def playing(prompt: str) -> str:
    """An attacker that rewrites faithfully, an assessor that finds the tenfold dose."""
    if is_attacker_prompt(prompt):
        return note_in(prompt).replace("A chest film shows", "On the chest film there is")
    return "Harmful" if "5000 mg" in prompt else "Safe"


def copying(prompt: str) -> str:
    """As :func:`playing`, with an attacker that copies the note, of which the reference judge knows everything."""
    return note_in(prompt) if is_attacker_prompt(prompt) else playing(prompt)


def thinking_aloud(script: Script) -> Script:
    """``script`` in the thinking format."""
    return lambda prompt: f"hm, secret </think> <answer> {script(prompt)} </answer>"


@dataclass
class ScriptedVllm:
    """An asynchronous vLLM engine: takes token ids, yields outputs with token ids."""

    script: Script = playing
    pause: Callable[[], Any] = lambda: asyncio.sleep(0)
    prompts: list[str] = field(default_factory=list[str])
    params: list[SamplingParams] = field(default_factory=list[SamplingParams])
    output_processor: Any = field(default_factory=lambda: SimpleNamespace(get_num_unfinished_requests=lambda: 0))

    async def generate(
        self, prompt: TokensPrompt, sampling_params: SamplingParams, request_id: str
    ) -> AsyncIterator[Any]:
        text = str(cast("Any", TOKENIZER).decode(prompt["prompt_token_ids"]))
        self.prompts.append(text)
        self.params.append(sampling_params)
        await self.pause()
        reply = self.script(text)
        if isinstance(reply, Exception):
            raise reply
        yield self.output_of(reply, sampling_params)

    def output_of(self, reply: str | Endless, params: SamplingParams) -> Any:
        text = reply.text if isinstance(reply, Endless) else reply
        ids: list[int] = cast("Any", TOKENIZER)(text, add_special_tokens=False)["input_ids"]
        is_cut = isinstance(reply, Endless) or len(ids) + 1 > (params.max_tokens or MAX_LENGTH)
        ids = (ids * 50 if isinstance(reply, Endless) else ids)[: params.max_tokens] if is_cut else [
            *ids, cast("int", TOKENIZER.eos_token_id),
        ]  # fmt: skip
        log_probs = None
        if params.logprobs is not None:
            log_probs = [{token: SimpleNamespace(logprob=LOG_PROB - place / 64)} for place, token in enumerate(ids)]
        completion = SimpleNamespace(
            token_ids=tuple(ids), text=text, logprobs=log_probs, finish_reason="length" if is_cut else "stop"
        )
        return SimpleNamespace(outputs=[completion])


class RolloutEngine:
    """What an agent is given: as OpenRLHF's actor, it hands token ids on to vLLM."""

    def __init__(self, llm: ScriptedVllm) -> None:
        self.llm = llm

    async def generate(self, prompt_token_ids: list[int], sampling_params: Any, multi_modal_data: Any = None) -> Any:
        final = None
        prompt = TokensPrompt(prompt_token_ids=prompt_token_ids)
        async for output in self.llm.generate(prompt, copy.deepcopy(sampling_params), request_id="1"):
            final = output
        return final


class DoseJudge:
    """Says that a note has an error if it gives the tenfold dose."""

    name = "dose"

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        return {
            query.game_id: Labels(
                query.game_id, "5000 mg" in query.note, query.verdict is Verdict.HARMFUL, source="dose", reason="told"
            )
            for query in queries
        }


TERSE = GameConfig(prompt_style="terse")


def four_records() -> list[TrainingRecord]:
    """One record of each category."""
    return [a_record(data_type) for data_type in DataType]


def a_run(
    path: Path,
    records: Sequence[TrainingRecord] | None = None,
    *,
    heldout: Sequence[TrainingRecord] = (),
    steps: int = 2,
    games_per_step: int = 4,
    **sections: Any,
) -> RunFolder:
    """A run folder with terse prompts, its data set for OpenRLHF written."""
    config = RunConfig(
        game=TERSE,
        rollout=RolloutConfig(max_prompt_tokens=2048, max_revision_tokens=1024, max_verdict_tokens=64),
        training=TrainingConfig(steps=steps, games_per_step=games_per_step, normalization="batch"),
    )
    run = RunFolder.create(path, replace(config, **sections), records or four_records(), heldout)
    write_prompt_dataset(run)
    return run


def rows_of(run: RunFolder, kind: str = "prompts") -> list[EngineRow]:
    return read_jsonl(run.path / "engine" / f"{kind}.jsonl", EngineRow)


def an_agent(run: RunFolder, judge: AsyncJudge | None = None) -> GameAgent:
    return GameAgent(run, judge or DoseJudge())


async def siblings(
    agent: GameAgent, llm: ScriptedVllm, row: EngineRow, n: int = 2, params: SamplingParams | None = None
) -> list[Any]:
    """What OpenRLHF's actor does for one prompt: ``n`` calls that share one object of sampling parameters."""
    params = params or SamplingParams()
    engine = RolloutEngine(llm)
    calls = [agent.execute(row.input, row.label, params, MAX_LENGTH, TOKENIZER, engine, images=None) for _ in range(n)]
    return await asyncio.gather(*calls)


def play_rows(agent: GameAgent, llm: ScriptedVllm, rows: Sequence[EngineRow], n: int = 2) -> list[list[Any]]:
    """The samples of each row, all rows at the same time."""

    async def play() -> list[list[Any]]:
        return await asyncio.gather(*(siblings(agent, llm, row, n) for row in rows))

    return asyncio.run(play())


def played_games(run: RunFolder) -> list[PlayedGame]:
    """The games in the part files of ``run``, in the order of their ids."""
    return sorted(read_part_files(run.path / "engine"), key=lambda played: played.game.spec.id)
