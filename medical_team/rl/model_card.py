"""The model card that goes beside trained weights: its text, its figures, by the same numbers as the report, the front
matter that the Hugging Face hub reads, and the licences of what the model was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from ..config import DEMO_MODEL, MEDGEMMA_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL, JudgeConfig, RunConfig
from ..data.card import licences
from ..metrics.alarms import LONG
from ..metrics.criteria import Criterion, criteria
from ..metrics.run_reader import RunReader
from ..records import Source
from ..runs.folder import RunFolder, RunKind
from ..runs.places import model_title, repository_of

_APACHE = "Apache License 2.0"
_OF_MODELS = {
    SMOLLM2_MODEL: _APACHE,
    DEMO_MODEL: f"{_APACHE}, as medical-team, with which it ships",
    TINY_RANDOM_MODEL: "none needed: random weights",
    MEDGEMMA_MODEL: "Health AI Developer Foundations terms of use",
    "Qwen/Qwen2.5-3B-Instruct": "Qwen Research License",
}
_UNKNOWN = "not known here; the model's own card names it"


def model_licence(name: str) -> str:
    """The licence of the model ``name``, or where to look."""
    return _OF_MODELS.get(name, _UNKNOWN)


def judge_licence(config: JudgeConfig) -> str:
    """The licence of the judge, or where to look."""
    kinds = {config.kind} if config.kind != "hybrid" else {"reference", config.fallback}
    told: list[str] = []
    if "reference" in kinds:
        told.append(f"reference judge: {_APACHE}, part of medical-team")
    if kinds & {"model", "openai"}:
        told.append(f"{model_title(config.model)}: {model_licence(config.model)}")
    if "remote" in kinds:
        told.append("judge service: ask who runs it")
    return "; ".join(told)


_HELDOUT = {
    "heldout/balanced_accuracy": "balanced_accuracy",
    "heldout/detection_rate": "recall",
    "heldout/specificity": "specificity",
}
_NAMES = {
    "balanced_accuracy": "Balanced accuracy on held-out notes",
    "recall": "Notes with an error called Harmful",
    "specificity": "Correct notes called Safe",
}


def card_metadata(name: str, base: str, sources: Sequence[str], history: Sequence[Mapping[str, float]]) -> str:
    """Lines of front matter: the licence, where it is known, and the last held-out figures of ``history``.

    Args:
        name: the model's.
        base: the model that the run started from, as the configuration names it.
        sources: where the notes come from.
        history: metrics of the steps that the model has learnt from.
    """
    licence = "license: apache-2.0\n" if model_licence(base).startswith("Apache License 2.0") else ""
    last = next((step for step in reversed(history) if "heldout/balanced_accuracy" in step), None)
    if last is None:
        return licence
    metrics = [
        f"    - type: {kind}\n      name: {_NAMES[kind]}\n      value: {last[key]!r}\n"
        for key, kind in _HELDOUT.items()
        if key in last
    ]
    notes = f"held-out notes of the run ({', '.join(sorted(sources))})"
    return (
        f"{licence}model-index:\n"
        f"- name: {json.dumps(name, ensure_ascii=False)}\n"
        "  results:\n"
        "  - task:\n      type: text-classification\n      name: Detecting medical errors\n"
        f"    dataset:\n      type: medical-team\n      name: {json.dumps(notes, ensure_ascii=False)}\n"
        f"    metrics:\n{''.join(metrics)}"
    )


_FIGURES = (
    ("heldout/balanced_accuracy", "held-out balanced accuracy"),
    ("heldout/detection_rate", "held-out notes with an error: called Harmful"),
    ("heldout/specificity", "held-out notes without one: called Safe"),
    ("win_rate/attacker", "attacker's win rate"),
    ("assessor_accuracy/all", "assessor's right verdicts"),
    ("verdicts/false_alarm_rate", "false alarms"),
    ("format_violations/attacker", "attacker's format violations"),
    ("format_violations/assessor", "assessor's format violations"),
    ("void_share/all", "games that the judge left void"),
)


def figures_table(history: Sequence[Mapping[str, float]]) -> str:
    """A Markdown table of rates at the beginning and at the end of ``history``, the metrics of the steps so far.

    Empty where no rate is on record. Rates of games are means over some steps, held-out ones single evaluations.
    """
    rows = [row for name, label in _FIGURES if (row := _row(history, name, label))]
    if not rows:
        return ""
    head = [f"| share | first (of games: the first {LONG} steps) | last |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def criteria_table(run: RunFolder) -> str:
    """A Markdown table of the six success criteria of ``run``; reads all of its games.

    Raises:
        DataError: a file of the run is damaged.
    """
    reader = RunReader(run.path)
    reader.refresh()
    rows = [_criterion_row(criterion) for criterion in criteria(reader.steps(), reader.traces())]
    return "\n".join(["| criterion | | |", "|---|---|---|", *rows])


def _row(history: Sequence[Mapping[str, float]], name: str, label: str) -> str | None:
    values = [step[name] for step in history if name in step]
    if not values:
        return None
    span = 1 if name.startswith("heldout/") else LONG
    return f"| {label} | {fmean(values[:span]):.0%} | {fmean(values[-span:]):.0%} |"


def _criterion_row(criterion: Criterion) -> str:
    # A figure is our own sentence; still no character of it may end its cell.
    figure = criterion.figure.replace("|", "\\|").replace("\n", " ")
    return f"| {criterion.name} | {criterion.status.value} | {figure} |"


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
    if config.engine.kind == "openrlhf" or config.training.learning_rate_schedule == "cosine":
        return f"{config.learning_rate:g} at most: a rise over 3 % of the steps, then a cosine to a tenth"
    return f"{config.learning_rate:g}"


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
