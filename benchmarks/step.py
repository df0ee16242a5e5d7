"""A whole step of learning, ours against TRL's GRPOTrainer: 12 replies drawn and learnt from, time and memory.

    .venv-vllm/bin/python benchmarks/step.py --trl TRL/bin/python [--engines ours vllm trl] [--rounds 3]

All have SmolLM2 with a LoRA adapter of rank 16 on all linear layers, fp32, prompts of 126 tokens, replies of 64 at
most, a KL term, one update, and all threads of the machine. Each has a process of its own and they take strict
turns; the median of the rounds counts, after one that doesn't. Memory is the most that a process had.
``--trl`` names the Python of an environment with TRL; without it that line is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ENGINES = ["ours", "vllm", "trl"]
LEARNING_RATE, KL_COEFFICIENT, RANK = 5e-5, 0.01, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--trl", help="the interpreter of an environment with TRL")
    parser.add_argument("--model", help="a folder; by default SmolLM2-135M-Instruct")
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--prompt-tokens", type=int, default=126)
    parser.add_argument("--reply-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        # Libraries write to standard output, which is for answers alone.
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        asked = json.loads(sys.stdin.readline())
        {"ours": learn_ours, "vllm": learn_ours, "trl": learn_with_trl}[chosen.worker](chosen, asked, Turns(answers))
    else:
        compare(chosen)


class Turns:
    """The turns of a worker: it waits for a line, works, and answers with seconds and memory."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    def wait(self) -> bool:
        """Whether there is another turn."""
        is_asked = bool(sys.stdin.readline().strip())
        self._started = time.perf_counter()
        return is_asked

    def done(self, tokens: float) -> None:
        seconds = time.perf_counter() - self._started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": seconds, "gib": memory, "tokens": tokens}), file=self._answers, flush=True)


def compare(chosen: argparse.Namespace) -> None:
    from sampler import told

    from medical_team.policy.shipped_models import smollm2_folder

    model = chosen.model or str(smollm2_folder(lambda text: print(text, file=sys.stderr)))
    prompts = prompts_of(model, chosen.samples, chosen.prompt_tokens)
    interpreters = {"ours": sys.executable, "vllm": sys.executable, "trl": chosen.trl}
    sizes = ["--samples", str(chosen.samples), "--reply-tokens", str(chosen.reply_tokens)]
    sizes += ["--rounds", str(chosen.rounds)]
    workers = {
        engine: subprocess.Popen(
            [interpreters[engine], __file__, "--worker", engine, *sizes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for engine in chosen.engines
        if interpreters[engine]
    }
    for worker in workers.values():
        if worker.stdin is not None:
            worker.stdin.write(json.dumps({"model": model, "prompts": prompts}) + "\n")
            worker.stdin.flush()
    turns: dict[str, list[dict[str, Any]]] = {engine: [] for engine in workers}
    for number in range(chosen.rounds + 1):
        for engine, worker in workers.items():
            turn = told(worker, "turn")
            if number:
                turns[engine].append(turn)
    print("| step | seconds | reply tokens | memory, GiB |")
    print("|---|---|---|---|")
    for engine, each in turns.items():
        seconds = [turn["seconds"] for turn in each]
        print(
            f"| {engine} | {median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f}) "
            f"| {median(turn['tokens'] for turn in each):.0f} | {max(turn['gib'] for turn in each):.1f} |"
        )
    for worker in workers.values():
        worker.communicate()


def prompts_of(model: str, count: int, length: int) -> list[str]:
    """Requests to rewrite notes, each cut so that it has ``length`` tokens within the chat template."""
    from datetime import date

    from sampler import requests_of
    from transformers import AutoTokenizer

    from medical_team.policy.chat import encode_prompt
    from medical_team.policy.transformers_inside import from_pretrained
    from medical_team.records import Role

    tokenizer = from_pretrained(AutoTokenizer, model)
    prompts: list[str] = []
    for request in requests_of(Role.ATTACKER, "short", count, 1, most_notes=4):
        words = (request.prompt + " " + request.prompt).split(" ")
        kept = len(words)
        while len(encode_prompt(tokenizer, " ".join(words[:kept]), "", date(2026, 1, 1))) > length:
            kept -= 1
        prompts.append(" ".join(words[:kept]))
    return prompts


def learn_ours(chosen: argparse.Namespace, asked: dict[str, Any], turns: Turns) -> None:
    from dataclasses import replace

    from medical_team.config import RunConfig
    from medical_team.game.rollout import Reply, RolloutRequest, Speaker
    from medical_team.policy.policy import Policy
    from medical_team.policy.rollout_engines import choose_engine
    from medical_team.records import Reward, Role, Turn
    from medical_team.rl.learner import ReinforceLearner
    from medical_team.rl.protocols import Experience
    from medical_team.samples import Sample

    config = RunConfig()
    config = replace(
        config,
        policy=replace(config.policy, model=asked["model"], device="cpu", precision="fp32", lora_rank=RANK),
        rollout=replace(config.rollout, engine="vllm" if chosen.worker == "vllm" else "transformers"),
        training=replace(config.training, kl_coefficient=KL_COEFFICIENT, learning_rate=LEARNING_RATE),
    )
    policy = Policy(config.policy, seed=1)
    engine = choose_engine(policy, config.rollout)
    learner = ReinforceLearner(policy, replace(config, rollout=engine.config))

    def sample(number: int, prompt: str, reply: Reply) -> Sample:
        turn = Turn(
            role=Role.ATTACKER,
            prompt=prompt,
            reply=reply.text,
            thinking="",
            answer=reply.text,
            prompt_token_ids=reply.prompt_token_ids,
            token_ids=reply.token_ids,
            log_probs=reply.log_probs,
            is_finished=reply.is_finished,
            is_format_kept=None,
            is_trained=True,
        )
        return Sample(
            f"game-{number}",
            turn,
            Reward(Role.ATTACKER, core=float(number % 2), revision=None, format=None, total=float(number % 2)),
        )

    step = 0
    while turns.wait():
        requests = [
            RolloutRequest(Speaker(Role.ATTACKER), prompt, "", chosen.reply_tokens, seed=1000 * step + number)
            for number, prompt in enumerate(asked["prompts"])
        ]
        replies = [reply for reply in engine.rollout.generate(requests) if isinstance(reply, Reply)]
        samples = [
            sample(number, prompt, reply)
            for number, (prompt, reply) in enumerate(zip(asked["prompts"], replies, strict=True))
        ]
        update = learner.learn(Experience(LEARNING_RATE, tuple(samples)), step)
        engine.rollout.follow()
        turns.done(update.action_tokens / len(samples))
        step += 1


def learn_with_trl(chosen: argparse.Namespace, asked: dict[str, Any], turns: Turns) -> None:
    from peft import LoraConfig
    from transformers import TrainerCallback

    # Neither is there where this is checked.
    datasets, trl = (importlib.import_module(name) for name in ("datasets", "trl"))

    lengths: list[int] = []

    def reward(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        lengths[:] = map(len, completion_ids)
        return [float(number % 2) for number in range(len(completion_ids))]

    class Alternating(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            turns.wait()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            turns.done(sum(lengths) / len(lengths))

    with TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        trainer = trl.GRPOTrainer(
            model=asked["model"],
            reward_funcs=reward,
            args=trl.GRPOConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                model_init_kwargs={"dtype": "float32"},
                gradient_checkpointing=False,
                per_device_train_batch_size=chosen.samples,
                num_generations=2,
                max_completion_length=chosen.reply_tokens,
                max_steps=chosen.rounds + 1,
                beta=KL_COEFFICIENT,
                learning_rate=LEARNING_RATE,
                save_strategy="no",
                report_to="none",
            ),
            train_dataset=datasets.Dataset.from_list(
                [{"prompt": [{"role": "user", "content": prompt}]} for prompt in asked["prompts"]]
            ),
            peft_config=LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear"),
            callbacks=[Alternating()],
        )
        trainer.train()


if __name__ == "__main__":
    main()
