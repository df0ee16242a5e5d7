"""The demo policy's tokenizer: it reads and writes the language of the synthetic notes without loss."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chat_templates import DAY
from medical_team.data.synthetic import synthetic_cases
from medical_team.policy.chat import encode_prompt
from medical_team.policy.demo_model import make_demo_model, make_demo_tokenizer
from medical_team.prompts import assessor_prompt, sentences_prompt
from medical_team.records import DataType
from medical_team.sentences import NumberedNote

TOKENIZER = make_demo_tokenizer()


def test_every_note_comes_back_as_it_was() -> None:
    for case in synthetic_cases(200, seed=9, rare_share=0.5):
        for note in (case.error_note, case.corrected_note):
            token_ids = TOKENIZER(note, add_special_tokens=False)["input_ids"]
            assert TOKENIZER.unk_token_id not in token_ids
            assert str(cast("Any", TOKENIZER).decode(token_ids)).strip() == note


def test_an_edit_comes_back_as_it_was() -> None:
    for case in synthetic_cases(50, seed=9, rare_share=0.5):
        edit = f"{case.error_index}: {case.error_sentence}"
        numbered = NumberedNote(case.error_note)
        assert numbered.number_of(case.error_sentence) is not None
        token_ids = TOKENIZER(edit, add_special_tokens=False)["input_ids"]
        assert TOKENIZER.unk_token_id not in [*token_ids, *TOKENIZER(numbered.written())["input_ids"]]
        assert str(cast("Any", TOKENIZER).decode(token_ids)).strip() == edit


@pytest.mark.parametrize(
    "prompt",
    [
        assessor_prompt("", style="terse", is_thinking=False),
        sentences_prompt(
            "", DataType.ADVERSARIAL_HARMFUL, style="terse", is_thinking=False, max_edits=1, at_stake="3:"
        ),
        sentences_prompt("", DataType.ADVERSARIAL_BENIGN, style="terse", is_thinking=False, max_edits=1, at_stake="3:"),
    ],
)
def test_it_knows_the_words_of_the_terse_prompts(prompt: str) -> None:
    assert TOKENIZER.unk_token_id not in encode_prompt(TOKENIZER, prompt, "", DAY)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (make_demo_model(seed, hidden_size=16, heads=2)[0] for seed in (1, 1, 2))
    assert first.lm_head.weight.equal(again.lm_head.weight)
    assert not first.lm_head.weight.equal(other.lm_head.weight)
