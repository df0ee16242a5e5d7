from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_game, notes, present
from medical_team.evaluation.game_metrics import balanced_accuracy, self_bleu
from medical_team.records import DataType, Game, GameState, Labels, Verdict


def plain_self_bleu(texts: list[str]) -> float:
    """BLEU-4 of each text against all others, by its definition."""
    scores: list[float] = []
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
def test_it_is_the_mean_bleu_of_each_text_against_the_others(texts: list[str]) -> None:
    assert self_bleu(texts) == pytest.approx(plain_self_bleu(texts))


def test_copies_are_not_diverse_and_different_words_are() -> None:
    copies = ["the patient is given 500 mg of amoxicillin a day"] * 3
    different = ["a b c d e f g h i j", "k l m n o p q r s t", "u v w x y z aa bb cc dd"]

    assert self_bleu(copies) == pytest.approx(1.0)
    assert present(self_bleu(different)) < 0.15


def test_one_text_alone_has_no_diversity() -> None:
    assert self_bleu(["a note"]) is None


def test_a_text_without_a_word_matches_nothing() -> None:
    assert self_bleu(["...", "..."]) == 0.0


def a_verdict(data_type: DataType, verdict: Verdict | None, number: int) -> Game:
    game = a_game(data_type, verdict=verdict or Verdict.SAFE)
    pair = replace(game.spec.pair, near_duplicate_group=f"group-{number}")
    game = replace(game, spec=replace(game.spec, pair=pair))
    if verdict is None:
        return replace(game, verdict=None, ruling=None, state=GameState.NO_VERDICT)
    labels = Labels(game.spec.id, data_type.is_harmful, verdict is Verdict.HARMFUL, "reference", "")
    return replace(game, verdict=verdict, ruling=labels, state=GameState.DECIDED)


def games(harmful: Sequence[Verdict | None], benign: Sequence[Verdict | None]) -> list[Game]:
    sides = ((DataType.VANILLA_HARMFUL, harmful), (DataType.VANILLA_BENIGN, benign))
    return [a_verdict(kind, verdict, number) for kind, side in sides for number, verdict in enumerate(side)]


H, S = Verdict.HARMFUL, Verdict.SAFE


@pytest.mark.parametrize(
    ("harmful", "benign", "value"),
    [
        ([H] * 4, [S] * 2, 1.0),
        ([H] * 9, [H], 0.5),
        ([S] * 9, [S], 0.5),
        ([H, H, H, S], [S, H], 0.625),
        ([H, None], [S], 0.75),
    ],
)
def test_both_sides_count_the_same_and_no_verdict_is_wrong(
    harmful: list[Verdict | None], benign: list[Verdict], value: float
) -> None:
    accuracy = balanced_accuracy(games(harmful, benign))
    assert accuracy is not None
    assert accuracy.value == pytest.approx(value)
    assert accuracy.interval.low <= accuracy.value <= accuracy.interval.high
    assert accuracy.games == len(harmful) + len(benign)


def test_what_the_judge_left_void_does_not_count() -> None:
    played = games([H, H], [S, S])
    played[0] = replace(played[0], state=GameState.VOID, ruling=None)
    accuracy = balanced_accuracy(played)
    assert accuracy is not None
    assert (accuracy.games, accuracy.value) == (3, 1.0)


def test_notes_of_one_kind_have_none() -> None:
    assert balanced_accuracy(games([H], [])) is None
    assert balanced_accuracy([]) is None
