"""What a model card says of a run for programs: the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from .licences import model_licence

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
