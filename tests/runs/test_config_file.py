from __future__ import annotations

from pathlib import Path

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from medical_team.config import (
    DataConfig,
    GameConfig,
    PolicyConfig,
    RewardCoefficients,
    RunConfig,
    TrainingConfig,
    problems_of,
)
from medical_team.errors import ConfigError
from medical_team.runs.config_file import (
    check_config,
    load_config,
    load_preset,
    preset_names,
    read_tables,
    to_toml,
)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_in(tmp_path: Path, text: str):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert str(tmp_path / "run.toml") in caught.value.headline
    return list(caught.value.problems)


def test_a_file_names_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, '[training]\nlearning_rate = 1\n[game]\nerror_types = ["dosage"]\n')

    config = load_config(path)

    assert config.training == TrainingConfig(learning_rate=1.0)
    assert config.game == GameConfig(error_types=("dosage",))
    assert config.policy == PolicyConfig()


def test_data_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[data]\ntrain = "data/train.jsonl"\nheldout = "/elsewhere/heldout.jsonl"\n'))

    assert Path(config.data.train) == tmp_path / "data" / "train.jsonl"
    assert config.data.heldout == "/elsewhere/heldout.jsonl"
    assert load_config(write(tmp_path, "")).data == DataConfig(train="sample")


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    problems = problems_in(
        tmp_path,
        """
[training]
steps = 2.0
lerning_rate = 1e-5
kl_coefficient = -1
seed = "42"

[game]
remove_ties = "yes"
error_types = ["dosage", 3]
coefficients = 4

[policy]
adaptation = "lorra"
model = 2024-01-01
""",
    )

    assert problems == [
        "line 3: training.steps is 2.0, expected a whole number",
        "line 4: training.lerning_rate: unknown key; did you mean training.learning_rate?",
        "line 5: training.kl_coefficient is -1.0, expected at least 0.0",
        'line 6: training.seed is the text "42", expected a whole number',
        'line 9: game.remove_ties is the text "yes", expected true or false',
        "line 10: game.error_types[1] is 3, expected text in quotes",
        "line 11: game.coefficients is 4, expected a section of keys",
        "line 14: policy.adaptation is the text \"lorra\", expected 'lora' or 'full'",
        "line 15: policy.model is the date 2024-01-01, expected text in quotes",
    ]


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("seed = 3", "seed: unknown key; did you mean training.seed?"),
        ("[training]\ntemperature = 1.0", "training.temperature: unknown key; did you mean rollout.temperature?"),
        ("steps = 3", "steps: unknown key; did you mean warmstart.steps or training.steps?"),
        ("[trainig]\nsteps = 1", "trainig: unknown key; did you mean training?"),
        ("[policy]\nxyz = 1", "policy.xyz: unknown key; known here: policy.model, policy.adaptation"),
        ("[game.coefficients]\nfaithfull = 1.0", "did you mean game.coefficients.faithful?"),
    ],
)
def test_an_unknown_key_names_the_nearest_one(tmp_path: Path, text: str, suggestion: str) -> None:
    (problem,) = problems_in(tmp_path, text)

    assert suggestion in problem


def test_bounds_and_contradictions_are_checked(tmp_path: Path) -> None:
    problems = problems_in(
        tmp_path,
        "[training]\ngames_per_step = 2\nminibatches_per_step = 4\n[game]\nmax_turns = 3\n"
        "no_attacker_turn = true\nno_defender_turn = true\n[rollout]\ntemperature = nan\n",
    )

    assert [problem.split(":")[0] for problem in problems] == ["line 3", "line 5", "line 6", "line 9"]
    assert "game.max_turns is 3" in problems[1]
    assert problems[3] == "line 9: rollout.temperature is nan, expected a finite number"


def test_a_value_of_a_wrong_type_is_not_blamed_twice(tmp_path: Path) -> None:
    (problem,) = problems_in(tmp_path, '[training]\ngames_per_step = "many"\nminibatches_per_step = 30\n')

    assert "games_per_step" in problem


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    (problem,) = problems_in(tmp_path, "[training]\nsteps = = 3\n")

    assert "line 2" in problem


def test_a_file_that_can_not_be_read_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="it is a folder, expected a TOML file"):
        load_config(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes('[policy]\nmodel = "modèle"\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match="line 2 is not UTF-8"):
        load_config(path)


def test_the_folder_of_a_run_is_told_with_its_file_and_the_way_to_go_on(tmp_path: Path) -> None:
    write(tmp_path, "").rename(tmp_path / "config.toml")

    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path)

    assert list(refused.value.problems) == [
        f"it is the folder of a run. A new run like it: {tmp_path / 'config.toml'}; the same run goes on with "
        f"`train --resume {tmp_path}`"
    ]


def test_check_config_names_all_problems() -> None:
    config = RunConfig(training=TrainingConfig(steps=0), policy=PolicyConfig(lora_rank=0))

    with pytest.raises(ConfigError, match=r"(?s)lora_rank.*steps|steps.*lora_rank"):
        check_config(config)
    check_config(RunConfig())


def test_the_resolved_file_holds_every_default() -> None:
    tables = tomllib.loads(to_toml(RunConfig()))

    assert tables["training"]["steps"] == RunConfig().training.steps
    assert tables["game"]["coefficients"]["unfaithful"] == -2.0
    assert "learning_rate" not in tables["training"]


configs = st.builds(
    RunConfig,
    data=st.builds(DataConfig, train=st.text(), heldout=st.none() | st.text()),
    game=st.builds(
        GameConfig,
        max_turns=st.just(2),
        error_types=st.lists(st.sampled_from(["dosage", "diagnosis"])).map(tuple),
        coefficients=st.builds(RewardCoefficients, faithful=st.floats(allow_nan=False, allow_infinity=False)),
    ),
    training=st.builds(
        TrainingConfig,
        steps=st.integers(1, 10**30),
        learning_rate=st.none() | st.floats(1e-300, 1.0),
    ),
)


@given(configs)
def test_a_configuration_comes_back_as_it_was_written(config: RunConfig) -> None:
    if problems_of(config):
        return

    assert read_tables(tomllib.loads(to_toml(config))) == (config, [])


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    check_config(load_preset(name))


def test_the_checklist_preset_holds_the_values_of_the_checklist() -> None:
    config = load_preset("checklist")

    assert config.learning_rate == 5e-7
    assert config.policy.adaptation == "full"
    assert config.training.steps * config.training.games_per_step >= 638
    assert config.training.games_per_step / config.training.minibatches_per_step == 16
    assert config.game.error_types == ("dosage", "diagnosis", "contraindication", "management")
    assert config.training.normalization == "batch"


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="checklist, demo, gpu-24gb"):
        load_preset("checklst")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[training]\nsteps = 2\nsteps = 3\n", "(at line 3, column 10): steps = 3"),
        ("[training]\nsteps = 2\nsteps = 3", "(at end of document): steps = 3"),
        ("[training]\nsteps = 2\n[training]\nseed = 1", "twice (at line 3, column 10): [training]"),
        ("[policy]\nmodel = “demo”", 'model = “demo” - the quotes are curly: write straight ones, "'),
        ('[data]\ntrain = "C:\\Users\\me.jsonl"', "between double quotes: write / or put the text between single"),
        ("[game]\nthinking = True", "True is written true here"),
        ("[policy]\nprompt_date = None", "leave it out"),
        ("[policy]\nmodel = demo", 'text stands between quotes: "demo"'),
        ('{"training": {"steps": 2}}', '(at line 1, column 1): {"training": {"steps": 2}}'),
        ("[training]\nsteps = " + "9" * 200 + "x", "(at line 2, column "),
        ("[training]\nsteps = 2\n\x00", "Invalid statement (at line 3, column 1)"),
    ],
)
def test_what_is_no_toml_is_shown_with_what_people_mostly_mean(tmp_path: Path, text: str, hint: str) -> None:
    (problem,) = problems_in(tmp_path, text)

    assert hint in problem
    assert len(problem) < 250
