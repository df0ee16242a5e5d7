"""The configuration of a run: one frozen dataclass for each section of the TOML file.

The dataclass defaults are the documented table of defaults (``docs/configuration.md`` is made from them): sized
for SmolLM2-135M-Instruct on a laptop. ``presets/`` holds other sets of values. Every field has its sentence, and
its bounds where it has any; :func:`problems_of` checks them all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from .chat_template import day_of, today
from .error_types import error_type_key
from .game_config import (
    MEDGEMMA_MODEL,
    Device,
    GameConfig,
    JudgeConfig,
    JudgeEngine,
    JudgeFallback,
    JudgeKind,
    OpponentConfig,
    Precision,
    PromptStyle,
    RewardCoefficients,
    RolloutConfig,
    RolloutEngine,
    bound_problems,
    bounded,
)
from .network.proxies import is_address
from .records import Closed

__all__ = [
    "MEDGEMMA_MODEL",
    "Device",
    "GameConfig",
    "JudgeConfig",
    "JudgeEngine",
    "JudgeFallback",
    "JudgeKind",
    "Precision",
    "PromptStyle",
    "RewardCoefficients",
    "RolloutConfig",
    "RolloutEngine",
]
"""What the game itself needs, and which is imported from here with all others."""

SAMPLE_DATA = "sample"
"""Names the synthetic notes that ship with the package, wherever a data file is expected."""

DEMO_DATA = "demo"
"""Names synthetic notes in the language of the demo policy, which knows no other."""

DEMO_HELDOUT_DATA = "demo-heldout"
"""Names other notes in its language, to evaluate on."""

SHIPPED_DATA = (SAMPLE_DATA, DEMO_DATA, DEMO_HELDOUT_DATA)

DEMO_MODEL = "demo"
"""The policy that ships: it speaks the language of the synthetic notes, and nothing else."""

TINY_RANDOM_MODEL = "tiny-random"
"""Names a randomly initialised model of a few thousand parameters, made on the spot."""

SMOLLM2_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"

FEWEST_TOKENS_OF_A_CORRECTION = 48
"""A sentence of MEDEC has 20 words on average, and about 30 tokens."""

AdvantageNormalization = Literal["role", "batch"]
LossAveraging = Literal["token-mean", "seq-mean-token-mean"]
LearningRateSchedule = Literal["constant", "cosine"]
Adaptation = Literal["lora", "full"]
Roles = Literal["shared", "separate"]
EngineKind = Literal["local", "openrlhf", "red-team-fork"]
Submission = Literal["direct", "ray-job"]
AttentionImplementation = Literal["flash_attention_2", "sdpa", "eager"]


@dataclass(frozen=True)
class DataConfig(Closed):
    """Which notes are played with."""

    train: str = SAMPLE_DATA
    """Training records: a train.jsonl written by `data build`, "sample" for the synthetic notes that ship, or "demo"
    for those that the demo policy can read."""
    heldout: str | None = None
    """Held-out records for evaluation: a heldout.jsonl written by `data build --heldout`, or "demo-heldout"; none: no
    evaluation."""


@dataclass(frozen=True)
class PolicyConfig(Closed):
    """The language model that plays, and how it learns."""

    model: str = SMOLLM2_MODEL
    """A Hugging Face name or folder of a causal model with a chat template, or "tiny-random"."""
    adaptation: Adaptation = "lora"
    """Train a LoRA adapter, or the full weights."""
    roles: Roles = "shared"
    """One policy plays both roles, or each role learns an adapter of its own on the same frozen base. Under "full"
    "separate" keeps two sets of weights, and their optimizers: for small models."""
    lora_rank: int = bounded(16, minimum=1, maximum=1024)
    """Rank of the LoRA matrices; alpha is twice the rank."""
    device: Device = "auto"
    """auto takes CUDA where there is a GPU."""
    precision: Precision = "auto"
    """auto takes bf16 on a GPU that has it. On a CPU it takes fp32, or for a new run of more than 20 million parameters
    bf16, where the processor has matrix units for it (AMX). The choice is saved with the run."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    prompt_date: str | None = None
    """The day that a chat template is told which asks for one, such as "2026-03-05"; unset: the day the run begins."""

    @property
    def day(self) -> date:
        """The day that chat templates are told: today, where none is named."""
        return today() if self.prompt_date is None else day_of(self.prompt_date)


@dataclass(frozen=True)
class TrainingConfig(Closed):
    """REINFORCE++ (arXiv 2501.03262)."""

    steps: int = bounded(100, minimum=1)
    """Updates of the policy."""
    games_per_step: int = bounded(16, minimum=1)
    """Games played for each step."""
    assessor_samples_per_step: int | None = bounded(None, minimum=1)
    """Learn from exactly so many samples of the assessor in each step, so that runs with and without attackers can be
    compared. More games are played until there are enough; what is beyond is left out. Unset: from all there are."""
    learning_rate: float | None = bounded(None, above=0.0, maximum=1.0)
    """Step size of AdamW; unset: 5e-5 for LoRA, 1e-6 for full weights."""
    learning_rate_schedule: LearningRateSchedule = "constant"
    """"cosine" rises over the first 3 % of the steps and falls to a tenth along a cosine, as OpenRLHF does always."""
    kl_coefficient: float = bounded(0.01, minimum=0.0, maximum=1000.0)
    """beta: the weight of the KL penalty against the policy as the run started."""
    clip_epsilon: float = bounded(0.2, above=0.0, maximum=1.0)
    """The probability ratio is clipped to 1 +- this."""
    normalization: AdvantageNormalization = "role"
    """Normalise advantages over the tokens of each role (as Self-RedTeam) or of the whole batch (as OpenRLHF)."""
    loss_averaging: LossAveraging = "token-mean"
    """Mean over all action tokens (OpenRLHF's default), or over each sample's and then over samples (the paper's)."""
    minibatches_per_step: int = bounded(1, minimum=1)
    """Optimizer updates for each batch of games."""
    epochs_per_step: int = bounded(1, minimum=1)
    """Passes over each batch of games."""
    tokens_per_microbatch: int = bounded(2048, minimum=1)
    """Padded tokens in one forward and backward pass; a matter of memory, gradients don't depend on it."""
    demonstration_coefficient: float = bounded(0.0, minimum=0.0, maximum=1000.0)
    """Weight of a supervised loss on demonstrations, mixed into each update as in Self-RedTeam; 0: none."""
    demonstrations_per_step: int = bounded(8, minimum=1)
    """Demonstrations mixed into each update, where they have a weight."""
    max_gradient_norm: float = bounded(1.0, above=0.0)
    """Gradients are clipped to this norm."""
    weight_decay: float = bounded(0.0, minimum=0.0, maximum=100.0)
    """AdamW's weight decay."""
    seed: int = bounded(42, minimum=0)
    """Seed of everything random in the run."""


@dataclass(frozen=True)
class WarmStartConfig(Closed):
    """Supervised learning from demonstrations, before self-play. Its steps are its own; the rest of the file holds."""

    steps: int = bounded(200, minimum=1)
    """Updates of the policy."""
    demonstrations_per_step: int = bounded(32, minimum=1)
    """Demonstrations learnt from in each step, half of them of notes with an error."""
    attacker_share: float = bounded(0.5, minimum=0.0, maximum=1.0)
    """The share of demonstrations that show the attacker's revisions; the others show verdicts."""
    learning_rate: float | None = bounded(None, above=0.0, maximum=1.0)
    """Highest step size of AdamW, after a short rise and before a linear fall; unset: 2e-4 for LoRA, 1e-5 for full."""


@dataclass(frozen=True)
class CheckpointConfig(Closed):
    """What is saved, and when the policy is evaluated."""

    save_every: int = bounded(10, minimum=1)
    """Steps between checkpoints; the last step is always saved."""
    keep_last: int = bounded(2, minimum=1)
    """Checkpoints kept, besides the best one."""
    evaluate_every: int = bounded(10, minimum=1)
    """Steps between evaluations on held-out notes, where there are any."""
    evaluation_games: int = bounded(64, minimum=2)
    """Held-out games of one evaluation."""


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


@dataclass(frozen=True)
class RunConfig(Closed):
    """Everything that decides a run. The resolved file is saved in the run folder and reruns it."""

    data: DataConfig = field(default_factory=DataConfig)
    game: GameConfig = field(default_factory=GameConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    warmstart: WarmStartConfig = field(default_factory=WarmStartConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    opponents: OpponentConfig = field(default_factory=OpponentConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    @property
    def learning_rate(self) -> float:
        """The learning rate in force."""
        if self.training.learning_rate is not None:
            return self.training.learning_rate
        return 5e-5 if self.policy.adaptation == "lora" else 1e-6

    @property
    def warmstart_learning_rate(self) -> float:
        """The warm start's highest learning rate in force."""
        if self.warmstart.learning_rate is not None:
            return self.warmstart.learning_rate
        return 2e-4 if self.policy.adaptation == "lora" else 1e-5

    @property
    def resolved(self) -> RunConfig:
        """The same configuration with every default that depends on others written out, as a run saves it."""
        return replace(
            self,
            training=replace(self.training, learning_rate=self.learning_rate),
            warmstart=replace(self.warmstart, learning_rate=self.warmstart_learning_rate),
        )

    def begun_on(self, day: date) -> RunConfig:
        """The same configuration for a run that begins on ``day``: chat templates are told it, unless one is named."""
        if self.policy.prompt_date is not None:
            return self
        return replace(self, policy=replace(self.policy, prompt_date=day.isoformat()))


def problems_of(config: RunConfig) -> list[str]:
    """Every value that is out of bounds or contradicts another, as sentences naming the option."""
    return [*bound_problems(config, ""), *_combination_problems(config), *judge_problems(config.judge, "judge.")]


def judge_problems(config: JudgeConfig, path: str = "") -> Iterator[str]:
    """Values of ``config`` that contradict each other, as sentences naming the option under ``path``."""
    kind = config.fallback if config.kind == "hybrid" else config.kind
    if kind in ("openai", "remote"):
        example = "http://127.0.0.1:8000/v1" if kind == "openai" else "http://127.0.0.1:8000"
        if config.url is None:
            yield f"{path}url is not set; the judge {kind!r} needs the address of its server, e.g. {example}"
        elif not is_address(config.url):
            yield f"{path}url is {config.url!r}, expected an address such as {example}"


def _opponent_server_problems(config: RunConfig) -> Iterator[str]:
    url = config.opponents.url
    if url is None:
        return
    if not is_address(url):
        yield f"opponents.url is {url!r}, expected an address such as http://127.0.0.1:8000/v1"
    if config.opponents.fixed is None:
        yield "opponents.url is the server of opponents.fixed, which is not set: give the server's name of its model"
    if config.engine.kind != "openrlhf":
        yield (
            "opponents.url is for --engine openrlhf: elsewhere unset it, and opponents.fixed is loaded by this program "
            "itself"
        )


def _combination_problems(config: RunConfig) -> Iterator[str]:
    if config.game.no_attacker_turn and config.game.no_defender_turn:
        yield "game.no_attacker_turn and game.no_defender_turn together leave nobody to learn: set one of them to false"
    if config.policy.prompt_date is not None:
        try:
            day_of(config.policy.prompt_date)
        except ValueError as error:
            yield f"policy.prompt_date: {error}"
    if not all(map(error_type_key, config.game.error_types)):
        yield "game.error_types: a name is empty; leave the list empty to play all types"
    if config.policy.roles == "separate" and config.training.normalization == "batch":
        yield (
            'policy.roles is "separate", so each role learns only from its own samples: set training.normalization to '
            '"role"'
        )
    if config.game.assessor == "correct" and config.rollout.max_verdict_tokens < FEWEST_TOKENS_OF_A_CORRECTION:
        yield (
            f"rollout.max_verdict_tokens is {config.rollout.max_verdict_tokens}, too few for the corrected sentence "
            f'that game.assessor = "correct" asks for: set it to at least {FEWEST_TOKENS_OF_A_CORRECTION}, better 128'
        )
    if config.opponents.are_there and config.game.no_attacker_turn:
        yield "opponents play adversarial games, and game.no_attacker_turn plays none: leave one of them out"
    yield from _opponent_server_problems(config)
    if config.opponents.add_every > 0 and config.game.no_defender_turn:
        yield (
            "game.no_defender_turn trains against one frozen assessor: set opponents.add_every to 0, and name the "
            "assessor in opponents.fixed if it is not the policy as the run starts"
        )
    if config.training.assessor_samples_per_step is not None and config.game.no_defender_turn:
        yield "with game.no_defender_turn the assessor has no samples: unset training.assessor_samples_per_step"
    if config.training.minibatches_per_step > config.training.games_per_step:
        yield (
            f"training.minibatches_per_step is {config.training.minibatches_per_step}, "
            f"more than training.games_per_step ({config.training.games_per_step})"
        )
