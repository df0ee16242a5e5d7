from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.error_types import WantedErrorTypes, error_type_key, error_type_named, in_order
from medical_team.records import ErrorType

MEDEC = [error_type.value for error_type in ErrorType]


@pytest.mark.parametrize("name", MEDEC)
@pytest.mark.parametrize("change", [str, str.upper, str.lower, "  {}\n".format])
def test_medec_s_own_names_are_known_in_any_case(name: str, change: Callable[..., Any]) -> None:
    assert error_type_named(change(name)) == name


@pytest.mark.parametrize("name", ["causal organism", "causal_organism", "Causal-Organism", "CAUSALORGANISM"])
def test_the_causal_organism_may_be_spelled_in_words(name: str) -> None:
    assert error_type_named(name) == "causalOrganism"


def test_other_names_are_kept_as_written() -> None:
    assert error_type_named(" Lab /  Serum Value ") == "Lab / Serum Value"
    assert error_type_named("Causal Organism / Pathogen") == "Causal Organism / Pathogen"


@given(st.text())
def test_naming_changes_no_key(name: str) -> None:
    assert error_type_key(error_type_named(name)) == error_type_key(name)


def test_types_come_once_medec_s_first() -> None:
    assert in_order(["anatomy", "treatment", "Anatomy", "Lab value", "diagnosis"]) == [
        *("diagnosis", "treatment", "anatomy", "Lab value"),
    ]


@pytest.mark.parametrize(
    ("names", "there", "chosen", "unknown"),
    [
        ([], ["Anatomy", "diagnosis"], ["Anatomy", "diagnosis"], ()),
        (["anatomy"], ["Anatomy", "diagnosis"], ["Anatomy"], ()),
        (["DIAGNOSIS", "lab value"], ["Lab-Value", "diagnosis", "treatment"], ["Lab-Value", "diagnosis"], ()),
        (["dosage"], ["pharmacotherapy", "diagnosis"], ["pharmacotherapy"], ()),
        (["Contraindication "], ["pharmacotherapy"], ["pharmacotherapy"], ()),
        (["dosage"], ["pharmacotherapy", "Dosage"], ["Dosage"], ()),
        (["treatment"], ["diagnosis"], [], ()),
        (["diagnosis", "anatomie"], ["Anatomy", "diagnosis"], ["diagnosis"], ("anatomie",)),
    ],
)
def test_types_are_chosen_by_any_spelling(
    names: list[str], there: list[str], chosen: list[str], unknown: tuple[str, ...]
) -> None:
    wanted = WantedErrorTypes.of(names, there)

    assert [name for name in there if name in wanted] == chosen
    assert wanted.unknown == unknown
