"""How fast replies are drawn: our sampler against transformers' ``generate``, side by side.

    python benchmarks/sampler.py [--models tiny-random demo HuggingFaceTB/SmolLM2-135M-Instruct] [--requests 16]

Attackers rewrite synthetic notes and assessors give verdicts on them, in prompts of several styles. A note is made of
one to four, so that lengths differ as those of MEDEC do. Both ways draw the same replies from the same seeds, but where
rounding decides; they take turns, and the faster of each one's rounds counts. ``generate`` gets the prompts as they
come, so many at a time. On a CPU one thread computes and its processor time counts, so that whatever else the machine
does hardly matters.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402
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
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(HEADER)
    print("|---" * (HEADER.count("|") - 1) + "|")
    for model in chosen.models:
        policy = policy_of(model, chosen.device)
        config = RolloutConfig(batch_size=chosen.batch_size, max_prompt_tokens=8192)
        rollout = TransformersRollout(policy, config)
        # The demo policy knows terse prompts with one note only.
        for style in ["terse"] if model == DEMO_MODEL else chosen.styles:
            for role, limit in ((Role.ATTACKER, chosen.revision_tokens), (Role.ASSESSOR, chosen.verdict_tokens)):
                most_notes = 1 if model == DEMO_MODEL else 4
                requests = requests_of(role, style, chosen.requests, limit, most_notes)
                compare(
                    f"| {model} | {role.value}, {style}",
                    requests,
                    chosen.rounds,
                    lambda requests, policy=policy, config=config: draw_with_generate(policy, config, requests),
                    lambda requests, rollout=rollout: draw_with_ours(rollout, requests),
                    policy,
                    config,
                )


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
    clock = time.process_time if policy.device.type == "cpu" else time.perf_counter
    # What is used for the first time is slow: kernels are chosen, memory is fetched.
    warm_up = [RolloutRequest(item.speaker, item.prompt, item.reply_prefix, 2, item.seed) for item in requests[:2]]
    theirs(warm_up)
    ours(warm_up)
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    drawn: dict[str, Sequence[Drawn]] = {}
    for _ in range(rounds):
        for key, draw in (("theirs", theirs), ("ours", ours)):
            started = clock()
            drawn[key] = draw(requests)
            seconds[key].append(clock() - started)
    lengths = [len(reply.token_ids) for reply in drawn["ours"]]
    prompts = [len(encode_prompt(policy.tokenizer, item.prompt, item.reply_prefix, policy.day)) for item in requests]
    same = sum(one.token_ids == other.token_ids for one, other in zip(drawn["theirs"], drawn["ours"], strict=True))
    speeds = {key: sum(len(reply.token_ids) for reply in drawn[key]) / min(seconds[key]) for key in ("theirs", "ours")}
    print(
        f"{name} | {spread(prompts)} | {config.batch_size} | {spread(lengths)} | {speeds['theirs']:,.1f} "
        f"| {speeds['ours']:,.1f} | {speeds['ours'] / speeds['theirs']:.2f} | {same} of {len(requests)} |",
        flush=True,
    )


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
        sequences = model.generate(  # type: ignore[operator]
            input_ids=torch.tensor(input_ids, device=policy.device),
            attention_mask=torch.tensor(attention_mask, device=policy.device),
            generation_config=generation_config,
            logits_processor=LogitsProcessorList([chooser]),
        )
    log_probs = torch.stack(chooser.log_probs_by_position, dim=1).tolist()
    return [
        up_to_the_end(policy, tokens, log_probs)
        for tokens, log_probs in zip(sequences[:, width:].tolist(), log_probs, strict=True)
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

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        log_probs = torch.log_softmax(scores.float() / self._temperature, dim=-1)
        cumulative = log_probs.double().exp().cumsum(dim=-1)
        uniforms = [uniform.random() for uniform in self._uniforms]
        draws = torch.tensor(uniforms, dtype=torch.float64, device=scores.device)[:, None] * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, draws, right=True).clamp_(max=scores.shape[1] - 1)
        self.log_probs_by_position.append(log_probs.gather(1, chosen)[:, 0])
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen, 0.0)


if __name__ == "__main__":
    main()
