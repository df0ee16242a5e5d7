"""How fast replies are drawn right after a push of weights: ``generate``, our sampler, and vLLM in fp32 and bf16.

    .venv-vllm/bin/python benchmarks/rollout.py [--engines generate ours vllm-fp32 vllm-bf16] [--requests 16 64]

Each engine has a process of its own, with all threads of the machine, and they take strict turns. Attackers
rewrite synthetic notes and assessors give verdicts on them. The policy has a LoRA adapter that has learnt something:
``generate`` and our sampler read it beside the weights, vLLM gets it merged. Before each turn vLLM is given the weights
anew and forgets what it had read; what that takes is counted apart. Tokens a second are those of the replies.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from sampler import answer, draw_with_generate, prompt_tokens_of, requests_of, spread, told, warm_up_of

import torch  # isort: skip
import transformers  # isort: skip

from medical_team.config import SMOLLM2_MODEL, PolicyConfig, RolloutConfig  # isort: skip
from medical_team.game.rollout import Reply, RolloutRequest, TrainingRollout  # isort: skip
from medical_team.policy.policy import Policy  # isort: skip
from medical_team.policy.transformers_rollout import TransformersRollout  # isort: skip
from medical_team.policy.vllm_room import vllm_version  # isort: skip
from medical_team.policy.vllm_rollout import VllmRollout  # isort: skip
from medical_team.records import Role  # isort: skip

ENGINES = ["generate", "ours", "vllm-fp32", "vllm-bf16"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=SMOLLM2_MODEL)
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--requests", nargs="+", type=int, default=[16, 64], help="prompts of a turn")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--style", default="full")
    parser.add_argument("--revision-tokens", type=int, default=256, help="longest reply of the attacker")
    parser.add_argument("--verdict-tokens", type=int, default=16, help="longest reply of the assessor")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work(chosen)
    else:
        compare(chosen)


def compare(chosen: argparse.Namespace) -> None:
    options = ["--model", chosen.model, "--style", chosen.style]
    options += ["--revision-tokens", str(chosen.revision_tokens), "--verdict-tokens", str(chosen.verdict_tokens)]
    workers = {
        engine: subprocess.Popen(
            [sys.executable, __file__, "--worker", engine, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for engine in chosen.engines
    }
    ready = {engine: told(worker, "{}") for engine, worker in workers.items()}
    versions = next(iter(ready.values()))
    print(f"{versions['versions']}; {os.cpu_count()} cores", file=sys.stderr)
    speeds = " | ".join(f"{engine}, tokens/s" for engine in workers)
    header = f"| replies | prompts | prompt tokens | reply tokens | {speeds} | against {chosen.engines[0]} | push, s |"
    print(header)
    print("|---" * (header.count("|") - 1) + "|", flush=True)
    for role in (Role.ATTACKER, Role.ASSESSOR):
        for count in chosen.requests:
            turns: dict[str, list[dict[str, Any]]] = {engine: [] for engine in workers}
            for _ in range(chosen.rounds):
                for engine, worker in workers.items():
                    turns[engine].append(told(worker, json.dumps({"role": role.value, "requests": count})))
            print(line_of(role, count, turns), flush=True)
    for worker in workers.values():
        worker.communicate()


def line_of(role: Role, count: int, turns: dict[str, list[dict[str, Any]]]) -> str:
    speed = {engine: median(turn["tokens"] / turn["seconds"] for turn in each) for engine, each in turns.items()}
    first = next(iter(speed.values()))
    pushes = [turn["push"] for each in turns.values() for turn in each if turn["push"] is not None]
    lengths = [turn["tokens"] / count for each in turns.values() for turn in each]
    return (
        f"| {role.value} | {count} | {next(iter(turns.values()))[0]['prompt_tokens']} "
        f"| {min(lengths):.0f} to {max(lengths):.0f} | {' | '.join(f'{each:,.1f}' for each in speed.values())} "
        f"| {', '.join(f'{each / first:.2f}' for each in list(speed.values())[1:]) or '-'} "
        f"| {f'{median(pushes):.1f}' if pushes else '-'} |"
    )


def work(chosen: argparse.Namespace) -> None:
    """Be one engine: start, then draw what each line on standard input asks for, and answer in a line."""
    # vLLM writes to standard output, which is for answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    policy = trained_policy(chosen.model)
    draw, follow = engine_of(chosen.worker, policy)
    for line in sys.stdin:
        asked = json.loads(line)
        with contextlib.redirect_stdout(answers):
            if not asked:
                versions = f"torch {torch.__version__}, transformers {transformers.__version__}, {vllm_version()}"
                answer(versions=versions)
                continue
            role = Role(asked["role"])
            limit = chosen.revision_tokens if role is Role.ATTACKER else chosen.verdict_tokens
            requests = requests_of(role, chosen.style, asked["requests"], limit, most_notes=2)
            push = None
            if follow is not None:
                follow()
                push = seconds_of(lambda requests=requests: draw(warm_up_of(requests)))[0]
            else:
                draw(warm_up_of(requests))
            seconds, lengths = seconds_of(lambda requests=requests: draw(requests))
            tokens = spread(prompt_tokens_of(policy, requests))
            answer(seconds=seconds, tokens=sum(lengths), push=push, prompt_tokens=tokens)


def seconds_of(draw: Callable[[], Sequence[int]]) -> tuple[float, Sequence[int]]:
    started = time.perf_counter()
    drawn = draw()
    return time.perf_counter() - started, drawn


def trained_policy(model: str) -> Policy:
    """A policy whose adapter changes what it says, as if it had learnt."""
    policy = Policy(PolicyConfig(model=model, device="cpu"), seed=1, notify=lambda text: print(text, file=sys.stderr))
    torch.default_generator.manual_seed(1)
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter.add_(torch.randn_like(parameter) * 0.002)
    return policy


def engine_of(
    name: str, policy: Policy
) -> tuple[Callable[[Sequence[RolloutRequest]], Sequence[int]], Callable[[], None] | None]:
    """What draws and says how long each reply is; and for vLLM what has it take the weights anew."""
    config = RolloutConfig(batch_size=16, max_prompt_tokens=8192)
    if name == "generate":
        return lambda requests: [len(item.token_ids) for item in draw_with_generate(policy, config, requests)], None
    rollout: TrainingRollout
    if name == "ours":
        rollout = TransformersRollout(policy, config)
    else:
        rollout = VllmRollout(policy, replace(config, precision="bf16" if name == "vllm-bf16" else "fp32"))

    def draw(requests: Sequence[RolloutRequest]) -> list[int]:
        return [len(reply.token_ids) for reply in rollout.generate(requests) if isinstance(reply, Reply)]

    return draw, None if name == "ours" else rollout.follow


if __name__ == "__main__":
    main()
