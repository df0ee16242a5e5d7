from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_pair, a_record, present
from medec_builders import a_correct_text, an_error_text
from medec_csv import some_rows, write_csv
from medical_team.config import TINY_RANDOM_MODEL, GameConfig, PolicyConfig, RolloutConfig, RunConfig, TrainingConfig
from medical_team.errors import UsageError
from medical_team.evaluation.medec_texts import load_medec
from medical_team.evaluation.model_choice import (
    ModelChoice,
    check_heldout,
    check_training_texts,
    choose_model,
    configuration_hash,
    groups_with,
)
from medical_team.records import TrainingRecord
from medical_team.runs.folder import RunFolder

CONFIG = RunConfig(policy=PolicyConfig(model=TINY_RANDOM_MODEL))


def a_run(path: Path, *steps: int, records: list[TrainingRecord] | tuple[Any, ...] = (), config: RunConfig = CONFIG):
    run = RunFolder.create(path, config, list(records) or [a_record()])
    for step in steps:
        folder = run.checkpoints.path_of(step)
        (folder / "policy").mkdir(parents=True)
        (folder / "checkpoint.json").write_text("{}")
        (folder / "policy" / "model.safetensors").write_bytes(b"weights %d" % step)
    return run


def test_a_baseline_a_hub_name_and_a_served_model_are_told_apart() -> None:
    assert choose_model("all-safe").is_baseline
    assert choose_model("owner/model").location == "owner/model"
    served = choose_model("some-model", "http://127.0.0.1:8000/v1")
    assert (served.location, served.url) == ("some-model", "http://127.0.0.1:8000/v1")


def test_a_run_is_its_best_checkpoint(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", 10, 20)
    run.checkpoints.record_best(10, "heldout/balanced_accuracy", 0.9)

    choice = choose_model(str(run.path))

    assert choice.location == str(run.checkpoints.path_of(10) / "policy")
    assert (choice.label, choice.part, choice.step) == ("run/step-000010", "best", 10)


def test_without_a_best_checkpoint_it_is_the_trained_model_and_else_the_last_checkpoint(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", 10, 20)

    assert choose_model(str(run.path)).label == "run/step-000020"
    run.final_path.mkdir()
    assert choose_model(str(run.path)).label == "run/final"


def test_a_run_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no checkpoint yet"):
        choose_model(str(a_run(tmp_path / "run").path))


def test_a_checkpoints_folder_knows_its_run_even_after_it_was_moved(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", 10)
    run.path.rename(tmp_path / "moved")

    choice = choose_model(str(tmp_path / "moved" / "checkpoints" / "step-000010"))

    assert choice.location.endswith("policy")
    assert (choice.part, choice.step) == ("step-000010", 10)
    assert present(choice.run).path == tmp_path / "moved"


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", 10, 20)
    first, second = (choose_model(str(run.checkpoints.path_of(step))).fingerprint for step in (10, 20))

    assert first != second
    assert first == choose_model(str(run.checkpoints.path_of(10))).fingerprint


def test_runs_that_differ_only_in_their_seed_have_the_same_hash(tmp_path: Path) -> None:
    def hash_of(name: str, records: list[TrainingRecord] | tuple[Any, ...] = (), **training: Any) -> str:
        run = a_run(tmp_path / name, records=records, config=replace(CONFIG, training=TrainingConfig(**training)))
        return configuration_hash(run)

    ours = hash_of("run", seed=1)

    assert hash_of("other-seed", seed=2) == ours
    assert hash_of("other-steps", steps=7) != ours
    assert hash_of("other-data", records=[a_record(note="Another note.", error_note="Another note.")]) != ours


def test_runs_that_started_from_runs_of_other_seeds_have_the_same_hash(tmp_path: Path) -> None:
    def hash_of(seed: int, steps: int) -> str:
        start = a_run(
            tmp_path / f"start-{seed}-{steps}", config=replace(CONFIG, training=TrainingConfig(seed=seed, steps=steps))
        )
        start.final_path.mkdir()
        config = replace(CONFIG, policy=PolicyConfig(model=str(start.path)))
        return configuration_hash(a_run(tmp_path / f"run-{seed}-{steps}", config=config))

    assert hash_of(seed=1, steps=5) == hash_of(seed=2, steps=5) != hash_of(seed=1, steps=6)


def test_a_model_plays_by_the_rules_of_its_run_but_never_sits_a_role_out(tmp_path: Path) -> None:
    config = replace(CONFIG, game=GameConfig(prompt_style="terse", no_attacker_turn=True))
    run = a_run(tmp_path / "run", 10, config=config)

    assert choose_model(str(run.path)).rules == (GameConfig(prompt_style="terse"), config.rollout)
    assert choose_model("owner/model").rules == (GameConfig(), RolloutConfig())


def test_the_policy_that_ships_is_asked_in_the_only_words_that_it_knows() -> None:
    game, _ = choose_model("demo").rules

    assert game.prompt_style == "terse"


SEEN = a_record()
TEXTS = [
    an_error_text("a", group="seen", text=SEEN.error_note),
    a_correct_text("b", group="seen"),
    an_error_text("c", group="new"),
]


def a_trained_run(
    path: Path,
    records: list[TrainingRecord],
    config: RunConfig = CONFIG,
    heldout: list[TrainingRecord] | tuple[Any, ...] = (),
):
    return RunFolder.create(path, config, records, heldout)


def test_texts_of_the_training_data_are_refused_with_their_twins(tmp_path: Path) -> None:
    run = a_trained_run(tmp_path / "run", records=[SEEN])

    with pytest.raises(UsageError, match="2 of the 3 texts, or twins of them, are among the training data"):
        check_training_texts(TEXTS, run, "refuse")


def test_they_can_be_left_out_or_kept(tmp_path: Path) -> None:
    run = a_trained_run(tmp_path / "run", records=[SEEN])

    left_out = check_training_texts(TEXTS, run, "leave-out")
    kept = check_training_texts(TEXTS, run, "keep")

    assert ([text.text_id for text in left_out.texts], left_out.left_out) == (["c"], 2)
    assert (len(kept.texts), "measure memory" in kept.known) == (3, True)


def test_what_the_run_before_was_trained_on_counts_too(tmp_path: Path) -> None:
    first = a_trained_run(tmp_path / "first", records=[SEEN])
    (first.path / "final").mkdir()
    config = replace(CONFIG, policy=PolicyConfig(model=str(first.path / "final")))
    other = a_record(error_note="An unrelated note.", note="An unrelated note.", corrected_note="Another one.")
    second = a_trained_run(tmp_path / "second", records=[other], config=config)

    with pytest.raises(UsageError, match="training data"):
        check_training_texts(TEXTS, second, "refuse")


def test_texts_by_which_the_best_checkpoint_was_chosen_are_told(tmp_path: Path) -> None:
    other = a_record(error_note="An unrelated note.", note="An unrelated note.", corrected_note="Another one.")
    run = a_trained_run(tmp_path / "run", [other], heldout=[SEEN])

    assert (
        "the best checkpoint was chosen by 2 of them, or by twins" in check_training_texts(TEXTS, run, "refuse").known
    )


def test_unseen_texts_and_models_without_a_run_pass(tmp_path: Path) -> None:
    run = a_trained_run(tmp_path / "run", records=[SEEN])

    assert check_training_texts(TEXTS[2:], run, "refuse").texts == tuple(TEXTS[2:])
    assert check_training_texts(TEXTS, None, "refuse").known.startswith("unknown")


def test_a_file_that_was_trained_on_as_a_whole_leaves_nothing(tmp_path: Path) -> None:
    run = a_trained_run(tmp_path / "run", records=[SEEN])

    with pytest.raises(UsageError, match="all 2 texts"):
        check_training_texts(TEXTS[:2], run, "leave-out")


def test_notes_that_the_run_was_trained_on_are_refused_unless_the_user_insists(tmp_path: Path) -> None:
    run = a_trained_run(tmp_path / "run", [a_record()])
    choice = ModelChoice("run", "run", run=run)
    other = replace(a_pair(), case_id="new", error_note="A new note.", corrected_note="A note, new.")

    check_heldout([other], choice, is_kept=False)
    check_heldout([a_pair()], choice, is_kept=True)
    with pytest.raises(UsageError, match=r"1 of the 2 cases are among the training data .*case-0"):
        check_heldout([a_pair(), other], choice, is_kept=False)


def test_a_text_that_was_trained_on_gives_its_twin_away(tmp_path: Path) -> None:
    rows = some_rows(3)
    texts = load_medec(write_csv(tmp_path / "medec.csv", rows)).texts

    assert groups_with(texts, [rows[2]["Text"].upper() + " "]) == {"ms-val-2"}
    assert groups_with(texts, ["Another note."]) == set()
