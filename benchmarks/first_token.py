"""How long a person waits for the first token: from the start of ``medical-team train`` until a reply has begun.

    .venv-vllm/bin/python benchmarks/first_token.py [--models demo] [--engines transformers] [--rounds 3]

A training is started in a process of its own, with each engine in turn, and ended as soon as its first request, for one
token, is answered: Python's start, imports, data, model and engine are all in it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

DEMO, SMOLLM2 = "demo", "HuggingFaceTB/SmolLM2-135M-Instruct"
STARTED = "MEDICAL_TEAM_BENCHMARK_STARTED"


def main() -> None:
    if STARTED in os.environ:
        train_until_the_first_token(sys.argv[1:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[SMOLLM2])
    parser.add_argument("--engines", nargs="+", default=["transformers", "vllm"], choices=["transformers", "vllm"])
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print("| model | engine | seconds to the first token |")
    print("|---|---|---|")
    for model in chosen.models:
        seconds: dict[str, list[float]] = {engine: [] for engine in chosen.engines}
        for _ in range(chosen.rounds):
            for engine, each in seconds.items():
                each.append(seconds_to_the_first_token(model, engine))
        for engine, each in seconds.items():
            print(f"| {model} | {engine} | {median(each):.1f} ({min(each):.1f} to {max(each):.1f}) |", flush=True)


def seconds_to_the_first_token(model: str, engine: str) -> float:
    with TemporaryDirectory() as folder:
        options = ["--run", f"{folder}/run", "--policy.model", model, "--rollout.engine", engine]
        options += ["--preset", "demo" if model == DEMO else "smoke", "--rollout.max_verdict_tokens", "1"]
        options += ["--rollout.max_revision_tokens", "1"]
        done = subprocess.run(
            [sys.executable, __file__, "train", *options],
            env=os.environ | {STARTED: repr(time.time())},
            capture_output=True,
            text=True,
            check=False,
        )
    for line in done.stdout.splitlines():
        if line.startswith("first token "):
            return float(line.removeprefix("first token "))
    raise SystemExit(f"no token was drawn: {done.stderr[-2000:]}")


def train_until_the_first_token(arguments: Sequence[str]) -> None:
    """Train, with an engine that ends the process once it has answered; the trial before a run draws with its own."""
    from medical_team.cli.main import main as medical_team
    from medical_team.policy import rollout_engines

    def ending(engine: Any) -> Any:
        class Ending(engine):
            def generate(self, requests: Sequence[Any], on_progress: Any = None) -> Any:
                engine.generate(self, requests[:1])
                print(f"first token {time.time() - float(os.environ[STARTED])}", flush=True)
                os._exit(0)

        return Ending

    rollout_engines.TransformersRollout = ending(rollout_engines.TransformersRollout)
    rollout_engines.VllmRollout = ending(rollout_engines.VllmRollout)
    medical_team(list(arguments))


if __name__ == "__main__":
    main()
