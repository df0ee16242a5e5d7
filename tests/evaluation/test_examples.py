import pytest

from medec_csv import some_rows, write_csv
from medical_team.errors import UsageError
from medical_team.evaluation.examples import choose_examples
from medical_team.evaluation.medec_texts import load_medec


@pytest.fixture
def csv(tmp_path):
    return write_csv(tmp_path / "medec.csv", some_rows(6))


def test_examples_are_with_and_without_an_error_in_turn_and_of_different_groups(csv):
    examples = choose_examples(csv, [], 4, seed=1)

    assert [text.has_error for text in examples.texts] == [True, False, True, False]
    assert len({text.near_duplicate_group for text in examples.texts}) == 4
    assert examples == choose_examples(csv, [], 4, seed=1) != choose_examples(csv, [], 4, seed=2)


@pytest.mark.parametrize("seed", range(5))
def test_no_example_is_evaluated_or_the_twin_of_a_text_that_is(csv, tmp_path, seed):
    # Of each case the error row alone, in a file of its own: its correct twin gives it away all the same.
    evaluated = load_medec(write_csv(tmp_path / "evaluated.csv", some_rows(6)[:8:2])).texts

    examples = choose_examples(csv, evaluated, 2, seed)

    assert {text.near_duplicate_group for text in examples.texts} == {"ms-val-8", "ms-val-10"}


def test_too_few_examples_are_an_error(csv):
    with pytest.raises(UsageError, match="has only 0 such examples"):
        choose_examples(csv, load_medec(csv).texts, 2, seed=1)
    with pytest.raises(UsageError, match=r"--shots is 8, but .* only 6"):
        choose_examples(csv, [], 8, seed=1)


def test_what_is_written_down_of_them_holds_no_word_of_them(csv):
    examples = choose_examples(csv, [], 2, seed=1)

    assert examples.origin.startswith("medec.csv (sha256 ")
    assert all(text.text_id in examples.origin and text.text[:20] not in examples.origin for text in examples.texts)
