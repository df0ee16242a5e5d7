"""The demo policy and its run: what the quickstart shows, with fewer steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from medical_team.config import DEMO_MODEL, PolicyConfig
from medical_team.data.synthetic import read_note
from medical_team.data.synthetic.demo_world import (
    EDITED,
    TAUGHT,
    UNSEEN,
    UNTAUGHT,
    demo_world,
    heldout_records,
    played_records,
)
from medical_team.model_files import DEMO_FOLDER
from medical_team.policy.policy import Policy
from medical_team.records import Role
from medical_team.runs.config_file import load_preset
from medical_team.runs.folder import RunFolder
from medical_team.train.demo_run import run_demo


def test_the_world_keeps_its_parts_apart() -> None:
    world = demo_world()
    names = [*world.taught, *world.untaught, *world.edited, *world.unseen]
    assert len(set(names)) == len(names) == TAUGHT + UNTAUGHT + EDITED + UNSEEN


def test_notes_to_play_with_are_of_all_four_categories_and_apart_from_held_out_ones() -> None:
    played = played_records(40, seed=1)
    assert len({record.data_type for record in played}) == 4
    heldout = {record.note for records in heldout_records(10, seed=7).values() for record in records}
    assert heldout.isdisjoint(record.note for record in played)
    assert all(not read_note(record.note).unread for record in played)


def test_the_policy_that_ships_is_small_and_says_what_it_is() -> None:
    policy = Policy(PolicyConfig(model=DEMO_MODEL, adaptation="full", device="cpu"), seed=0)
    assert sum(weights.numel() for weights in policy.model.parameters()) < 2_000_000
    assert (DEMO_FOLDER / "model.safetensors").stat().st_size < 4_000_000
    assert "not for clinical use" in (DEMO_FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_short_run_is_assessed_before_and_after(tmp_path: Path) -> None:
    config = load_preset("demo")
    config = replace(config, training=replace(config.training, steps=2, games_per_step=16))

    result = run_demo(config, tmp_path / "run", heldout_cases=8)

    assert result.training.is_finished
    assert {score.group for score in result.scores} >= {"taught conditions, common errors"}
    taught = next(score for score in result.scores if score.group.startswith("taught") and not score.is_revised)
    assert taught.before.value > 0.8
    assert taught.before.games == 16
    played = [turn.role for game in RunFolder.open(tmp_path / "run").games() for turn in game.turns]
    assert set(played) == set(Role)
