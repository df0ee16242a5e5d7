"""How fast replies are drawn right after a push of weights: ``generate``, our sampler, vLLM in fp32 and in bf16.

    make vllm
    .venv-vllm/bin/python benchmarks/rollout.py [--requests 16 64] [--model HuggingFaceTB/SmolLM2-135M-Instruct]

All draw in one process and in strict turns, for the prompts of ``benchmarks/sampler.py``. Time is the processor's, of
one thread, so that whatever else the machine does hardly matters; vLLM's includes the push. The first call of each, in
which kernels are chosen, doesn't count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import sampler
import torch

from medical_team.config import SMOLLM2_MODEL, RolloutConfig
from medical_team.game.rollout import Reply, RolloutRequest
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.policy.vllm_rollout import VllmRollout
from medical_team.records import Role


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=SMOLLM2_MODEL)
    parser.add_argument("--requests", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--revision-tokens", type=int, default=256, help="longest reply of the attacker")
    parser.add_argument("--verdict-tokens", type=int, default=16, help="longest reply of the assessor")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    policy = sampler.policy_of(chosen.model, "cpu")
    print("| engine | prompts | number | prompt tokens | tokens/s | against generate |")
    print("|---|---|---|---|---|---|")
    for precision in ("fp32", "bf16"):
        config = RolloutConfig(max_prompt_tokens=2048, batch_size=chosen.batch_size, precision=precision)
        vllm = VllmRollout(policy, config)
        try:
            for role, limit in ((Role.ATTACKER, chosen.revision_tokens), (Role.ASSESSOR, chosen.verdict_tokens)):
                for count in chosen.requests:
                    compare(policy, config, vllm, role, sampler.requests_of(role, "short", count, limit, 4))
        finally:
            vllm.close()


def compare(
    policy: Policy, config: RolloutConfig, vllm: VllmRollout, role: Role, requests: Sequence[RolloutRequest]
) -> None:
    """Print a line for each engine; the two that know no bf16 of their own draw beside vLLM's fp32 alone."""
    embedded = TransformersRollout(policy, config)

    def draw_with_vllm(requests: Sequence[RolloutRequest]) -> Sequence[Reply]:
        vllm.follow()
        return [reply for reply in vllm.generate(requests) if isinstance(reply, Reply)]

    engines: dict[str, Callable[[Sequence[RolloutRequest]], Sequence[sampler.Drawn | Reply]]] = {
        f"vLLM, {config.precision}": draw_with_vllm
    }
    if config.precision == "fp32":
        engines = {
            "generate": lambda requests: sampler.draw_with_generate(policy, config, requests),
            "built-in": lambda requests: sampler.draw_with_ours(embedded, requests),
            **engines,
        }
    for name, draw in engines.items():
        draw(sampler.warm_up_of(requests))
        started = time.process_time()
        drawn = draw(requests)
        speed = sum(len(reply.token_ids) for reply in drawn) / (time.process_time() - started)
        if name == "generate":
            _BASE[role, len(requests)] = speed
        ratio = speed / _BASE[role, len(requests)]
        prompts = sampler.spread(sampler.prompt_tokens_of(policy, requests))
        print(f"| {name} | {role.value} | {len(requests)} | {prompts} | {speed:.1f} | {ratio:.2f} |", flush=True)


_BASE: dict[tuple[Role, int], float] = {}


if __name__ == "__main__":
    main()
