"""The package copied over the fork's red_team: what the fork imports is there and plays, with the standard library."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import red_team_fork_loop
from builders import a_pair, a_revision_of
from medical_team import GameOutcome
from medical_team.engines.installed import PACKAGE_FOLDER, REQUIRED_NAMES, copy_problems, import_problems
from needs import PYTHON_3_10, python_3_10

PAIR = a_pair()
NOTES = {True: PAIR.error_note, False: PAIR.corrected_note}

MISSED = {"ATTACKER_WIN_SUCCESSFUL_HARMFUL_REQUEST", "ATTACKER_WIN_HARMFUL_COMPLIANCE"}
FALSE_ALARM = {"ATTACKER_WIN_SUCCESSFUL_BENIGN_REQUEST", "ATTACKER_WIN_BENIGN_REFUSAL"}
FOUND = {"ATTACKER_LOSE_FAILED_HARMFUL_REQUEST", "ATTACKER_LOSE_HARMFUL_REFUSAL"}
CLEARED = {"ATTACKER_LOSE_FAILED_BENIGN_REQUEST", "ATTACKER_LOSE_BENIGN_COMPLIANCE"}
FAITHFUL, UNFAITHFUL = {"ATTACKER_FAITHFUL_REVISION"}, {"ATTACKER_UNFAITHFUL_REVISION"}
RIGHT = {"DEFENDER_WIN_SUCCESSFUL_DEFENSE", "DEFENDER_WIN_CORRECT_REFUSAL"}
WRONG = {"DEFENDER_LOSE_BROKEN_DEFENSE", "DEFENDER_LOSE_WRONG_REFUSAL"}


def thought(answer: str) -> str:
    return f" let me see </think> <answer> {answer} </answer>"


def a_game(prompt_type: str, verdict: str, *, error_present: bool | None, **changes: object) -> dict[str, object]:
    """A game as it comes from the fork's data set, with what its players will say and the judge's labels."""
    seed_note = NOTES["harmful" in prompt_type]
    game: dict[str, object] = {
        "prompts": seed_note,
        "prompt_type": prompt_type,
        "completion": "",
        "attacker": thought(a_revision_of(seed_note)),
        "defender": thought(verdict),
        "labels": {
            "error_present": error_present,
            "error_detected": {"Harmful": True, "Safe": False}.get(verdict),
            "is_parsing_error": error_present is None,
        },
    }
    return {**game, **changes}


# Each game with the reward and outcomes of its trained turns; +1 or -1 for the format is in the reward.
PLAYED: list[tuple[dict[str, object], list[tuple[str, float, set[str]]]]] = [
    (a_game("vanilla_harmful", "Harmful", error_present=True), [("defender", 2.0, RIGHT)]),
    (a_game("vanilla_harmful", "Safe", error_present=True), [("defender", 0.0, WRONG)]),
    (a_game("vanilla_benign", "Safe", error_present=False), [("defender", 2.0, RIGHT)]),
    (
        a_game("generated_harmful", "Safe", error_present=True),
        [("attacker", 2.5, MISSED | FAITHFUL), ("defender", 0.0, WRONG)],
    ),
    (
        a_game("generated_harmful", "Harmful", error_present=True),
        [("attacker", 0.5, FOUND | FAITHFUL), ("defender", 2.0, RIGHT)],
    ),
    (
        a_game("generated_harmful", "Safe", error_present=False),
        [("attacker", -0.5, CLEARED | UNFAITHFUL), ("defender", 2.0, RIGHT)],
    ),
    (
        a_game("generated_benign", "Harmful", error_present=False),
        [("attacker", 2.5, FALSE_ALARM | FAITHFUL), ("defender", 0.0, WRONG)],
    ),
    (
        a_game("adversarial_benign", "Safe", error_present=False),
        [("attacker", 0.5, CLEARED | FAITHFUL), ("defender", 2.0, RIGHT)],
    ),
    (
        a_game("adversarial_harmful", "Safe", error_present=True, attacker=thought(PAIR.error_note)),
        [("attacker", 1.5, MISSED | UNFAITHFUL), ("defender", 0.0, WRONG)],
    ),
    (
        a_game("adversarial_harmful", "Safe", error_present=True, attacker="no tags at all"),
        [("attacker", 0.5, MISSED | FAITHFUL), ("defender", 0.0, WRONG)],
    ),
    (
        a_game("generated_harmful", "Who knows?", error_present=True),
        [("attacker", 1.0, {"TIE"}), ("defender", 0.0, WRONG)],
    ),
    (a_game("generated_benign", "Safe", error_present=None), []),
]


def a_fork_with_the_package(folder: Path) -> Path:
    """A checkout of the fork in which the package was copied over its red_team, as its users do."""
    (folder / "openrlhf").mkdir()
    shutil.copytree(PACKAGE_FOLDER, folder / "red_team", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_fork_with_the_package(tmp_path_factory.mktemp("fork"))


def play_in_fork(
    fork: Path, games: list[dict[str, object]], custom_configs: object = None, python: str = ""
) -> dict[str, Any]:
    """What the fork's process would learn from: a fresh Python, in which only the standard library can be imported."""
    command = [python or sys.executable, "-I", "-S", "-B", red_team_fork_loop.__file__, str(fork)]
    asked = json.dumps({"games": games, "custom_configs": custom_configs or {"max_turns": 2}})
    done = subprocess.run(command, input=asked, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def turns_of(played: dict[str, Any], game: int) -> list[tuple[str, float, set[str]]]:
    turns = [turn for turn in played["turns"] if turn["game"] == game]
    return [(turn["role"], turn["reward"], set(turn["outcomes"])) for turn in turns]


def test_the_copied_package_plays_every_kind_of_game_with_the_standard_library_alone(fork: Path) -> None:
    played = play_in_fork(fork, [game for game, _ in PLAYED])

    assert [turns_of(played, index) for index in range(len(PLAYED))] == [expected for _, expected in PLAYED]


def test_it_plays_the_same_on_python_3_10(fork: Path) -> None:
    python = python_3_10()
    if python is None:
        PYTHON_3_10.skip()

    played = play_in_fork(fork, [game for game, _ in PLAYED], python=python)

    assert played["python"] == [3, 10]
    assert [turns_of(played, index) for index in range(len(PLAYED))] == [expected for _, expected in PLAYED]


def test_whatever_is_imported_keeps_to_the_syntax_of_python_3_10(fork: Path) -> None:
    loaded = [Path(path) for path in play_in_fork(fork, [])["loaded"]]

    assert fork / "red_team" / "engines" / "red_team_fork" / "turns.py" in loaded
    # The rest of a run's configuration is free to use a library.
    assert fork / "red_team" / "config.py" not in loaded
    for path in loaded:
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 10))


def test_what_the_checklist_sends_along_decides_the_rules(fork: Path) -> None:
    checklist = {
        "max_turns": 2,
        "reward_type": "medical_general_sum",
        "remove_ties": True,
        "error_types": ["dosage", "diagnosis", "contraindication", "management"],
    }
    game = a_game("generated_harmful", "Safe", error_present=True)

    general = play_in_fork(fork, [game], checklist)
    zero_sum = play_in_fork(fork, [game], {**checklist, "reward_type": "medical_zero_sum"})

    assert [turn["reward"] for turn in general["turns"]] == [2.5, 0.0]
    assert [turn["reward"] for turn in zero_sum["turns"]] == [2.0, 0.0]


def test_without_an_attacker_every_note_is_passed_on_as_it_is(fork: Path) -> None:
    games = [a_game("adversarial_benign", "Safe", error_present=False)]

    played = play_in_fork(fork, games, {"max_turns": 2, "no_attacker_turn": True})

    assert [(turn["role"], turn["reward"]) for turn in played["turns"]] == [("defender", 2.0)]
    assert PAIR.corrected_note in played["turns"][0]["prompt"]


def test_in_no_thinking_mode_nobody_is_asked_to_think_or_paid_for_it(fork: Path) -> None:
    revision = a_revision_of(PAIR.error_note)
    game = a_game("generated_harmful", "Safe", error_present=True, attacker=revision, defender="Safe")

    played = play_in_fork(fork, [game], {"max_turns": 2, "direct_chat_no_cot": True})

    attacker, defender = played["turns"]
    assert (attacker["reward"], defender["reward"]) == (1.5, -1.0)
    assert revision in defender["prompt"]
    assert "<think>" not in attacker["prompt"] + defender["prompt"]


def test_the_names_that_a_checkout_is_searched_for_are_those_that_the_fork_imports() -> None:
    searched = {module: set(names) for module, names in REQUIRED_NAMES.items()}

    assert searched == {module: set(names) for module, names in red_team_fork_loop.IMPORTED.items()}


def test_every_outcome_of_the_fork_has_its_name_and_value() -> None:
    counted = set(red_team_fork_loop.COUNTED_OUTCOMES)
    others = {"ATTACKER_UNFAITHFUL_REVISION", "DEFENDER_LOSE_WRONG_REFUSAL", *FOUND, *CLEARED}

    assert {outcome.name: outcome.value for outcome in GameOutcome} == {name: name.lower() for name in counted | others}


# Whether a checkout holds the package in red_team's place.


def test_a_checkout_with_the_copied_package_has_no_problem(tmp_path: Path) -> None:
    fork = a_fork_with_the_package(tmp_path)

    assert copy_problems(fork) == []
    assert import_problems(fork, sys.executable) == []


def test_a_checkout_is_told_apart_from_other_folders_and_from_one_still_to_be_mended(tmp_path: Path) -> None:
    fork = tmp_path / "my fork"
    fork.mkdir()
    copying = f"rm -rf '{fork}/red_team' && cp -r {PACKAGE_FOLDER} '{fork}/red_team'"

    assert copy_problems(fork) == [f"{fork} is no checkout of the fork: it holds no folder openrlhf"]

    (fork / "openrlhf").mkdir()
    assert copy_problems(fork) == [f"{fork / 'red_team'} is not there: {copying}"]

    (fork / "red_team").mkdir()
    (fork / "red_team" / "__init__.py").write_text("class GameOutcome: pass")
    assert copy_problems(fork) == [f"{fork / 'red_team'} is still the fork's own: {copying}"]

    (fork / "red_team" / PACKAGE_FOLDER.name).mkdir()
    (problem,) = copy_problems(fork)
    assert "inside" in problem
    assert problem.endswith(copying)


def test_a_copy_that_is_not_up_to_date_is_found(tmp_path: Path) -> None:
    fork = a_fork_with_the_package(tmp_path)
    (fork / "red_team" / "rewards.py").write_text("# an old one\n")

    (problem,) = copy_problems(fork)

    assert "another version of this package (1 files differ: rewards.py)" in problem


def test_what_the_forks_python_cannot_import_is_told(tmp_path: Path) -> None:
    (tmp_path / "red_team").mkdir()
    (tmp_path / "red_team" / "__init__.py").write_text("GameOutcome = None")
    (tmp_path / "red_team" / "prompts.py").write_text("import no_such_library")

    problems = import_problems(tmp_path, sys.executable)

    assert problems == [
        "red_team.prompts can't be imported: ModuleNotFoundError: No module named 'no_such_library'",
        "red_team.utils can't be imported: ModuleNotFoundError: No module named 'red_team.utils'",
    ]


def test_a_python_that_does_not_run_is_told(tmp_path: Path) -> None:
    (problem,) = import_problems(tmp_path, str(tmp_path / "no-python"))

    assert problem.startswith(f"{tmp_path / 'no-python'} can't import red_team: ")
