"""A model's folder in words that transformers 4 understands too, which the Self-RedTeam fork has (4.50).

transformers 5 says in one place what 4 looks for in several, above all the base of rotary positions. Version 4 passes
over what it doesn't know and takes its own default: it opens such a folder without a word, as another model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import PolicyError
from .model_folder import CONFIG_FILE, TOKENIZER_CONFIG_FILE, read_json_object

_OWN_PLACES = ("rope_theta", "partial_rotary_factor")
"""What transformers 4 looks for beside ``rope_scaling``, not in it."""


def write_for_transformers_4(folder: Path) -> None:
    """Add to the configuration of the model in ``folder`` what transformers 4 looks for; nothing is taken away.

    Raises:
        PolicyError: its rotary positions can't be said in these words.
    """
    path = folder / CONFIG_FILE
    config = read_json_object(path)
    if isinstance(dtype := config.get("dtype"), str):
        config["torch_dtype"] = dtype
    config |= _rotary_words(config, folder)
    _write(path, config)


def write_tokenizer_for_transformers_4(folder: Path) -> None:
    """Write the tokenizer's configuration in ``folder`` in words that both versions read."""
    path = folder / TOKENIZER_CONFIG_FILE
    content = read_json_object(path)
    if content.get("tokenizer_class") == "TokenizersBackend":
        content["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(content.get("extra_special_tokens"), list):
        content["additional_special_tokens"] = content.pop("extra_special_tokens")
    _write(path, content)


def _rotary_words(config: Mapping[str, object], folder: Path) -> dict[str, object]:
    parameters = config.get("rope_parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict) or any(isinstance(value, dict) for value in parameters.values()):
        raise PolicyError(
            f"{folder} can't be written for transformers 4: its layers have rotary positions of several kinds "
            "(rope_parameters in config.json), which that version says in a way of each architecture's own. Leave "
            "--transformers-4 out, and take upstream OpenRLHF"
        )
    words: dict[str, object] = {name: parameters[name] for name in _OWN_PLACES if name in parameters}
    scaling = {name: value for name, value in parameters.items() if name not in _OWN_PLACES}
    if scaling.get("rope_type", "default") != "default":
        words["rope_scaling"] = scaling
    return words


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
