from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders import a_record
from medical_team.data.cases import Case, choose_cases, four_way_split, hold_out
from medical_team.records import DataType, ErrorType

seeds = st.integers(0, 2**40)
error_types = st.sampled_from(list(ErrorType))


PAIR = a_record().pair


def a_case(number: int, error_type: str, group: int) -> Case:
    return Case(number, group, replace(PAIR, error_type=error_type))


@st.composite
def case_lists(draw: Callable[..., Any], max_group: int = 4, min_groups: int = 1):
    """Cases in at least ``min_groups`` groups of one to ``max_group``."""
    groups = draw(st.lists(st.lists(error_types, min_size=1, max_size=max_group), min_size=min_groups, max_size=40))
    flat = [(group, error_type) for group, members in enumerate(groups) for error_type in members]
    return [a_case(number, error_type, group) for number, (group, error_type) in enumerate(flat)]


@given(case_lists(), seeds)
def test_each_case_gives_two_records_both_vanilla_or_both_adversarial(cases: list[Case], seed: int) -> None:
    seats = four_way_split(cases, seed)

    types_of_case: dict[int, set[DataType]] = {case.number: set() for case in cases}
    for seat in seats:
        types_of_case[seat.case.number].add(seat.data_type)
    assert len(seats) == 2 * len(cases)
    for types in types_of_case.values():
        assert len(types) == 2
        assert {data_type.is_harmful for data_type in types} == {True, False}
        assert len({data_type.is_adversarial for data_type in types}) == 1


@given(case_lists(), seeds)
def test_the_four_categories_are_equal_but_for_an_odd_case(cases: list[Case], seed: int) -> None:
    counts = Counter(seat.data_type for seat in four_way_split(cases, seed))

    vanilla, adversarial = -(-len(cases) // 2), len(cases) // 2
    assert [counts[data_type] for data_type in DataType] == [vanilla, vanilla, adversarial, adversarial]


@given(case_lists(), seeds)
def test_each_error_type_is_balanced_between_vanilla_and_adversarial(cases: list[Case], seed: int) -> None:
    counts = Counter((seat.case.error_type, seat.data_type.is_adversarial) for seat in four_way_split(cases, seed))

    for error_type in ErrorType:
        assert abs(counts[error_type, True] - counts[error_type, False]) <= 2  # one case


@given(case_lists(max_group=3, min_groups=18), seeds)
def test_twins_are_no_neighbours(cases: list[Case], seed: int) -> None:
    # Where a group has more than a sixth of the records, chance may not part them.
    seats = four_way_split(cases, seed)

    assert all(seat.case.group != following.case.group for seat, following in pairwise(seats))


@given(case_lists(), st.floats(0.01, 0.99), seeds)
def test_no_group_is_split_and_the_fraction_is_met(cases: list[Case], fraction: float, seed: int) -> None:
    train, held = hold_out(cases, fraction, seed)

    assert sorted(case.number for case in [*train, *held]) == [case.number for case in cases]
    assert {case.group for case in train}.isdisjoint(case.group for case in held)
    largest = max(Counter(case.group for case in cases).values())
    assert abs(len(held) - fraction * len(cases)) <= largest / 2 + 1e-6


@given(case_lists(), st.integers(1, 60), seeds)
def test_the_number_of_cases_asked_for_is_chosen_with_each_types_share(
    cases: list[Case], count: int, seed: int
) -> None:
    chosen = choose_cases(cases, count, seed)

    assert len(chosen) == len({case.number for case in chosen}) == min(count, len(cases))
    for error_type in ErrorType:
        share = sum(case.error_type is error_type for case in cases) * len(chosen) / len(cases)
        assert abs(sum(case.error_type is error_type for case in chosen) - share) < 1 + 1e-6


@given(case_lists(), seeds)
def test_the_same_seed_gives_the_same_split_whatever_the_order_of_the_cases(cases: list[Case], seed: int) -> None:
    assert four_way_split(cases, seed) == four_way_split(cases[::-1], seed)
    assert hold_out(cases, 0.3, seed) == hold_out(cases[::-1], 0.3, seed)


def test_another_seed_gives_another_split() -> None:
    cases = [a_case(number, ErrorType.DIAGNOSIS, number) for number in range(30)]

    assert four_way_split(cases, 1) != four_way_split(cases, 2)


def test_the_place_of_a_record_tells_nothing_of_its_label() -> None:
    cases = [a_case(number, ErrorType.DIAGNOSIS, number) for number in range(500)]

    seats = four_way_split(cases, 7)

    half = Counter(seat.data_type for seat in seats[:500])
    assert all(90 < half[data_type] < 160 for data_type in DataType)
    first_of_case = {seat.case.number: seat.data_type for seat in reversed(seats)}
    assert 200 < sum(data_type.is_harmful for data_type in first_of_case.values()) < 300
