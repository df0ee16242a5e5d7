"""What in ``engine.extra_arguments`` OpenRLHF 0.11.2 takes, and what then ends the run or trains something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..contradictions import value_of

_LORA = "and OpenRLHF can't send an adapter's weights to its rollout engines (OpenRLHF issue 1349)"
_SIBLINGS = (
    "which compares the samples of one prompt, and those are the two roles of a game: leave it at reinforce; "
    "engine.role_baselines subtracts each role's own mean"
)
_COMPARING_ESTIMATORS = ("rloo", "reinforce_baseline", "group_norm", "dr_grpo")


def passed_on_problems(arguments: tuple[str, ...]) -> Iterator[str]:
    """What in ``arguments``, which come last on OpenRLHF's command line, can't work with our games."""
    if (rank := value_of(arguments, "--ds.lora.rank")) not in (None, "0"):
        yield f"engine.extra_arguments has --ds.lora.rank {rank}, {_LORA}: leave it out, and train the full weights"
    if (backend := value_of(arguments, "--vllm.sync_backend")) not in (None, "nccl"):
        yield (
            f"engine.extra_arguments has --vllm.sync_backend {backend}, and OpenRLHF 0.11.2 sends weights to its "
            "rollout engines by nothing but nccl: leave it out"
        )
    if (estimator := value_of(arguments, "--algo.advantage.estimator")) in _COMPARING_ESTIMATORS:
        yield f"engine.extra_arguments has --algo.advantage.estimator {estimator}, {_SIBLINGS}"
    if _is_among("--algo.dynamic_filtering_enable", arguments):
        yield (
            "engine.extra_arguments has --algo.dynamic_filtering_enable, which keeps games by the mean of both roles' "
            "rewards, zero in every decided adversarial one: leave it out"
        )
    samples = value_of(arguments, "--rollout.n_samples_per_prompt")
    if samples is not None and samples.isdecimal() and int(samples) % 2:
        yield (
            f"engine.extra_arguments has --rollout.n_samples_per_prompt {samples}, and a game is two samples: leave it "
            "out, or name an even number"
        )


def _is_among(option: str, arguments: Iterable[str]) -> bool:
    return any(argument.partition("=")[0] == option for argument in arguments)
