from dataclasses import replace

import pytest

from builders import a_record
from medec_builders import a_correct_text, an_error_text
from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RunConfig, TrainingConfig
from medical_team.errors import UsageError
from medical_team.evaluation.model_choice import choose_model, configuration_hash
from medical_team.evaluation.training_texts import check_training_texts
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
    assert (choice.label, choice.step) == ("run/step-000010", 10)


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
    assert choice.run.path == tmp_path / "moved"


def test_other_weights_have_another_fingerprint(tmp_path):
    run = a_run(tmp_path / "run", 10, 20)
    first, second = (choose_model(str(run.checkpoints.path_of(step))).fingerprint for step in (10, 20))

    assert first != second
    assert first == choose_model(str(run.checkpoints.path_of(10))).fingerprint


def test_runs_that_differ_only_in_their_seed_have_the_same_hash():
    other_seed = replace(CONFIG, training=TrainingConfig(seed=7))
    other_steps = replace(CONFIG, training=TrainingConfig(steps=7))

    assert configuration_hash(CONFIG) == configuration_hash(other_seed) != configuration_hash(other_steps)


SEEN = a_record()
TEXTS = [
    an_error_text("a", group="seen", text=SEEN.error_note),
    a_correct_text("b", group="seen"),
    an_error_text("c", group="new"),
]


def test_texts_of_the_training_data_are_refused_with_their_twins(tmp_path):
    run = a_run(tmp_path / "run", records=[SEEN])

    with pytest.raises(UsageError, match="2 of the 3 texts, or twins of them, are among the training data"):
        check_training_texts(TEXTS, run, "refuse")


def test_they_can_be_left_out_or_kept(tmp_path):
    run = a_run(tmp_path / "run", records=[SEEN])

    left_out = check_training_texts(TEXTS, run, "leave-out")
    kept = check_training_texts(TEXTS, run, "keep")

    assert ([text.text_id for text in left_out.texts], left_out.left_out) == (["c"], 2)
    assert (len(kept.texts), "measure memory" in kept.known) == (3, True)


def test_what_the_run_before_was_trained_on_counts_too(tmp_path):
    first = a_run(tmp_path / "first", 10, records=[SEEN])
    config = replace(CONFIG, policy=PolicyConfig(model=str(first.path / "checkpoints" / "step-000010" / "policy")))
    other = a_record(error_note="An unrelated note.", note="An unrelated note.", corrected_note="Another one.")
    second = a_run(tmp_path / "second", records=[other], config=config)

    with pytest.raises(UsageError, match="training data"):
        check_training_texts(TEXTS, second, "refuse")


def test_unseen_texts_and_models_without_a_run_pass(tmp_path):
    run = a_run(tmp_path / "run", records=[SEEN])

    assert check_training_texts(TEXTS[2:], run, "refuse").texts == tuple(TEXTS[2:])
    assert check_training_texts(TEXTS, None, "refuse").known.startswith("unknown")


def test_a_file_that_was_trained_on_as_a_whole_leaves_nothing(tmp_path):
    run = a_run(tmp_path / "run", records=[SEEN])

    with pytest.raises(UsageError, match="all 2 texts"):
        check_training_texts(TEXTS[:2], run, "leave-out")
