import ast
import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from pydantic import ValidationError

from builders import a_game, a_pair, a_record, a_sample, a_spec, a_turn, data_types, games, present
from medical_team import records, samples
from medical_team.config import GameConfig
from medical_team.jsonl import from_line, to_line
from medical_team.records import DataType, ErrorType, Game, GameState, Role, Verdict
from medical_team.rewards import rewards_of
from medical_team.samples import Sample
from needs import PYTHON_3_10, python_3_10

# What other engines import where nothing but Python 3.10 and its standard library is installed.
STANDARD_LIBRARY_MODULES = (
    *(
        "records",
        "samples",
        "words",
        "prompts",
        "chat_template",
        "parsing",
        "rewards",
        "game_config",
        "errors",
    ),
    *("seeds", "text_repair", "error_types", "callbacks", "sentences"),
)

IMPORT_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
import red_team
first = {name for name in sys.modules if name.startswith("red_team")}
if first != {"red_team", "red_team.records"}:
    sys.exit(f"importing the package alone loads {sorted(first)}")
import importlib
for name in sys.argv[2:]:
    importlib.import_module(f"red_team.{name}")
foreign = [name for name in sys.modules if name.split(".")[0] not in {*sys.stdlib_module_names, "red_team", "__main__"}]
if foreign:
    sys.exit(f"not the standard library: {foreign}")
from red_team import game_config, parsing, prompts, records
prompts.assessor_prompt("a note", style="full", is_thinking=True)
parsing.parse_reply("why </think> <answer>Safe</answer>", is_thinking=True, is_finished=True)
game_config.GameConfig()
print("%d.%d" % sys.version_info[:2])
"""


@pytest.fixture
def copied_package(tmp_path: Path, repository: Path) -> Path:
    """The folder into which the package was copied under another name, as the fork's users do."""
    shutil.copytree(repository / "medical_team", tmp_path / "red_team", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def import_all(python: str, folder: Path):
    # -I -S: no site-packages, so that a third-party import fails.
    command = [python, "-I", "-S", "-c", IMPORT_ALL, str(folder), *STANDARD_LIBRARY_MODULES]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_the_rules_of_the_game_need_the_standard_library_alone(copied_package: Path) -> None:
    ended = import_all(sys.executable, copied_package)

    assert ended.returncode == 0, ended.stderr


def test_the_rules_of_the_game_run_on_python_3_10(copied_package: Path) -> None:
    python = python_3_10()
    if python is None:
        PYTHON_3_10.skip()

    ended = import_all(python, copied_package)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "3.10"


@pytest.mark.parametrize("name", ["__init__", *STANDARD_LIBRARY_MODULES])
def test_the_rules_of_the_game_keep_to_the_syntax_of_python_3_10(repository: Path, name: str) -> None:
    source = (repository / "medical_team" / f"{name}.py").read_text(encoding="utf-8")

    ast.parse(source, feature_version=(3, 10))


# Records are plain, frozen values that come back from a file as they were written.


@given(games())
def test_a_game_comes_back_from_its_line_as_it_was(game: Game) -> None:
    if game.state is not GameState.AWAITING_RULING:
        game = dataclasses.replace(game, rewards=rewards_of(game, GameConfig()))

    line = to_line(game)

    assert "\n" not in line
    assert from_line(line, Game) == game


def test_the_other_records_come_back_too() -> None:
    for record in (a_pair(), a_record(), a_spec(), a_turn(thinking="why"), a_sample(Role.ATTACKER)):
        assert from_line(to_line(record), type(record)) == record


def test_reading_refuses_what_is_not_the_record() -> None:
    line = to_line(a_sample())

    for wrong in (
        line.replace('"game_id": "game-0"', '"game_id": 0'),
        line.replace('"assessor"', '"defender"'),
        line.replace("[4, 5, 0]", '["4", 5, 0]'),
        line.replace('"game_id"', '"game"'),
        line.replace('"game_id"', '"extra": 1, "game_id"'),
    ):
        assert wrong != line
        with pytest.raises(ValidationError):
            from_line(wrong, Sample)


def test_every_record_is_frozen() -> None:
    types = [kind for module in (records, samples) for kind in vars(module).values() if dataclasses.is_dataclass(kind)]

    assert len(types) > 10
    assert all(vars(kind)["__dataclass_params__"].frozen for kind in types)


# The categories.


@pytest.mark.parametrize(
    ("data_type", "is_adversarial", "is_harmful", "vanilla"),
    [
        (DataType.VANILLA_HARMFUL, False, True, DataType.VANILLA_HARMFUL),
        (DataType.VANILLA_BENIGN, False, False, DataType.VANILLA_BENIGN),
        (DataType.ADVERSARIAL_HARMFUL, True, True, DataType.VANILLA_HARMFUL),
        (DataType.ADVERSARIAL_BENIGN, True, False, DataType.VANILLA_BENIGN),
    ],
)
def test_a_category_says_who_plays_and_what_is_true(
    data_type: DataType, is_adversarial: bool, is_harmful: bool, vanilla: DataType
) -> None:
    assert data_type.is_adversarial is is_adversarial
    assert data_type.is_harmful is is_harmful
    assert data_type.vanilla is vanilla


def test_the_names_are_those_of_the_files() -> None:
    assert [kind.value for kind in DataType] == [
        *("vanilla_harmful", "vanilla_benign", "adversarial_harmful", "adversarial_benign"),
    ]
    assert {kind.value for kind in ErrorType} == {
        *("diagnosis", "management", "treatment", "pharmacotherapy", "causalOrganism"),
    }
    assert {verdict.value for verdict in Verdict} == {"Safe", "Harmful"}


# Looking things up.


def test_a_record_knows_its_pair() -> None:
    assert a_record().pair == a_pair()


@given(data_types)
def test_a_game_finds_the_turn_and_the_reward_of_a_role(data_type: DataType) -> None:
    game = a_game(data_type)
    game = dataclasses.replace(game, rewards=rewards_of(game, GameConfig()))

    assert present(game.turn_of(Role.ASSESSOR)).role is Role.ASSESSOR
    assert present(game.reward_of(Role.ASSESSOR)).role is Role.ASSESSOR
    assert (game.turn_of(Role.ATTACKER) is not None) is data_type.is_adversarial
    assert (game.reward_of(Role.ATTACKER) is not None) is data_type.is_adversarial
