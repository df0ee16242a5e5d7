"""The sections of a configuration that playing a game needs: its rules, and how replies are drawn.

Other engines import this where nothing but Python 3.10 and its standard library is installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .config_bounds import bounded
from .records import Closed

RewardType = Literal["medical_general_sum", "medical_zero_sum"]
PromptStyle = Literal["full", "short", "terse"]
Revision = Literal["note", "sentences"]
Assessor = Literal["verdict", "locate", "correct"]
Undecidable = Literal["attacker_loses", "void"]
RolloutEngine = Literal["auto", "transformers", "vllm"]
RolloutPrecision = Literal["auto", "fp32", "bf16"]
RolloutCorrection = Literal["auto", "none", "truncated"]


@dataclass(frozen=True)
class RewardCoefficients(Closed):
    """What each reward term pays. All defaults but ``unfaithful`` are Self-RedTeam's (arXiv 2506.07468)."""

    core: float = bounded(1.0, minimum=0.0, maximum=1000.0)
    """The winner of a decided game gets +core, the loser -core."""
    faithful: float = bounded(0.5, minimum=-1000.0, maximum=1000.0)
    """Paid to an attacker whose rewritten note keeps what the category asks for."""
    unfaithful: float = bounded(-2.0, minimum=-1000.0, maximum=1000.0)
    """Paid to an attacker whose note doesn't. Above -1.5 an unfaithful win pays more than a faithful loss;
    Self-RedTeam's is -0.5."""
    format_kept: float = bounded(1.0, minimum=-1000.0, maximum=1000.0)
    """Paid for a reply that keeps the thinking format."""
    format_violated: float = bounded(-1.0, minimum=-1000.0, maximum=1000.0)
    """Paid for a reply that doesn't."""
    located: float = bounded(0.5, minimum=-1000.0, maximum=1000.0)
    """Paid to an assessor that finds an error and names its sentence, where it is asked to."""
    mislocated: float = bounded(0.0, minimum=-1000.0, maximum=1000.0)
    """Paid to an assessor that finds an error and names another sentence."""
    corrected: float = bounded(0.5, minimum=-1000.0, maximum=1000.0)
    """Paid to an assessor that finds an error and puts it right, where it is asked to and the judge agrees."""
    miscorrected: float = bounded(0.0, minimum=-1000.0, maximum=1000.0)
    """Paid to an assessor that finds an error and leaves one, or corrects another sentence."""


SELF_REDTEAM_COEFFICIENTS = RewardCoefficients(unfaithful=-0.5)
"""What the rewards of Self-RedTeam and of its fork pay."""


@dataclass(frozen=True)
class GameConfig(Closed):
    """The rules of the game."""

    max_turns: int = bounded(2, minimum=2, maximum=2)
    """Turns in a game: the attacker's, then the assessor's."""
    reward_type: RewardType = "medical_general_sum"
    """medical_general_sum adds the revision and format terms to the core; medical_zero_sum is only the core."""
    remove_ties: bool = True
    """Drop the attacker's sample of a game in which the assessor gave no verdict."""
    revision: Revision = "note"
    """How the attacker rewrites: "note", the whole of it, or "sentences", single ones, each by its number, which models
    can do that are too small to copy a note."""
    max_edits: int = bounded(2, minimum=1, maximum=16)
    """Sentences that the attacker may rewrite where it rewrites sentences."""
    assessor: Assessor = "verdict"
    """What the assessor says: "verdict", Safe or Harmful; "locate", with Harmful also the number of the wrong sentence,
    which the note then shows; "correct", also that sentence put right, which rollout.max_verdict_tokens must allow."""
    undecidable: Undecidable = "attacker_loses"
    """What a revision is on which a working judge abstains: the attacker's failure, or a void game as in Self-RedTeam.
    A judge's own failure is void in any case."""
    error_types: tuple[str, ...] = ()
    """Play only cases of these error types, by any name that the records have, whatever its case, spaces and hyphens;
    empty: all. "dosage" and "contraindication" mean pharmacotherapy where no type is called so."""
    no_attacker_turn: bool = False
    """Ablation: no revisions, every game is vanilla, only the assessor learns."""
    no_defender_turn: bool = False
    """Ablation: only the attacker learns, against the assessor of the frozen reference policy."""
    thinking: bool = False
    """Players think first, in <think>, and must keep that format. Off: the whole reply is the public answer."""
    prompt_style: PromptStyle = "short"
    """"full" explains the task at length, "short" is for small models, "terse" for models trained on demonstrations."""
    coefficients: RewardCoefficients = field(default_factory=RewardCoefficients)


@dataclass(frozen=True)
class RolloutConfig(Closed):
    """How replies are drawn."""

    engine: RolloutEngine = "auto"
    """What draws them: "transformers", which is built in and takes every model, or "vllm", where it is installed
    (docs/vllm.md). auto takes vLLM on a GPU where it starts with the model, and the built-in one on a CPU."""
    precision: RolloutPrecision = "auto"
    """What vLLM computes in; auto takes what the policy computes in."""
    correction: RolloutCorrection = "auto"
    """"truncated" weighs each token's loss by how much likelier the learner finds it than the engine did that drew it,
    at most 2; "none" doesn't; auto does where the engine's precision is not the learner's."""
    gpu_memory_share: float = bounded(0.4, above=0.0, maximum=0.95)
    """The share of a GPU's memory that vLLM takes, for weights and cache; it is given back while the policy learns."""
    temperature: float = bounded(0.7, minimum=0.01, maximum=5.0)
    """Temperature of sampling; log-probs are taken at the same temperature. At 1.0 the default model talks nonsense."""
    max_prompt_tokens: int = bounded(1024, minimum=16)
    """Longest prompt; a game whose prompt is longer is refused when the run starts."""
    max_revision_tokens: int = bounded(384, minimum=1)
    """Longest reply of the attacker."""
    max_verdict_tokens: int = bounded(16, minimum=1)
    """Longest reply of the assessor. Raise it (e.g. to 512) when the assessor thinks first."""
    batch_size: int = bounded(16, minimum=1)
    """Replies drawn together; a matter of memory. For each seed the replies don't depend on it, rounding aside."""
