from __future__ import annotations

import pytest

from medical_team.runs.config_file import load_config
from medical_team.runs.renamed_options import renamed_arguments, renamed_tables


def test_a_file_with_old_names_is_read_and_the_new_names_are_told(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[sampling]\ntemperature = 0.9\n\n[game]\ndirect_chat_no_cot = false\n")
    told: list[str] = []

    config = load_config(path, told.append)

    assert config.rollout.temperature == 0.9
    assert config.game.thinking
    assert [sentence.partition(": ")[2] for sentence in told] == [
        "[sampling] is called [rollout] now; the old name is still read.",
        "game.direct_chat_no_cot gave way to its opposite: write game.thinking = true. The old name is still read.",
    ]


def test_what_stands_under_both_names_is_left_for_the_checks_to_refuse():
    tables = {"sampling": {"temperature": 1.0}, "rollout": {"temperature": 0.5}}
    assert renamed_tables(tables) == tables


@pytest.mark.parametrize(
    ("words", "today"),
    [
        (["--sampling.temperature", "0.9"], ["--rollout.temperature", "0.9"]),
        (["--sampling.max-verdict-tokens=9"], ["--rollout.max_verdict_tokens=9"]),
        (["--game.direct_chat_no_cot", "False"], ["--game.thinking", "True"]),
        (["--game.direct-chat-no-cot=true"], ["--game.thinking", "False"]),
        (["run.toml", "--game.thinking", "True"], ["run.toml", "--game.thinking", "True"]),
    ],
)
def test_old_options_on_a_command_line_mean_the_new_ones(words, today):
    told: list[str] = []
    assert renamed_arguments(words, told.append) == today
    assert bool(told) == (words != today)
