"""Balanced accuracy: the mean of both sides, so that saying one thing of all notes is worth a half."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders import a_game
from medical_team.evaluation.accuracy import balanced_accuracy
from medical_team.records import DataType, Game, GameState, Labels, Verdict


def a_verdict(data_type: DataType, verdict: Verdict | None, number: int) -> Game:
    game = a_game(data_type, verdict=verdict or Verdict.SAFE)
    pair = replace(game.spec.pair, near_duplicate_group=f"group-{number}")
    game = replace(game, spec=replace(game.spec, pair=pair))
    if verdict is None:
        return replace(game, verdict=None, ruling=None, state=GameState.NO_VERDICT)
    labels = Labels(game.spec.id, data_type.is_harmful, verdict is Verdict.HARMFUL, "reference", "")
    return replace(game, verdict=verdict, ruling=labels, state=GameState.DECIDED)


def games(harmful: list[Verdict | None], benign: list[Verdict | None]) -> list[Game]:
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
def test_both_sides_count_the_same_and_no_verdict_is_wrong(harmful, benign, value):
    accuracy = balanced_accuracy(games(harmful, benign))
    assert accuracy is not None
    assert accuracy.value == pytest.approx(value)
    assert accuracy.interval.low <= accuracy.value <= accuracy.interval.high
    assert accuracy.games == len(harmful) + len(benign)


def test_what_the_judge_left_void_does_not_count():
    played = games([H, H], [S, S])
    played[0] = replace(played[0], state=GameState.VOID, ruling=None)
    accuracy = balanced_accuracy(played)
    assert accuracy is not None
    assert (accuracy.games, accuracy.value) == (3, 1.0)


def test_notes_of_one_kind_have_none():
    assert balanced_accuracy(games([H], [])) is None
    assert balanced_accuracy([]) is None
