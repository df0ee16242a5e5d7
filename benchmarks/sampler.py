"""How fast replies are drawn: our sampler against transformers' ``generate``, or under several transformers.

    python benchmarks/sampler.py [--models tiny-random demo HuggingFaceTB/SmolLM2-135M-Instruct] [--requests 16]
    python benchmarks/sampler.py --python OLD/bin/python NEW/bin/python [--rounds 5]

Attackers rewrite synthetic notes and assessors give verdicts on them, in prompts of several styles. A note is made of
one to four, so that lengths differ as those of MEDEC do. Both ways draw the same replies from the same seeds, but where
rounding decides; they take turns, and the faster of each one's rounds counts. ``generate`` gets the prompts as they
come, so many at a time. On a CPU one thread computes and its processor time counts, so that whatever else the machine
does hardly matters.

With ``--python`` our sampler alone runs, in a process of each interpreter. They draw the same replies in strict turns,
and the median of each one's rounds counts.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, cast

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList  # noqa: E402

from medical_team.config import (  # noqa: E402
    DEMO_MODEL,
    SMOLLM2_MODEL,
    TINY_RANDOM_MODEL,
    Device,
    PolicyConfig,
    RolloutConfig,
)
from medical_team.data.synthetic import synthetic_cases  # noqa: E402
from medical_team.game.rollout import Reply, RolloutRequest, Speaker  # noqa: E402
from medical_team.policy.chat import decode_reply, encode_prompt  # noqa: E402
from medical_team.policy.policy import Policy  # noqa: E402
from medical_team.policy.transformers_rollout import TransformersRollout  # noqa: E402
from medical_team.prompts import assessor_prompt, attacker_prompt, reply_prefix  # noqa: E402
from medical_team.records import DataType, Role  # noqa: E402


@dataclass(frozen=True)
class Drawn:
    text: str
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]


Draw = Callable[[Sequence[RolloutRequest]], Sequence[Drawn]]

HEADER = (
    "| model | prompts | prompt tokens | batch | reply tokens | generate, tokens/s | ours, tokens/s | ratio "
    "| same replies |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[TINY_RANDOM_MODEL, DEMO_MODEL, SMOLLM2_MODEL])
    parser.add_argument("--requests", type=int, default=32, help="replies of each kind")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--revision-tokens", type=int, default=256, help="longest reply of the attacker")
    parser.add_argument("--verdict-tokens", type=int, default=16, help="longest reply of the assessor")
    parser.add_argument("--styles", nargs="+", default=["full", "short"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--python", nargs="+", help="interpreters whose transformers are compared")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.worker:
        work(chosen)
        return
    if chosen.python:
        compare_versions(chosen.python, [word for word in sys.argv[1:] if word not in ("--python", *chosen.python)])
        return
    print(HEADER)
    print("|---" * (HEADER.count("|") - 1) + "|")
    for case in cases_of(chosen):
        compare(
            f"| {case.model} | {case.prompts}",
            case.requests,
            chosen.rounds,
            lambda requests, case=case: draw_with_generate(case.policy, case.config, requests),
            lambda requests, case=case: draw_with_ours(case.rollout, requests),
            case.policy,
            case.config,
        )


@dataclass(frozen=True)
class Case:
    """A line of the table."""

    model: str
    prompts: str
    policy: Policy
    config: RolloutConfig
    rollout: TransformersRollout
    requests: Sequence[RolloutRequest]


def cases_of(chosen: argparse.Namespace) -> Iterator[Case]:
    for model in chosen.models:
        policy = policy_of(model, chosen.device)
        config = RolloutConfig(batch_size=chosen.batch_size, max_prompt_tokens=8192)
        rollout = TransformersRollout(policy, config)
        # The demo policy knows terse prompts with one note only.
        for style in ["terse"] if model == DEMO_MODEL else chosen.styles:
            for role, limit in ((Role.ATTACKER, chosen.revision_tokens), (Role.ASSESSOR, chosen.verdict_tokens)):
                most_notes = 1 if model == DEMO_MODEL else 4
                requests = requests_of(role, style, chosen.requests, limit, most_notes)
                yield Case(model, f"{role.value}, {style}", policy, config, rollout, requests)


def work(chosen: argparse.Namespace) -> None:
    """Be one of several that are compared: prepare or draw when told so on standard input, answer in JSON lines."""
    cases = cases_of(chosen)
    case: Case | None = None
    for line in sys.stdin:
        if line.strip() == "next":
            case = next(cases, None)
            if case is None:
                answer(version=transformers.__version__, model=None)
                return
            draw_with_ours(case.rollout, warm_up_of(case.requests))
            tokens = prompt_tokens_of(case.policy, case.requests)
            answer(
                version=transformers.__version__, model=case.model, prompts=case.prompts, prompt_tokens=spread(tokens)
            )
        elif case is not None:
            clock = clock_of(case.policy)
            started = clock()
            drawn = draw_with_ours(case.rollout, case.requests)
            answer(seconds=clock() - started, replies=[reply.token_ids for reply in drawn])


def answer(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def compare_versions(interpreters: Sequence[str], options: Sequence[str]) -> None:
    """A table of our sampler under each interpreter's transformers."""
    rounds = int(options[options.index("--rounds") + 1]) if "--rounds" in options else 1
    workers = [
        subprocess.Popen(
            [interpreter, __file__, "--worker", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for interpreter in interpreters
    ]
    is_begun = False
    while True:
        cases = [told(worker, "next") for worker in workers]
        if not is_begun:
            speeds = " | ".join(f"transformers {case['version']}, tokens/s" for case in cases)
            header = f"| model | prompts | prompt tokens | reply tokens | {speeds} | last / first | same replies |"
            print(header)
            print("|---" * (header.count("|") - 1) + "|", flush=True)
            is_begun = True
        if any(case["model"] is None for case in cases):
            return
        drawn = [[told(worker, "draw") for worker in workers] for _ in range(rounds)]
        replies = [one["replies"] for one in drawn[0]]
        tokens = [sum(map(len, one)) for one in replies]
        speeds = [count / median(turn[number]["seconds"] for turn in drawn) for number, count in enumerate(tokens)]
        same = sum(one == other for one, other in zip(replies[0], replies[-1], strict=True))
        print(
            f"| {cases[0]['model']} | {cases[0]['prompts']} | {cases[0]['prompt_tokens']} "
            f"| {spread([len(reply) for reply in replies[0]])} | {' | '.join(f'{speed:,.1f}' for speed in speeds)} "
            f"| {speeds[-1] / speeds[0]:.2f} | {same} of {len(replies[0])} |",
            flush=True,
        )


def told(worker: subprocess.Popen[str], word: str) -> dict[str, Any]:
    if worker.stdin is None or worker.stdout is None:
        raise RuntimeError("the worker has no pipes")
    worker.stdin.write(f"{word}\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def policy_of(model: str, device: Device) -> Policy:
    return Policy(PolicyConfig(model=model, device=device), seed=1, notify=lambda text: print(text, file=sys.stderr))


def requests_of(role: Role, style: str, count: int, limit: int, most_notes: int) -> list[RolloutRequest]:
    requests: list[RolloutRequest] = []
    cases = iter(synthetic_cases(most_notes * count, 1))
    for number in range(count):
        parts = [next(cases) for _ in range(random.Random(number).randint(1, most_notes))]
        note = " ".join(part.error_note if number % 2 else part.corrected_note for part in parts)
        if role is Role.ATTACKER:
            data_type = DataType.ADVERSARIAL_HARMFUL if number % 2 else DataType.ADVERSARIAL_BENIGN
            prompt = attacker_prompt(note, data_type, style=style, is_thinking=False)
        else:
            prompt = assessor_prompt(note, style=style, is_thinking=False)
        prefix = reply_prefix(role, style=style, is_thinking=False)
        requests.append(RolloutRequest(Speaker(role), prompt, prefix, limit, seed=number))
    return requests


def compare(
    name: str,
    requests: Sequence[RolloutRequest],
    rounds: int,
    theirs: Draw,
    ours: Draw,
    policy: Policy,
    config: RolloutConfig,
) -> None:
    clock = clock_of(policy)
    theirs(warm_up_of(requests))
    ours(warm_up_of(requests))
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    drawn: dict[str, Sequence[Drawn]] = {}
    for _ in range(rounds):
        for key, draw in (("theirs", theirs), ("ours", ours)):
            started = clock()
            drawn[key] = draw(requests)
            seconds[key].append(clock() - started)
    lengths = [len(reply.token_ids) for reply in drawn["ours"]]
    prompts = prompt_tokens_of(policy, requests)
    same = sum(one.token_ids == other.token_ids for one, other in zip(drawn["theirs"], drawn["ours"], strict=True))
    speeds = {key: sum(len(reply.token_ids) for reply in drawn[key]) / min(seconds[key]) for key in ("theirs", "ours")}
    print(
        f"{name} | {spread(prompts)} | {config.batch_size} | {spread(lengths)} | {speeds['theirs']:,.1f} "
        f"| {speeds['ours']:,.1f} | {speeds['ours'] / speeds['theirs']:.2f} | {same} of {len(requests)} |",
        flush=True,
    )


def clock_of(policy: Policy) -> Callable[[], float]:
    return time.process_time if policy.device.type == "cpu" else time.perf_counter


def warm_up_of(requests: Sequence[RolloutRequest]) -> list[RolloutRequest]:
    """What is used for the first time is slow: kernels are chosen, memory is fetched."""
    return [RolloutRequest(item.speaker, item.prompt, item.reply_prefix, 2, item.seed) for item in requests[:2]]


def prompt_tokens_of(policy: Policy, requests: Sequence[RolloutRequest]) -> list[int]:
    return [len(encode_prompt(policy.tokenizer, item.prompt, item.reply_prefix, policy.day)) for item in requests]


def spread(numbers: Sequence[int]) -> str:
    return f"{sum(numbers) / len(numbers):.0f} ({min(numbers)} to {max(numbers)})"


def draw_with_ours(rollout: TransformersRollout, requests: Sequence[RolloutRequest]) -> list[Drawn]:
    replies = [reply for reply in rollout.generate(requests) if isinstance(reply, Reply)]
    return [Drawn(reply.text, reply.token_ids, reply.log_probs) for reply in replies]


@torch.inference_mode()
def draw_with_generate(policy: Policy, config: RolloutConfig, requests: Sequence[RolloutRequest]) -> list[Drawn]:
    """The same with ``generate``, which pads all prompts, reads all of them and goes on until the last row is done."""
    drawn: list[Drawn] = []
    for start in range(0, len(requests), config.batch_size):
        batch = requests[start : start + config.batch_size]
        prompts = [
            encode_prompt(policy.tokenizer, request.prompt, request.reply_prefix, policy.day) for request in batch
        ]
        drawn += generate_batch(policy, config.temperature, prompts, batch)
    return drawn


def generate_batch(
    policy: Policy, temperature: float, prompts: Sequence[tuple[int, ...]], requests: Sequence[RolloutRequest]
) -> list[Drawn]:
    width = max(map(len, prompts))
    input_ids = [[policy.pad_token_id] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    attention_mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    chooser = SeededChoice([request.seed for request in requests], temperature)
    generation_config = GenerationConfig(
        max_new_tokens=requests[0].max_tokens,
        do_sample=False,
        eos_token_id=sorted(policy.eos_token_ids),
        pad_token_id=policy.pad_token_id,
    )
    with policy.inference_context() as model:
        sequences: torch.Tensor = cast("Any", model).generate(
            input_ids=torch.tensor(input_ids, device=policy.device),
            attention_mask=torch.tensor(attention_mask, device=policy.device),
            generation_config=generation_config,
            logits_processor=LogitsProcessorList([chooser]),
        )
    drawn: list[list[int]] = cast("Any", sequences)[:, width:].tolist()
    log_probs = torch.stack(chooser.log_probs_by_position, dim=1)
    return [
        up_to_the_end(policy, tokens, log_probs)
        for tokens, log_probs in zip(drawn, cast("Any", log_probs).tolist(), strict=True)
    ]


def up_to_the_end(policy: Policy, tokens: Sequence[int], log_probs: Sequence[float]) -> Drawn:
    ends = policy.eos_token_ids
    length = next((place + 1 for place, token in enumerate(tokens) if token in ends), len(tokens))
    text = decode_reply(policy.tokenizer, tokens[:length], ends)
    return Drawn(text, tuple(tokens[:length]), tuple(log_probs[:length]))


class SeededChoice(LogitsProcessor):
    """Picks each row's token at the row's own random number, forces it, and keeps its log-prob."""

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._uniforms = [random.Random(seed) for seed in seeds]
        self._temperature = temperature
        self.log_probs_by_position: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        log_probs = torch.log_softmax(scores.float() / self._temperature, dim=-1)
        cumulative = log_probs.double().exp().cumsum(dim=-1)
        uniforms = [uniform.random() for uniform in self._uniforms]
        draws = torch.tensor(uniforms, dtype=torch.float64, device=scores.device)[:, None] * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, draws, right=True).clamp_(max=scores.shape[1] - 1)
        self.log_probs_by_position.append(log_probs.gather(1, chosen)[:, 0])
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen, 0.0)


if __name__ == "__main__":
    main()
