from dataclasses import replace

from builders import a_game, a_spec
from medical_team.metrics.revisions import (
    is_at_stake_changed,
    is_decided_revision,
    near_duplicates,
    revision_figures,
)
from medical_team.records import DataType, GameState

SEED = a_spec(DataType.ADVERSARIAL_HARMFUL).seed_note
OTHER_SEED = "A girl of six is seen for a swollen knee after a fall; the joint is warm and she can't bear weight on it."


def test_a_faithful_revision_keeps_length_and_words() -> None:
    figures = revision_figures([a_game(), a_game(state=GameState.NO_REVISION, revision="")])

    assert (figures.replies, figures.notes) == (2, 1)
    assert (figures.length_kept, figures.words_kept, figures.copies) == (1, 1, 0)


def test_a_short_or_foreign_note_does_not() -> None:
    short = a_game(revision=" ".join(SEED.split()[: len(SEED.split()) // 2]))
    foreign = a_game(revision=" ".join(["blah"] * len(SEED.split())))

    figures = revision_figures([short, foreign])

    assert figures.length_kept == 1
    assert figures.words_kept == 1


def test_a_copy_is_counted_whatever_its_case() -> None:
    assert revision_figures([a_game(revision=SEED.upper())]).copies == 1


def test_a_vanilla_note_is_no_revision() -> None:
    assert revision_figures([a_game(DataType.VANILLA_HARMFUL)]).replies == 0


def test_a_revision_is_decided_where_it_changed_something_and_was_ruled_on() -> None:
    assert is_decided_revision(a_game())
    assert not is_decided_revision(a_game(revision=SEED.upper()))
    assert not is_decided_revision(a_game(state=GameState.UNDECIDABLE))
    assert not is_decided_revision(a_game(DataType.VANILLA_HARMFUL))


def test_the_sentence_at_stake_is_changed_when_its_words_are_gone() -> None:
    spec = a_spec(DataType.ADVERSARIAL_HARMFUL)
    at_stake = spec.pair.error_sentence
    assert at_stake in spec.seed_note

    elsewhere = a_game(revision=f"Notably, {spec.seed_note.upper()}")
    reworded = a_game(revision=spec.seed_note.replace(at_stake, f"Moreover, {at_stake[:-6]}"))
    right = a_game(DataType.ADVERSARIAL_BENIGN, revision=spec.seed_note)

    assert [is_at_stake_changed(game) for game in (elsewhere, reworded, right)] == [False, True, True]


def test_one_answer_to_different_notes_is_a_near_duplicate() -> None:
    same = "The patient was seen and everything was fine and nothing more was done about it at all that day."

    assert near_duplicates([(same, SEED), (same.upper() + " Really.", OTHER_SEED), (OTHER_SEED, OTHER_SEED)]) == 2


def test_like_revisions_of_like_notes_are_none() -> None:
    assert near_duplicates([(SEED, SEED), (SEED, SEED)]) == 0
    assert near_duplicates([(SEED, SEED), (OTHER_SEED, OTHER_SEED)]) == 0


def test_counts_add_up() -> None:
    one = revision_figures([a_game()])

    assert one + one == revision_figures([a_game(), replace(a_game(), reason="again")])
