import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.evaluation.ratings import ratings


def expected_wins(attackers, assessors, games=100_000):
    odds = 10 ** ((np.array(attackers)[:, None] - np.array(assessors)[None, :]) / 400)
    return games / (1 + odds)


def test_ratings_that_made_the_games_are_found_again():
    attackers, assessors = [900.0, 1000.0, 1100.0], [1200.0, 950.0]
    wins = expected_wins(attackers, assessors)

    found_attackers, found_assessors = ratings(wins, 100_000 - wins)

    assert found_attackers == pytest.approx(attackers, abs=0.5)
    assert found_assessors == pytest.approx(assessors, abs=0.5)


def test_who_never_loses_has_a_finite_rating():
    attackers, assessors = ratings(np.array([[10.0, 0.0], [10.0, 0.0]]), np.array([[0.0, 10.0], [0.0, 10.0]]))

    assert np.isfinite([*attackers, *assessors]).all()
    assert assessors[0] > 1000 > assessors[1]
    assert attackers[0] == pytest.approx(attackers[1])


def test_without_any_game_all_are_equal():
    attackers, assessors = ratings(np.zeros((2, 3)), np.zeros((2, 3)))

    assert attackers == pytest.approx([1000, 1000])
    assert assessors == pytest.approx([1000, 1000, 1000])


def test_draws_are_fitted_each_by_itself():
    wins, losses = np.array([[8.0, 2.0], [5.0, 5.0]]), np.array([[2.0, 8.0], [5.0, 5.0]])
    alone = ratings(wins, losses)

    together = ratings(np.stack([wins, losses]), np.stack([losses, wins]))

    assert together[0][0] == pytest.approx(alone[0], abs=1e-2)
    assert together[1][0] == pytest.approx(alone[1], abs=1e-2)


counts = st.lists(st.integers(0, 20).map(float), min_size=6, max_size=6).map(lambda n: np.array(n).reshape(2, 3))


@given(counts, counts)
def test_the_mean_attacker_has_1000_and_the_order_of_players_does_not_matter(wins, losses):
    attackers, assessors = ratings(wins, losses)
    turned_attackers, turned_assessors = ratings(wins[::-1, ::-1], losses[::-1, ::-1])

    assert attackers.mean() == pytest.approx(1000)
    assert turned_attackers[::-1] == pytest.approx(attackers, abs=0.1)
    assert turned_assessors[::-1] == pytest.approx(assessors, abs=0.1)
