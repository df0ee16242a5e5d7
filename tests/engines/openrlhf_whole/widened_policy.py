"""The demo policy with wider attention heads: the same function, which vLLM can compute on a CPU.

vLLM's attention on a CPU knows heads of 32 numbers and more, and the demo policy has 24. The new places hold zeros.
Rotary positions turn pairs of numbers that lie half a head apart, by angles that depend on the pair and the width, and
scores are divided by the root of the width: both are made up for.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

import medical_team
from medical_team.policy.transformers_inside import from_pretrained

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


DEMO_POLICY = Path(medical_team.__file__).parent / "policy" / "demo"


def save_widened_policy(folder: Path, width: int = 32) -> Path:
    """Write the demo policy with heads of ``width`` into ``folder``, weights in bf16 as OpenRLHF trains them."""
    old = from_pretrained(AutoModelForCausalLM, DEMO_POLICY, dtype=torch.float32)
    new = widened(old, width)
    new.to(torch.bfloat16).save_pretrained(folder)
    from_pretrained(AutoTokenizer, DEMO_POLICY).save_pretrained(folder)
    return folder


def widened(old: LlamaForCausalLM, width: int) -> Any:
    """A model that computes what ``old`` computes, with heads of ``width``."""
    settings = old.config.to_dict()
    narrow, heads = settings["head_dim"], settings["num_attention_heads"]
    rope = dict(settings["rope_parameters"])
    rope["rope_theta"] = rope["rope_theta"] ** (width / narrow)
    settings |= {"head_dim": width, "rope_parameters": rope, "dtype": "float32"}
    automatic: Any = AutoModelForCausalLM
    new = automatic.from_config(LlamaConfig(**settings))
    places = torch.tensor(
        [
            head * width + half * (width // 2) + number
            for head in range(heads)
            for half in (0, 1)
            for number in range(narrow // 2)
        ]
    )
    weights = dict(old.state_dict())
    for name, value in old.state_dict().items():
        kind = name.split(".")[-2]
        if kind in ("q_proj", "k_proj", "v_proj"):
            wide = torch.zeros(heads * width, value.shape[1])
            wide[places] = value * math.sqrt(width / narrow) if kind == "q_proj" else value
            weights[name] = wide
        elif kind == "o_proj":
            wide = torch.zeros(value.shape[0], heads * width)
            wide[:, places] = value
            weights[name] = wide
    new.load_state_dict(weights)
    return new.eval()
