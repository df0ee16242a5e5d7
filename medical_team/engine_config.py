"""The sections of a configuration that name other programs: the training engine, and trackers of experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .game_config import bounded
from .records import Closed

EngineKind = Literal["local", "openrlhf", "red-team-fork"]
Submission = Literal["direct", "ray-job"]
AttentionImplementation = Literal["flash_attention_2", "sdpa", "eager"]


@dataclass(frozen=True)
class EngineConfig(Closed):
    """What trains: this process, or OpenRLHF on Ray. All keys but `kind` concern only OpenRLHF."""

    kind: EngineKind = "local"
    """"local" trains in this process, on a CPU or one GPU; "openrlhf" launches OpenRLHF 0.11.2 as it is; and
    "red-team-fork" the Self-RedTeam fork, with its `red_team` folder replaced by this package."""
    python: str | None = None
    """The Python of the engine's own environment, since its pins exclude ours; unset: the one that runs this."""
    fork: str | None = None
    """Folder of the fork's checkout, for "red-team-fork"."""
    submission: Submission = "direct"
    """"direct" starts the engine as a process here; "ray-job" submits it to a running cluster."""
    ray_address: str = "http://127.0.0.1:8265"
    """Address of the cluster's dashboard, for "ray-job"."""
    nodes: int = bounded(1, minimum=1)
    """Machines."""
    gpus_per_node: int = bounded(1, minimum=1)
    """GPUs of each machine."""
    gpu_memory_gib: float = bounded(80.0, above=0.0, maximum=10000.0)
    """Memory of each GPU, for the plan."""
    vllm_engines: int = bounded(1, minimum=1)
    """Rollout engines. With all models colocated, engines x tensor parallel size is the number of all GPUs."""
    tensor_parallel_size: int = bounded(1, minimum=1)
    """GPUs that share one rollout engine."""
    vllm_memory_fraction: float = bounded(0.5, above=0.0, maximum=0.95)
    """The share of each GPU's memory that a rollout engine takes."""
    judge_memory_fraction: float = bounded(0.0, minimum=0.0, maximum=0.9)
    """The share of one GPU's memory that a judge's vLLM server takes there; 0: the judge runs elsewhere."""
    zero_stage: int = bounded(3, minimum=0, maximum=3)
    """DeepSpeed's ZeRO stage: what is cut over the GPUs."""
    micro_train_batch_size: int = bounded(4, minimum=1)
    """Samples of one forward and backward pass on one GPU."""
    micro_rollout_batch_size: int = bounded(4, minimum=1)
    """Samples whose log-probs are computed at once on one GPU."""
    attention: AttentionImplementation = "flash_attention_2"
    """How attention is computed in training."""
    packing: bool = True
    """Pack samples of different lengths together, without padding."""
    enforce_eager: bool = False
    """Rollout engines without CUDA graphs: slower, less memory."""
    sleep: bool = True
    """Models that share GPUs make room for each other between the phases of a step."""
    role_baselines: bool = False
    """Subtract each role's running mean from its rewards, since OpenRLHF normalises both roles together."""
    save_optimizer: bool = False
    """Checkpoints also keep the optimizer's state, so that a stopped run can be resumed; about eight times as large."""
    extra_arguments: tuple[str, ...] = ()
    """Arguments that are passed on to the engine as they are, after all others."""


TrackerName = Literal["wandb", "trackio"]


@dataclass(frozen=True)
class TrackingConfig(Closed):
    """Trackers beside TensorBoard and the run's own files, where they are installed; offline unless told otherwise."""

    trackers: tuple[TrackerName, ...] = ()
    """"wandb" (Weights & Biases), "trackio", or both."""
    project: str = "medical-team"
    """The project under which they keep the run."""
    online: bool = False
    """Send to the tracker's server: Weights & Biases' own or the one in WANDB_BASE_URL, and for Trackio `space`. Off:
    everything stays on this machine; `wandb sync` or `trackio sync` send it later."""
    space: str = ""
    """Trackio's Hugging Face Space, OWNER/NAME, where online; a new one is made private."""
    games_per_step: int = bounded(8, minimum=0, maximum=1000)
    """Games of each step in a table, with their notes; 0: only numbers, no note."""
