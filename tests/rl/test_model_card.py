from pathlib import Path

import yaml

from medical_team.config import DEMO_MODEL, EngineConfig, JudgeConfig, PolicyConfig, RunConfig
from medical_team.records import Source
from medical_team.rl.model_card import card_metadata, criteria_table, figures_table, model_card
from medical_team.runs.folder import RunFolder
from report_runs import a_run, a_step


def test_a_card_says_what_the_model_is_not_for() -> None:
    assert "Research only, not for clinical use" in model_card(RunConfig(), 5)


def test_a_card_names_the_licences_of_base_model_judge_and_data() -> None:
    config = RunConfig(judge=JudgeConfig(kind="hybrid", fallback="model"))

    card = model_card(config, 5, sources=[Source.MEDEC])

    assert "HuggingFaceTB/SmolLM2-135M-Instruct. Its licence applies to this model too: Apache License 2.0." in card
    assert "CC BY 4.0" in card
    assert "reference judge: Apache License 2.0" in card
    assert "google/medgemma-4b-it: Health AI Developer Foundations terms of use" in card


def test_an_unknown_model_s_licence_is_not_made_up() -> None:
    assert "not known here" in model_card(RunConfig(policy=PolicyConfig(model="someone/model")), 5)


def test_a_card_holds_the_report_s_figures(tmp_path: Path) -> None:
    run = RunFolder.open(a_run(tmp_path / "run", [a_step(step, games=16) for step in range(20)]))
    figures = figures_table([metrics.values for metrics in run.metrics()])

    card = model_card(run.config, 20, tables=[figures, criteria_table(run)])

    assert "| attacker's win rate | 50% | 50% |" in card
    assert "| Core rewards of decided games sum to zero | pass | 160 games between two learning players" in card


def test_held_out_figures_are_of_single_evaluations() -> None:
    history = [{"heldout/balanced_accuracy": value} for value in (0.5, 0.6, 0.9)]

    assert "| held-out balanced accuracy | 50% | 90% |" in figures_table(history)


def test_without_figures_a_card_has_no_table_of_them() -> None:
    assert figures_table([]) == ""
    assert "What came of it" not in model_card(RunConfig(), 5, tables=[""])


def test_a_card_names_the_day_that_the_chat_template_was_told() -> None:
    assert "| day told to the chat template | 2026-03-05 |" in model_card(
        RunConfig(policy=PolicyConfig(prompt_date="2026-03-05")), 5
    )


def test_a_card_says_what_openrlhf_does_and_not_what_the_configuration_asks_for() -> None:
    config = RunConfig(engine=EngineConfig(kind="openrlhf"))

    assert "| advantage normalisation | role |" in model_card(RunConfig(), 5)
    assert "| advantage normalisation | batch |" in model_card(config, 5)
    assert "| learning rate | 5e-05 |" in model_card(RunConfig(), 5)
    assert "| learning rate | 5e-05 at most: a rise over 3 %" in model_card(config, 5)


HISTORY = [
    {"heldout/balanced_accuracy": 0.5, "heldout/detection_rate": 1.0, "heldout/specificity": 0.0},
    {"heldout/balanced_accuracy": 0.7512, "heldout/detection_rate": 0.9, "heldout/specificity": 0.6},
    {"policy/kl": 0.1},
]


def test_the_last_held_out_figures_stand_where_programs_look_for_them() -> None:
    found = yaml.safe_load(card_metadata('a "run": 1', "me/base", ["medec"], HISTORY))

    result = found["model-index"][0]["results"][0]
    assert found["model-index"][0]["name"] == 'a "run": 1'
    assert result["dataset"]["name"] == "held-out notes of the run (medec)"
    assert {each["type"]: each["value"] for each in result["metrics"]} == {
        "balanced_accuracy": 0.7512,
        "recall": 0.9,
        "specificity": 0.6,
    }


def test_a_licence_is_named_only_where_it_is_known() -> None:
    assert yaml.safe_load(card_metadata("run", DEMO_MODEL, [], []))["license"] == "apache-2.0"
    assert card_metadata("run", "somebody/else", [], []) == ""
