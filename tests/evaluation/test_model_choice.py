from dataclasses import replace

import pytest

from builders import a_record
from medical_team.config import TINY_RANDOM_MODEL, GameConfig, PolicyConfig, RolloutConfig, RunConfig, TrainingConfig
from medical_team.errors import UsageError
from medical_team.evaluation.model_choice import choose_model, configuration_hash
from medical_team.runs.folder import RunFolder

CONFIG = RunConfig(policy=PolicyConfig(model=TINY_RANDOM_MODEL))


def a_run(path, *steps, records=(), config=CONFIG):
    run = RunFolder.create(path, config, list(records) or [a_record()])
    for step in steps:
        folder = run.checkpoints.path_of(step)
        (folder / "policy").mkdir(parents=True)
        (folder / "checkpoint.json").write_text("{}")
        (folder / "policy" / "model.safetensors").write_bytes(b"weights %d" % step)
    return run


def test_a_baseline_a_hub_name_and_a_served_model_are_told_apart():
    assert choose_model("all-safe").is_baseline
    assert choose_model("owner/model").location == "owner/model"
    served = choose_model("some-model", "http://127.0.0.1:8000/v1")
    assert (served.location, served.url) == ("some-model", "http://127.0.0.1:8000/v1")


def test_a_run_is_its_best_checkpoint(tmp_path):
    run = a_run(tmp_path / "run", 10, 20)
    run.checkpoints.record_best(10, "heldout/balanced_accuracy", 0.9)

    choice = choose_model(str(run.path))

    assert choice.location == str(run.checkpoints.path_of(10) / "policy")
    assert (choice.label, choice.part, choice.step) == ("run/step-000010", "best", 10)


def test_without_a_best_checkpoint_it_is_the_trained_model_and_else_the_last_checkpoint(tmp_path):
    run = a_run(tmp_path / "run", 10, 20)

    assert choose_model(str(run.path)).label == "run/step-000020"
    run.final_path.mkdir()
    assert choose_model(str(run.path)).label == "run/final"


def test_a_run_without_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match="has no checkpoint yet"):
        choose_model(str(a_run(tmp_path / "run").path))


def test_a_checkpoints_folder_knows_its_run_even_after_it_was_moved(tmp_path):
    run = a_run(tmp_path / "run", 10)
    run.path.rename(tmp_path / "moved")

    choice = choose_model(str(tmp_path / "moved" / "checkpoints" / "step-000010"))

    assert choice.location.endswith("policy")
    assert (choice.part, choice.step) == ("step-000010", 10)
    assert choice.run.path == tmp_path / "moved"


def test_other_weights_have_another_fingerprint(tmp_path):
    run = a_run(tmp_path / "run", 10, 20)
    first, second = (choose_model(str(run.checkpoints.path_of(step))).fingerprint for step in (10, 20))

    assert first != second
    assert first == choose_model(str(run.checkpoints.path_of(10))).fingerprint


def test_runs_that_differ_only_in_their_seed_have_the_same_hash(tmp_path):
    def hash_of(name, records=(), **training):
        run = a_run(tmp_path / name, records=records, config=replace(CONFIG, training=TrainingConfig(**training)))
        return configuration_hash(run)

    ours = hash_of("run", seed=1)

    assert hash_of("other-seed", seed=2) == ours
    assert hash_of("other-steps", steps=7) != ours
    assert hash_of("other-data", records=[a_record(note="Another note.", error_note="Another note.")]) != ours


def test_runs_that_started_from_runs_of_other_seeds_have_the_same_hash(tmp_path):
    def hash_of(seed, steps):
        start = a_run(
            tmp_path / f"start-{seed}-{steps}", config=replace(CONFIG, training=TrainingConfig(seed=seed, steps=steps))
        )
        start.final_path.mkdir()
        config = replace(CONFIG, policy=PolicyConfig(model=str(start.path)))
        return configuration_hash(a_run(tmp_path / f"run-{seed}-{steps}", config=config))

    assert hash_of(seed=1, steps=5) == hash_of(seed=2, steps=5) != hash_of(seed=1, steps=6)


def test_a_model_plays_by_the_rules_of_its_run_but_never_sits_a_role_out(tmp_path):
    config = replace(CONFIG, game=GameConfig(prompt_style="terse", no_attacker_turn=True))
    run = a_run(tmp_path / "run", 10, config=config)

    assert choose_model(str(run.path)).rules == (GameConfig(prompt_style="terse"), config.rollout)
    assert choose_model("owner/model").rules == (GameConfig(), RolloutConfig())


def test_the_policy_that_ships_is_asked_in_the_only_words_that_it_knows():
    game, _ = choose_model("demo").rules

    assert game.prompt_style == "terse"
