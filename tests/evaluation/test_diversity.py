import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import notes
from medical_team.evaluation.diversity import self_bleu


def plain_self_bleu(texts):
    """BLEU-4 of each text against all others, by its definition."""
    scores = []
    for index, text in enumerate(texts):
        own, others = text.split(), [other.split() for place, other in enumerate(texts) if place != index]
        logs = 0.0
        for order in range(1, 5):
            counted = [
                Counter(tuple(words[start : start + order]) for start in range(len(words) - order + 1))
                for words in [own, *others]
            ]
            matches = sum(min(count, max(other[ngram] for other in counted[1:])) for ngram, count in counted[0].items())
            logs += math.log((matches + 1) / (counted[0].total() + 1)) / 4
        reference = min((len(other) for other in others), key=lambda length: (abs(length - len(own)), length))
        scores.append(math.exp(logs + min(0.0, 1 - reference / len(own))))
    return sum(scores) / len(scores)


@given(st.lists(notes, min_size=2, max_size=6))
def test_it_is_the_mean_bleu_of_each_text_against_the_others(texts):
    assert self_bleu(texts) == pytest.approx(plain_self_bleu(texts))


def test_copies_are_not_diverse_and_different_words_are():
    copies = ["the patient is given 500 mg of amoxicillin a day"] * 3
    different = ["a b c d e f g h i j", "k l m n o p q r s t", "u v w x y z aa bb cc dd"]

    assert self_bleu(copies) == pytest.approx(1.0)
    assert self_bleu(different) < 0.15


def test_one_text_alone_has_no_diversity():
    assert self_bleu(["a note"]) is None


def test_a_text_without_a_word_matches_nothing():
    assert self_bleu(["...", "..."]) == 0.0
