"""The benchmark of self-play: what its cells hold, and what its table makes of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from medical_team.data.load import RecordChecks
from medical_team.data.synthetic.demo_world import heldout_records
from medical_team.records import DataType, Game, GameSpec, GameState, Labels, Reward, Role, TrainingRecord, Verdict
from medical_team.rl.protocols import Listener
from medical_team.runs.folder import RunFolder
from stand_ins import always


@pytest.fixture(scope="module")
def benchmark_script(load_script: Callable[..., ModuleType]) -> ModuleType:
    return load_script("self_play", "benchmarks")


@pytest.fixture(scope="module")
def table_script(load_script: Callable[..., ModuleType]) -> ModuleType:
    return load_script("self_play_table", "benchmarks")


def a_game(
    record: TrainingRecord, data_type: DataType, verdict: Verdict, *, note: str = "", error: bool = True
) -> Game:
    spec = GameSpec("game", 0, record.id, data_type, record.note, record.pair)
    labels = Labels("game", error, verdict is Verdict.HARMFUL, "reference", "known")
    return Game(spec, (), note or record.note, verdict, GameState.DECIDED, "", labels)


def a_cell(arm: str, seed: int, text: str, revised: str) -> dict[str, Any]:
    group = {"as written": text, "attacker 901": revised, "attacker 902": revised}
    return {"arm": arm, "seed": seed, "groups": {"untaught conditions, rare errors": group}}


def test_a_letter_for_each_note_says_whether_the_verdict_is_right(benchmark_script: ModuleType) -> None:
    first, second = heldout_records(1, 3)["taught conditions, common errors"]
    games = [
        a_game(first, DataType.VANILLA_HARMFUL, Verdict.SAFE),
        a_game(second, DataType.VANILLA_BENIGN, Verdict.SAFE),
    ]
    assert benchmark_script.outcomes([first.id, "lost", second.id], games) == "h-S"


def test_balanced_accuracy_weighs_both_kinds_of_notes_alike(table_script: ModuleType) -> None:
    assert table_script.balanced(np.array(list("HhhhSS-"))) == pytest.approx((0.25 + 1) / 2)
    assert isnan(table_script.balanced(np.array(list("HH--"))))


def test_arms_differ_in_who_attacks_and_in_nothing_else(benchmark_script: ModuleType) -> None:
    plan = benchmark_script.Plan(5, 32, 4, Path("runs"), Path("results"))
    configs = [benchmark_script.arm_config(plan, arm, 101, Path("d")) for arm in benchmark_script.ARMS]
    alike = {
        replace(
            config,
            game=replace(config.game, no_attacker_turn=False),
            policy=replace(config.policy, roles="shared"),
            opponents=configs[0].opponents,
        )
        for config in configs
    }
    assert len(alike) == 1
    assert alike.pop().training.assessor_samples_per_step == 32


def test_development_and_test_share_neither_notes_nor_attackers(table_script: ModuleType) -> None:
    development, test = table_script.note_set(101), table_script.note_set(1)
    assert development.notes_seed != test.notes_seed
    assert not set(development.attacker_seeds) & set(test.attacker_seeds)


def test_the_dump_takes_of_each_step_what_the_assessor_learnt_from(benchmark_script: ModuleType) -> None:
    record = heldout_records(1, 3)["taught conditions, common errors"][0]
    game = a_game(record, DataType.VANILLA_HARMFUL, Verdict.HARMFUL)
    reward = Reward(Role.ASSESSOR, core=1.0, revision=None, format=None, total=1.0)
    rewarded = [
        replace(game, rewards=(reward,), spec=replace(game.spec, id=name, step=step))
        for name, step in (("a", 0), ("b", 0), ("c", 0), ("d", 1))
    ]
    found = benchmark_script.learnt_from([game, *rewarded], 2)
    assert [taken.spec.id for taken in found] == ["a", "b", "d"]


@pytest.mark.parametrize("has_error", [True, False])
def test_a_dumped_revision_is_a_record_to_train_on(benchmark_script: ModuleType, has_error: bool) -> None:
    record = heldout_records(1, 3)["taught conditions, common errors"][0]
    data_type = DataType.ADVERSARIAL_HARMFUL if has_error else DataType.ADVERSARIAL_BENIGN
    game = a_game(record, data_type, Verdict.SAFE, note="Another wording of it.", error=has_error)
    dumped = benchmark_script.dumped(game, 7)
    assert dumped.note == "Another wording of it."
    assert dumped.data_type is (DataType.VANILLA_HARMFUL if has_error else DataType.VANILLA_BENIGN)
    assert RecordChecks().problems(dumped, 1) == []


def test_the_table_is_made_from_the_cells_that_exist(table_script: ModuleType, tmp_path: Path) -> None:
    assert "no cell" in table_script.report(tmp_path)
    for arm, revised in (("assessor-only", "hShS"), ("shared", "HSHS")):
        cell = a_cell(arm, 101, "HSHS", revised)
        (tmp_path / f"{arm}-101.json").write_text(json.dumps(cell), encoding="utf-8")
    text = table_script.report(tmp_path)
    assert "| untaught conditions, rare errors, unseen attackers | 0.50 (0.50) | 1.00 (1.00) |" in text
    assert "- shared: +0.500 (+0.500 to +0.500), 1 seeds" in text
    assert "(false alarms, mean and each seed)" in text


def test_one_arm_is_compared_with_another_on_all_test_notes(table_script: ModuleType, tmp_path: Path) -> None:
    assert "no seed of shared in" in table_script.comparison(tmp_path, "shared", "warm-start", tmp_path)
    for arm, seed, text in (("warm-start", 11, "hsHS"), ("shared", 11, "HSHS"), ("shared", 12, "HSHs")):
        (tmp_path / f"{arm}-{seed}.json").write_text(json.dumps(a_cell(arm, seed, text, text)), encoding="utf-8")
    text = table_script.comparison(tmp_path, "shared", "warm-start", tmp_path)
    # The warm start is one for all seeds: its errors and alarms are one of two each.
    assert "| shared less warm-start, 2 seeds | balanced accuracy | false alarms |" in text
    assert "| untaught conditions, rare errors, as written | +0.375 (" in text
    assert "| -0.250 (" in text


def test_arms_of_two_folders_are_compared_by_development_seeds_too(table_script: ModuleType, tmp_path: Path) -> None:
    for arm, text in (("assessor-only", "hShS"), ("shared", "HSHS")):
        (tmp_path / arm).mkdir()
        (tmp_path / arm / "cell.json").write_text(json.dumps(a_cell(arm, 101, text, text)), encoding="utf-8")
    text = table_script.comparison(tmp_path / "shared", "shared", "assessor-only", tmp_path / "assessor-only")
    assert "| untaught conditions, rare errors, as written | +0.500 (" in text


def test_tries_of_untrained_attackers_are_told_beside_the_trained_ones(
    table_script: ModuleType, tmp_path: Path
) -> None:
    rate = {"value": 0.25, "interval": {"low": 0.1, "high": 0.5}}
    figures = dict.fromkeys(("faithful_wins", "missed_errors", "false_alarms", "undecidable", "unfaithful"), rate)
    content = {"attackers": {"demo": figures}, "stronger": "demo", "best_of": {"demo": {"1": rate, "4": rate}}}
    (tmp_path / "exploit").mkdir()
    (tmp_path / "exploit" / "warm-start-11.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "warm-start-11.json").write_text(json.dumps(a_cell("warm-start", 11, "HSHS", "HSHS")), encoding="utf-8")
    assert "| warm-start-11 | 0.25 (0.10 to 0.50) | 0.25 (0.10 to 0.50) | - | - |" in table_script.report(tmp_path)


def test_false_alarms_are_of_notes_without_an_error(table_script: ModuleType) -> None:
    assert table_script.false_alarms(np.array(list("HhhhSSSs-"))) == 0.25


def test_the_picture_shows_test_seeds(table_script: ModuleType, tmp_path: Path) -> None:
    cell = a_cell("shared", 11, "HSHS", "hShS")
    cell["groups"]["untaught conditions, common errors"] = cell["groups"]["untaught conditions, rare errors"]
    (tmp_path / "shared-11.json").write_text(json.dumps(cell), encoding="utf-8")
    table_script.draw(tmp_path, tmp_path / "picture.svg")
    assert "shared" in (tmp_path / "picture.svg").read_text(encoding="utf-8")


def test_a_cell_of_other_settings_is_refused(benchmark_script: ModuleType, tmp_path: Path) -> None:
    plan = benchmark_script.Plan(5, 32, 4, tmp_path / "runs", tmp_path)
    other = {**plan.settings, "steps": 6}
    (tmp_path / "shared-101.json").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(SystemExit, match="'steps': 6"):
        benchmark_script.play_cell(plan, "shared", 101)


def test_a_cell_that_does_not_name_its_kl_coefficient_had_the_proofs(
    benchmark_script: ModuleType, tmp_path: Path
) -> None:
    plan = benchmark_script.Plan(5, 32, 4, tmp_path / "runs", tmp_path)
    content = {name: value for name, value in plan.settings.items() if name != "kl_coefficient"}
    (tmp_path / "shared-101.json").write_text(json.dumps(content), encoding="utf-8")
    benchmark_script.play_cell(plan, "shared", 101)
    with pytest.raises(SystemExit, match=r"'kl_coefficient': 0\.3"):
        benchmark_script.play_cell(replace(plan, kl_coefficient=0.15), "shared", 101)


class Interrupted(Listener):
    """Presses Ctrl-C after the first step."""

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Ask for a stop."""
        os.kill(os.getpid(), signal.SIGINT)


def small(benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of a few games."""
    demo = benchmark_script.load_preset("demo")
    config = replace(demo, training=replace(demo.training, games_per_step=4))
    monkeypatch.setattr(benchmark_script, "load_preset", always(config))
    monkeypatch.setattr(benchmark_script, "ATTACKER_STEPS", 1)
    monkeypatch.setattr(benchmark_script, "usual_listeners", always([]))


@pytest.mark.slow
def test_a_cell_that_was_interrupted_goes_on_to_the_same_result(
    benchmark_script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(benchmark_script, monkeypatch)
    interrupted, whole = (
        benchmark_script.Plan(2, 3, 1, tmp_path / name / "runs", tmp_path / name) for name in ("interrupted", "whole")
    )
    with monkeypatch.context() as patched:
        patched.setattr(benchmark_script, "usual_listeners", always([Interrupted()]))
        with pytest.raises(SystemExit, match="same command goes on"):
            benchmark_script.play_cell(interrupted, "shared", 101)
    assert len(list(RunFolder.open(interrupted.runs / "shared-101").metrics())) == 1
    assert not list(interrupted.results.glob("*.json"))
    # The held-out notes are revised later: a kill may come there as well.
    with monkeypatch.context() as patched:
        patched.setattr(benchmark_script, "attack_notes", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            benchmark_script.play_cell(interrupted, "shared", 101)

    for plan in (interrupted, whole):
        benchmark_script.play_cell(plan, "shared", 101)

    cells = [json.loads((plan.results / "shared-101.json").read_text()) for plan in (interrupted, whole)]
    for cell in cells:
        del cell["training"]["seconds/total"]
    assert cells[0] == cells[1]
    assert cells[0]["training"]["assessor_samples_learnt"] == 6
    assert "| untaught conditions, rare errors, unseen attackers |" in benchmark_script.report(interrupted.results)


def raise_interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
