from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from builders import a_pair
from chat_templates import DAY
from medical_team.policy.chat import encode_prompt
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.policy.transformers_inside import quiet_transformers
from medical_team.prompts import ANSWER_PREFIX, assessor_prompt

STEPS = 400


@pytest.fixture(scope="session")
def talking_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that knows the game's words and nothing else.

    It says Safe or Harmful to whatever it is asked, each about half of the time, so that games are decided both ways
    and there is something to learn from. A random model's bytes never make a verdict.
    """
    folder = tmp_path_factory.mktemp("models") / "talking"
    model, tokenizer = make_tiny_model(seed=1)
    words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("Safe", "Harmful")]
    prompts = [
        encode_prompt(tokenizer, assessor_prompt(note, style="short", is_thinking=False), ANSWER_PREFIX, DAY)
        for note in (a_pair().error_note, a_pair().corrected_note)
    ]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=STEPS)
    for step in range(STEPS):
        prompt, word = prompts[step % 2], words[step // 2 % 2]
        input_ids = torch.tensor([[*prompt, *word, tokenizer.eos_token_id]])
        labels = input_ids.clone()
        labels[:, : len(prompt)] = -100
        optimizer.zero_grad()
        model(input_ids=input_ids, labels=labels).loss.backward()
        cast("Any", optimizer).step()
        cast("Any", scheduler).step()
    with quiet_transformers():
        cast("Any", model).save_pretrained(folder)
    cast("Any", tokenizer).save_pretrained(folder)
    return folder
