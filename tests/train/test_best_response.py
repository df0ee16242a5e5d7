"""Attackers that are trained against one frozen assessor."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from builders import a_record
from medical_team.config import RunConfig
from medical_team.errors import UsageError
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType, Role
from medical_team.runs.config_file import load_preset
from medical_team.runs.folder import RunFolder
from medical_team.train.best_response import StepRemarks, all_attacked, best_response_config, trained_attacker


@pytest.fixture
def config(tmp_path: Path, talking_model: Path) -> RunConfig:
    records = [a_record(kind, id=f"{kind.value}-{number}") for kind in DataType for number in range(2)]
    write_jsonl(tmp_path / "attacked.jsonl", all_attacked(records))
    base = load_preset("smoke")
    lenient = replace(base.game.coefficients, unfaithful=-0.5)
    base = replace(
        base,
        game=replace(base.game, undecidable="void", coefficients=lenient, no_attacker_turn=True),
        policy=replace(base.policy, device="cpu", roles="separate"),
        rollout=replace(base.rollout, max_verdict_tokens=10),
        training=replace(base.training, games_per_step=4, assessor_samples_per_step=2),
    )
    return best_response_config(
        base, start=str(talking_model), assessor=str(talking_model), data=tmp_path / "attacked.jsonl", steps=2, seed=3
    )


def test_every_record_is_attacked() -> None:
    records = [a_record(kind) for kind in DataType]
    assert {record.data_type for record in all_attacked(records)} == {
        DataType.ADVERSARIAL_HARMFUL,
        DataType.ADVERSARIAL_BENIGN,
    }


def test_only_the_attacker_learns_by_the_usual_rules_against_the_frozen_assessor(
    config: RunConfig, tmp_path: Path
) -> None:
    said: list[str] = []
    final = trained_attacker(config, tmp_path / "attacker", [StepRemarks("it", 2, said.append)])

    assert final == tmp_path / "attacker" / "final"
    run = RunFolder.open(tmp_path / "attacker")
    rules = run.config.game
    assert (rules.undecidable, rules.coefficients.unfaithful, rules.no_attacker_turn) == ("attacker_loses", -2.0, False)
    games = list(run.games())
    assert len(games) == 8
    for game in games:
        assert game.spec.data_type.is_adversarial
        assert game.spec.assessor_version == "fixed"
        assert all(reward.role is Role.ATTACKER for reward in game.rewards)
    assert [line.partition(",")[0] for line in said] == ["it: step 1 of 2", "it: step 2 of 2"]


def test_a_complete_attacker_is_taken_as_it_is_and_another_one_refused(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "attacker"
    first = trained_attacker(config, path)
    before = (path / "games.jsonl").read_bytes()

    assert trained_attacker(config, path) == first
    assert (path / "games.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match="was trained otherwise"):
        trained_attacker(replace(config, training=replace(config.training, seed=4)), path)
    with pytest.raises(UsageError, match="was trained otherwise"):
        trained_attacker(replace(config, training=replace(config.training, learning_rate=0.5)), path)
    with pytest.raises(UsageError, match="was trained otherwise"):
        trained_attacker(replace(config, training=replace(config.training, learning_rate_schedule="cosine")), path)
    elsewhere = shutil.copytree(config.policy.model, tmp_path / "elsewhere" / Path(config.policy.model).name)
    with pytest.raises(UsageError, match="was trained otherwise"):
        trained_attacker(replace(config, policy=replace(config.policy, model=str(elsewhere))), path)
