"""Reading notes as words: what is the same, and what only looks the same."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.judge.wording import excess, read, spaced, strange_characters, times_within


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("BP is 120/80 mm Hg.", ("bp", "is", "120/80", "mm", "hg")),
        ("0.50 mg, .5 mg", ("0.5", "mg", "0.5", "mg")),
        ("11,100/mm3", ("11100", "per", "mm3")),
        ("Na+ 137, Cl- 99", ("na", "+", "137", "cl", "-", "99")),
        ("2–3 x-rays", ("2-3", "x", "rays")),
        ("doesn't", ("doesnt",)),
        ("≥ 5 µg", (">=", "5", "μg")),
        ("10⁹/L", ("10^9", "per", "l")),
        ("Guillain-Barré", ("guillain", "barre")),
        ("a-typical", ("a-", "typical")),
    ],
)
def test_words_keep_what_carries_meaning(text: str, words: tuple[str, ...]) -> None:
    assert read(text).words == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The physician", "a doctor"),
        ("twenty-four weeks", "24 weeks"),
        ("His pulse was 80", "his pulse is 80"),
        ("Notably, she coughs.", "She coughs"),
        ("80/min", "80 per minute"),
        ("5 mg/dL", "5 mg per dL"),
        ("temperature is 38 C", "temperature is 38 degrees Celsius"),
        ("for the past two years", "over the last 2 years"),
    ],
)
def test_wordings_that_mean_the_same_have_the_same_plain_words(one: str, other: str) -> None:
    assert read(one).plain == read(other).plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.5 mg", "5 mg"),
        ("0.5 mg", "0/5 mg"),
        ("< 4", "> 4"),
        ("CD4+", "CD4-"),
        ("hepatitis C", "hepatitis Celsius"),
        ("hepatitis A", "hepatitis"),
        ("a few cells", "few cells"),
        ("30 min", "30 beats per minute"),
        ("scarlet fever", "scarlet pyrexia"),
        ("portal hypertension", "portal high blood pressure"),
        ("he is pregnant", "he was pregnant"),
        ("a-symptomatic", "symptomatic"),
        ("twenty four", "20 4"),
        ("-3", "3"),
        ("(-) fever", "fever"),
        ("fever-free", "fever free"),
        ("-5 C", "5 C"),
        ("— 5 C", "5 C"),
        ("5 /day", "5 day"),
        ("5 mg/day", "5 mg day"),
    ],
)
def test_wordings_that_differ_in_meaning_keep_different_plain_words(one: str, other: str) -> None:
    assert read(one).plain != read(other).plain


def test_sentences_end_at_full_stops_and_not_at_decimal_points() -> None:
    wording = read("Pulse is 80.5 now. Labs: Na 140; K 4. Done")
    assert wording.sentences == (("pulse", "is", "80.5", "now"), ("labs", "na", "140", "k", "4"), ("done",))


def test_a_negation_reaches_to_the_end_of_its_clause() -> None:
    assert read("He has no fever or chills. He coughs.").scopes == [("no", "fever", "or", "chills")]
    assert read("He has no fever. Or chills.").scopes == [("no", "fever")]


def test_characters_that_hide_are_strange_unless_the_case_has_them() -> None:
    assert strange_characters("a\u200bb\x08 é\N{NO-BREAK SPACE}–\n", frozenset("é")) == ["\x08", "\u200b"]


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    wording = read(text)
    assert sum(len(clause.plain) for clause in wording.clauses) == len(wording.plain)
    assert sum(len(sentence) for sentence in wording.sentences) == len(wording.plain)


@given(st.text(alphabet="ab .,;:!?-1/()'\"\n<>+", max_size=60))
def test_case_and_white_space_never_matter(text: str) -> None:
    assert read(text.upper().replace(" ", " \n ")).words == read(text.replace(" ", "  ")).words


@given(
    st.lists(st.text(alphabet="anoNOHert .,;:!?-1/()'\"\n<>+", max_size=30), min_size=1, max_size=4),
    st.sampled_from([" ", "\n", "  \n"]),
)
def test_what_stands_between_full_stops_is_read_the_same_alone(parts: list[str], space: str) -> None:
    parts = [f"It is so {part}." for part in parts]
    together, alone = read(space.join(parts)), [read(part) for part in parts]

    assert together.words == tuple(word for wording in alone for word in wording.words)
    assert together.clauses == tuple(clause for wording in alone for clause in wording.clauses)
    assert together.scopes == [words for wording in alone for words in wording.scopes]
    assert sorted(together.marks) == sorted(mark for wording in alone for mark in wording.marks)


@pytest.mark.parametrize("announcement", ["Here is the rewritten note: ", "?! Note: ", ". Note:\n"])
def test_a_first_clause_that_only_announces_the_note_is_no_part_of_it(announcement: str) -> None:
    assert read(f"{announcement}He coughs.").plain == ("he", "coughs")
    assert read(f"He coughs. {announcement}He coughs.").plain != ("he", "coughs", "he", "coughs")


def test_phrases_are_found_word_by_word() -> None:
    assert times_within(spaced(("a", "b", "a", "b", "ab")), ("a", "b")) == 2
    assert times_within(spaced(("ab",)), ("a",)) == 0
    assert times_within(spaced(("a",)), ()) == 0
    assert times_within(spaced(()), ("a",)) == 0


short_notes = st.lists(st.sampled_from(["He has fever.", "No cough.", "No fever.", "He coughs"]), max_size=6).map(
    " ".join
)


@given(short_notes, short_notes)
def test_what_two_notes_don_t_share_is_what_makes_them_differ(one: str, other: str) -> None:
    ours, theirs = read(one), read(other)
    added, removed = excess(ours, theirs)

    assert Counter(added) == Counter(ours.plain) - Counter(theirs.plain)
    assert Counter(removed) == Counter(theirs.plain) - Counter(ours.plain)
    assert ours.restates_scopes_of(theirs) == (Counter(ours.scopes) == Counter(theirs.scopes))


def test_vowel_signs_are_letters_where_a_script_spells_with_them_and_accents_elsewhere() -> None:
    assert read("दवा की मात्रा").words == ("दवा", "की", "मात्रा")
    assert read("दवा की").words != read("दवा का").words
    assert read("Ménière").words == read("Meniere").words
    assert read("الْقَلْب").words == read("القلب").words


@pytest.mark.parametrize("end", "。！？｡؟۔।॥።")
def test_sentences_end_at_the_marks_of_every_script(end: str) -> None:
    wording = read(f"No fever{end}Cough{end}")
    assert wording.scopes == [("no", "fever")]
    assert wording.sentences == (("no", "fever"), ("cough",))
    assert read(f"No fever{end} Cough{end}").clauses == wording.clauses


def test_a_semicolon_of_any_script_ends_what_is_negated() -> None:
    assert read("No fever؛ cough").scopes == read("No fever； cough").scopes == [("no", "fever")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("无发热，咳嗽。", "无发热。咳嗽。"),
        ("无发热、咳嗽。", "无发热，咳嗽。"),
        ("لا حمى، سعال.", "لا حمى. سعال."),
        ("बुखार नहीं। खांसी", "बुखार। नहीं खांसी"),
        ("Нет, кашель.", "Нет кашель."),
    ],
)
def test_in_other_scripts_no_mark_may_move_since_their_negations_are_unknown(one: str, other: str) -> None:
    assert read(one).words == read(other).words
    assert not read(one).restates_scopes_of(read(other))


def test_in_other_scripts_white_space_and_width_may_differ() -> None:
    assert read("无发热，咳嗽。 有痰").scopes == read("无发热,咳嗽。有痰").scopes


def test_greek_letters_are_at_home_in_latin_notes() -> None:
    assert read("No α-blocker, β-blocker").scopes == [("no", "α", "blocker", "β", "blocker")]
