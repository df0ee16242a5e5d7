"""The model card that goes beside trained weights."""

from __future__ import annotations

from ..config import SAMPLE_DATA, RunConfig

_CARD = """\
---
{front_matter}tags:
- clinical-nlp
- red-teaming
- self-play
- research-only
---

# {base} after {steps} steps of medical self-red-teaming

**Research only, not for clinical use.** This model was trained by self-play to rewrite clinical notes so that errors
hide (attacker) and to say whether a note contains an error (assessor). It must not be used for decisions about
patients, and what it writes as an attacker is wrong on purpose.

## What it was trained from

- Base model: {base}. Its licence applies to this model too.
- Data: {data}
- Judge: {judge}. What the judge could not decide gave no reward.

## How

REINFORCE++ (arXiv 2501.03262) with one shared policy for both roles, as in Self-RedTeam (arXiv 2506.07468).

| setting | value |
|---|---|
{settings}

Every game, with its labels and rewards, is in the `games.jsonl` of the run that wrote this card.
"""


def model_card(config: RunConfig, completed_steps: int) -> str:
    """A Markdown model card for the state after ``completed_steps``."""
    settings = {
        "completed steps": completed_steps,
        "games a step": config.training.games_per_step,
        "adaptation": config.policy.adaptation + (f", rank {config.policy.lora_rank}" if _is_lora(config) else ""),
        "learning rate": config.learning_rate,
        "KL coefficient": config.training.kl_coefficient,
        "advantage normalisation": config.training.normalization,
        "loss averaging": config.training.loss_averaging,
        "reward": config.game.reward_type,
        "temperature": config.sampling.temperature,
        "thinking": "off" if config.game.direct_chat_no_cot else "on",
        "seed": config.training.seed,
    }
    return _CARD.format(
        front_matter=_front_matter(config),
        base=config.policy.model,
        steps=completed_steps,
        data=_data_sentence(config),
        judge=config.judge.kind,
        settings="\n".join(f"| {name} | {value} |" for name, value in settings.items()),
    )


def _is_lora(config: RunConfig) -> bool:
    return config.policy.adaptation == "lora"


def _front_matter(config: RunConfig) -> str:
    # A local folder is no name that a model hub could resolve.
    is_hub_name = config.policy.model.count("/") == 1 and not config.policy.model.startswith((".", "/", "~"))
    return f"base_model: {config.policy.model}\n" if is_hub_name else ""


def _data_sentence(config: RunConfig) -> str:
    if config.data.train == SAMPLE_DATA:
        return "the synthetic notes that ship with medical-team."
    return (
        "the records in the run's `data/train.jsonl`. Notes of MEDEC-MS are licensed CC BY 4.0, attribution required."
    )
