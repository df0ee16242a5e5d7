"""The rules of the game, whom the policy plays besides itself and who judges, as sections of a configuration. The
bounds of values are written beside each field, and checked all at once."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, cast

from .records import Closed


def bounded(
    default: float | None, minimum: float | None = None, maximum: float | None = None, *, above: float | None = None
) -> Any:
    """A field with bounds: ``minimum`` and ``maximum`` are allowed values, ``above`` is not."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum, "above": above})


def _text_problems(name: str, text: object) -> Iterator[str]:
    if not isinstance(text, str):
        return
    if any(unicodedata.category(character) == "Cc" for character in text):
        yield f"{name} is {text!a}, expected a text without control characters"
    elif any(unicodedata.category(character) == "Cs" for character in text):
        yield f"{name} is {text!a}, which is no UTF-8: a run could not be saved with it. Choose another name"


def bound_problems(section: Any, path: str) -> Iterator[str]:
    """Every number in ``section`` and the sections in it that is out of bounds, as sentences naming the option."""
    for item in fields(section):
        name, value = f"{path}{item.name}", getattr(section, item.name)
        if is_dataclass(value):
            yield from bound_problems(value, f"{name}.")
            continue
        for text in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
            yield from _text_problems(name, text)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} is {value}, expected a finite number"
            continue
        minimum, maximum, above = (item.metadata.get(bound) for bound in ("minimum", "maximum", "above"))
        if minimum is not None and value < minimum:
            yield f"{name} is {value}, expected at least {minimum}"
        if above is not None and value <= above:
            yield f"{name} is {value}, expected more than {above}"
        if maximum is not None and value > maximum:
            yield f"{name} is {value}, expected at most {maximum}"


RewardType = Literal["medical_general_sum", "medical_zero_sum"]
PromptStyle = Literal["full", "short", "terse"]
Revision = Literal["note", "sentences"]
Assessor = Literal["verdict", "locate", "correct"]
Undecidable = Literal["attacker_loses", "void"]
RolloutEngine = Literal["auto", "transformers", "vllm"]
Precision = Literal["auto", "fp32", "bf16"]
RolloutCorrection = Literal["auto", "none", "truncated"]
Device = Literal["auto", "cpu", "cuda"]
JudgeEngine = Literal["transformers", "vllm"]
JudgeKind = Literal["reference", "model", "openai", "hybrid", "remote"]
JudgeFallback = Literal["model", "openai", "remote"]

MEDGEMMA_MODEL = "google/medgemma-4b-it"


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
    tells_sentence_at_stake: bool = False
    """Tell an attacker that rewrites sentences which one holds the error, or held it before it was put right. It
    planted that error, so it knows; without being told, small models hardly ever touch that sentence."""
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
    precision: Precision = "auto"
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


OpponentSides = Literal["both", "attacker", "assessor"]
OpponentDrawing = Literal["uniform", "pfsp"]


@dataclass(frozen=True)
class OpponentConfig(Closed):
    """Past selves and other frozen opponents, who play one side of some games. Only the side that lives learns."""

    add_every: int = bounded(0, minimum=0)
    """Steps after which the policy of that moment joins the pool, which begins with the policy as the run started.
    0: no pool."""
    size: int = bounded(8, minimum=2, maximum=64)
    """Past selves in the pool. Beyond it they are thinned, the older ones the more; the first one stays."""
    share: float = bounded(0.5, minimum=0.0, maximum=1.0)
    """The share of the adversarial games in which an opponent plays one side, if there is any opponent."""
    sides: OpponentSides = "both"
    """Which side opponents play: either one, by a coin, or always the attacker or the assessor."""
    draw: OpponentDrawing = "uniform"
    """Which opponent plays: each one as often, or (pfsp) more often whoever has beaten the policy more of late."""
    fixed: str | None = None
    """A model, or a folder, that belongs to the opponents all along and never learns: a static attacker, for example.
    With game.no_defender_turn it is the assessor of all games."""
    url: str | None = None
    """An OpenAI-compatible server that has the model `fixed`, under this name: the base of its API
    (http://127.0.0.1:8001/v1). For OpenRLHF, whose rollout engines hold no model but the one that learns."""
    token_variable: str = "MEDICAL_TEAM_OPPONENT_TOKEN"
    """The environment variable with that server's bearer token, where it wants one. The token itself is never saved."""

    @property
    def are_there(self) -> bool:
        """Whether anybody but the policy itself plays."""
        return self.add_every > 0 or self.fixed is not None


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
