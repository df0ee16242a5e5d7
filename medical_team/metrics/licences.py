"""Licences of the models that a run is made from, as far as they are known here."""

from __future__ import annotations

from ..config import DEMO_MODEL, MEDGEMMA_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL, JudgeConfig
from ..model_names import model_title

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
