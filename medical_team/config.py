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
from .engine_config import EngineConfig, TrackingConfig
from .error_types import error_type_key
from .game_config import (
    GameConfig,
    OpponentConfig,
    Precision,
    PromptStyle,
    RewardCoefficients,
    RolloutConfig,
    RolloutEngine,
    bound_problems,
    bounded,
)
from .records import Closed

__all__ = ["GameConfig", "Precision", "PromptStyle", "RewardCoefficients", "RolloutConfig", "RolloutEngine"]
"""Sections that the game itself needs, and which are imported from here with all others."""

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

MEDGEMMA_MODEL = "google/medgemma-4b-it"

AdvantageNormalization = Literal["role", "batch"]
LossAveraging = Literal["token-mean", "seq-mean-token-mean"]
LearningRateSchedule = Literal["constant", "cosine"]
Adaptation = Literal["lora", "full"]
Roles = Literal["shared", "separate"]
Device = Literal["auto", "cpu", "cuda"]
JudgeEngine = Literal["transformers", "vllm"]
JudgeKind = Literal["reference", "model", "openai", "hybrid", "remote"]
JudgeFallback = Literal["model", "openai", "remote"]


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
class JudgeConfig(Closed):
    """Who says who was right."""

    kind: JudgeKind = "reference"
    """"reference" knows the data set's own notes and abstains where it can't know; "model" asks a language model in
    this process, "openai" one behind an OpenAI-compatible server, "remote" a judge service; "hybrid" asks the reference
    judge first, and `fallback` what it can't tell."""
    fallback: JudgeFallback = "model"
    """The second judge of "hybrid"."""
    model: str = MEDGEMMA_MODEL
    """The judging model: a Hugging Face name or folder for "model", the server's name of it for "openai"."""
    url: str | None = None
    """The server: with "openai" the base of its API (http://127.0.0.1:8000/v1), with "remote" the judge service."""
    token_variable: str = "MEDICAL_TEAM_JUDGE_TOKEN"
    """The environment variable with the server's bearer token, where it wants one. The token itself is never saved."""
    device: Device = "auto"
    """Where "model" computes; auto takes CUDA where there is a GPU."""
    precision: Precision = "auto"
    """What "model" computes in; auto takes bf16 on a GPU that has it, else fp32."""
    engine: JudgeEngine = "transformers"
    """What reads the questions to "model": transformers, or vllm where it is installed (docs/vllm.md)."""
    tokens_per_batch: int = bounded(8192, minimum=1)
    """Padded tokens in one forward pass of "model" with transformers; a matter of memory."""
    max_prompt_tokens: int = bounded(4096, minimum=16)
    """Longest question to "model"; a note that makes a longer one is not ruled on."""
    votes: int = bounded(4, minimum=1, maximum=6)
    """Wordings of the question that are asked where the first answer is unsure; their mean decides. 1: no vote."""
    margin: float = bounded(1.0, minimum=0.0, maximum=100.0)
    """An answer is unsure when its log-probability is less than this above the other's (nats). 100: always vote."""
    minimum_confidence: float = bounded(0.5, minimum=0.5, maximum=1.0)
    """Below this confidence a model judge abstains, which voids the game."""
    ask_plausibility: bool = False
    """Also ask a model whether the note is plausible: one more question a note, which no reward depends on."""
    use_cache: bool = True
    """Keep the findings of "model" and "openai" on disk, so that resuming and re-judging ask nothing twice."""
    cache: str | None = None
    """Folder of these findings; unset: medical-team/judge in the user's cache. Only hashes of notes are kept."""
    concurrency: int = bounded(16, minimum=1, maximum=1024)
    """Requests to a server at a time."""
    queries_per_request: int = bounded(1024, minimum=1, maximum=65536)
    """Games in one request to "remote"."""
    timeout_seconds: float = bounded(60.0, above=0.0, maximum=86400.0)
    """Longest wait for one answer of a server."""
    patience_seconds: float = bounded(600.0, minimum=0.0, maximum=604800.0)
    """How long a server that is away or overloaded is waited for before its games are void."""


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
        elif not config.url.lower().startswith(("http://", "https://")):
            yield f"{path}url is {config.url!r}, expected an address that begins with http:// or https://"


def _opponent_server_problems(config: RunConfig) -> Iterator[str]:
    url = config.opponents.url
    if url is None:
        return
    if not url.lower().startswith(("http://", "https://")):
        yield f"opponents.url is {url!r}, expected an address that begins with http:// or https://"
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
