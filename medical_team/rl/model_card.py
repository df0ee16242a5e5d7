"""The model card that goes beside trained weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..config import RunConfig
from ..data.card import licences
from ..metrics.licences import judge_licence, model_licence
from ..model_names import model_title, repository_of
from ..records import Source
from ..runs.folder import RunKind

_CARD = """\
---
{front_matter}tags:
- clinical-nlp
- red-teaming
- self-play
- research-only
---

# {base} after {steps} steps of {what}

**Research only, not for clinical use.** This model was trained {by} to rewrite clinical notes so that errors
hide (attacker) and to say whether a note contains an error (assessor). It must not be used for decisions about
patients, and what it writes as an attacker is wrong on purpose.

## What it was trained from

- Base model: {base}. Its licence applies to this model too: {base_licence}.
- Data: {data}
- {judge} Licence: {judge_licence}.

## How

{method}

| setting | value |
|---|---|
{settings}
{outcome}"""

_OUTCOME = """
## What came of it

{tables}

`medical-team report` tells more of the run that wrote this card, by the same figures.
"""

_SELF_PLAY = {
    "what": "medical self-red-teaming",
    "by": "by self-play",
    "judge": "Judge: {judge}. What the judge could not decide gave no reward.",
    "method": (
        "REINFORCE++ (arXiv 2501.03262), as in Self-RedTeam (arXiv 2506.07468). {roles}\n"
        "Every game, with its labels and rewards, is in the `games.jsonl` of the run that wrote this card."
    ),
}

_ROLES = {
    "shared": "One shared policy plays both roles.",
    "separate": (
        "Each role has a policy of its own, from the same start. The folder itself is the assessor; the attacker is\n"
        "in its folder `attacker`."
    ),
}

_WARM_START = {
    "what": "a warm start for medical self-red-teaming",
    "by": "on demonstrations",
    "judge": "Judge: reference. It accepted every demonstrated revision.",
    "method": "Supervised learning from demonstrations of verdicts and of revisions. {roles}",
}


def model_card(
    config: RunConfig,
    completed_steps: int,
    kind: RunKind = "self-play",
    *,
    sources: Iterable[Source] = (),
    tables: Sequence[str] = (),
    metadata: str = "",
) -> str:
    """A Markdown model card for the state after ``completed_steps`` of a run of ``kind``.

    Args:
        sources: where the notes that it was trained on come from.
        tables: Markdown tables of what came of it; empty ones are left out.
        metadata: further lines of the front matter.
    """
    is_self_play = kind == "self-play"
    settings = _self_play_settings(config) if is_self_play else _warm_start_settings(config)
    settings = {"completed steps": completed_steps, **settings, **_shared_settings(config)}
    texts = _SELF_PLAY if is_self_play else _WARM_START
    return _CARD.format(
        front_matter=_front_matter(config) + metadata,
        base=model_title(config.policy.model),
        steps=completed_steps,
        base_licence=model_licence(config.policy.model),
        judge_licence=judge_licence(config.judge),
        data=" ".join(licences(sources)) or "the records in the run's `data/train.jsonl`.",
        what=texts["what"],
        by=texts["by"],
        judge=texts["judge"].format(judge=config.judge.kind),
        method=texts["method"].format(roles=_ROLES[config.policy.roles]),
        settings="\n".join(f"| {name} | {value} |" for name, value in settings.items()),
        outcome=_OUTCOME.format(tables="\n\n".join(shown)) if (shown := [table for table in tables if table]) else "",
    )


def _self_play_settings(config: RunConfig) -> dict[str, object]:
    return {
        "games a step": config.training.games_per_step,
        "learning rate": _learning_rate(config),
        "KL coefficient": config.training.kl_coefficient,
        "advantage normalisation": _normalisation(config),
        "loss averaging": config.training.loss_averaging,
        "weight of demonstrations": config.training.demonstration_coefficient,
        "reward": config.game.reward_type,
        "temperature": config.rollout.temperature,
    }


def _learning_rate(config: RunConfig) -> str:
    if config.engine.kind != "openrlhf":
        return f"{config.learning_rate:g}"
    return (
        f"{config.learning_rate:g} at most, by OpenRLHF's schedule: a rise over 3 % of the steps from 0, then a cosine"
    )


def _normalisation(config: RunConfig) -> str:
    # OpenRLHF has no way to normalise by role, whatever the configuration asks for.
    return "batch" if config.engine.kind == "openrlhf" else config.training.normalization


def _warm_start_settings(config: RunConfig) -> dict[str, object]:
    return {
        "demonstrations a step": config.warmstart.demonstrations_per_step,
        "of them for the attacker": config.warmstart.attacker_share,
        "highest learning rate": config.warmstart_learning_rate,
    }


def _shared_settings(config: RunConfig) -> dict[str, object]:
    return {
        "adaptation": config.policy.adaptation + (f", rank {config.policy.lora_rank}" if _is_lora(config) else ""),
        "thinking": "on" if config.game.thinking else "off",
        "seed": config.training.seed,
        **({"day told to the chat template": config.policy.prompt_date} if config.policy.prompt_date else {}),
    }


def _is_lora(config: RunConfig) -> bool:
    return config.policy.adaptation == "lora"


def _front_matter(config: RunConfig) -> str:
    repository = repository_of(config.policy.model)
    return f"base_model: {repository}\n" if repository else ""
