import yaml

from medical_team.config import DEMO_MODEL
from medical_team.metrics.card_metadata import card_metadata

HISTORY = [
    {"heldout/balanced_accuracy": 0.5, "heldout/detection_rate": 1.0, "heldout/specificity": 0.0},
    {"heldout/balanced_accuracy": 0.7512, "heldout/detection_rate": 0.9, "heldout/specificity": 0.6},
    {"policy/kl": 0.1},
]


def test_the_last_held_out_figures_stand_where_programs_look_for_them():
    found = yaml.safe_load(card_metadata('a "run": 1', "me/base", ["medec"], HISTORY))

    result = found["model-index"][0]["results"][0]
    assert found["model-index"][0]["name"] == 'a "run": 1'
    assert result["dataset"]["name"] == "held-out notes of the run (medec)"
    assert {each["type"]: each["value"] for each in result["metrics"]} == {
        "balanced_accuracy": 0.7512,
        "recall": 0.9,
        "specificity": 0.6,
    }


def test_a_licence_is_named_only_where_it_is_known():
    assert yaml.safe_load(card_metadata("run", DEMO_MODEL, [], []))["license"] == "apache-2.0"
    assert card_metadata("run", "somebody/else", [], []) == ""
