import re

import pytest

from medical_team.config import DataConfig, GameConfig, PolicyConfig, RunConfig, problems_of


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (RunConfig(data=DataConfig(train="a\0b")), r"data\.train is 'a\\x00b', expected a text without control"),
        (RunConfig(policy=PolicyConfig(model="a\x1b[31m")), r"policy\.model is .*without control characters"),
        (RunConfig(game=GameConfig(error_types=("a\n",))), r"game\.error_types is .*without control characters"),
        (RunConfig(data=DataConfig(heldout="\udcff.jsonl")), r"data\.heldout is .*, which is no UTF-8"),
    ],
)
def test_a_text_that_no_file_or_terminal_takes_is_refused(config, problem):
    (found,) = problems_of(config)

    assert re.match(problem, found)


def test_letters_of_any_script_are_taken():
    assert problems_of(RunConfig(data=DataConfig(train="läufe/中文 \U0001f600.jsonl"))) == []
