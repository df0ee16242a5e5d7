"""What the service says of itself is true: schemathesis asks what the OpenAPI document allows, and what it doesn't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judge_cases import CASE
from schemathesis import GenerationMode
from serving import serving

from medical_team.judge.service.app import PATHS
from medical_team.judging import reference_judge

if TYPE_CHECKING:
    from schemathesis.specs.openapi.schemas import OpenApiSchema


TOKEN = "open-sesame"
EXAMPLES = 25
METHODS = {path: "POST" if path in ("/judge", "/classify", "/get_reward") else "GET" for path in PATHS}
METHODS.pop("/openapi.json")
# A question without parameters can't be put wrongly.
MODES = {"POST": list(GenerationMode), "GET": [GenerationMode.POSITIVE]}

AnyCase: TypeAlias = "schemathesis.Case[Any]"


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    with serving(reference_judge([CASE]), token=TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def api(service: httpx.Client) -> OpenApiSchema:
    return schemathesis.openapi.from_url(f"{service.base_url}/openapi.json")


@pytest.mark.parametrize(("path", "mode"), [(path, mode) for path in METHODS for mode in MODES[METHODS[path]]])
def test_every_answer_is_as_the_document_says(api: OpenApiSchema, path: str, mode: GenerationMode) -> None:
    cases: st.SearchStrategy[AnyCase] = cast("Any", api[path][METHODS[path]]).as_strategy(generation_mode=mode)

    @given(case=cases.map(of_one_length) if mode is GenerationMode.POSITIVE else cases)
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=[*HealthCheck.__members__.values()],
    )
    def answer_is_as_described(case: AnyCase) -> None:
        cast("Any", case).call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"})

    answer_is_as_described()


def of_one_length(case: AnyCase) -> AnyCase:
    """``case`` with lists of one length: that the service wants them so is nothing that a JSON schema can say."""
    if case.path == "/get_reward":
        body = cast("dict[str, Any]", case.body)
        lists = {name: body[name] for name in ("query", "prompts", "labels") if body.get(name) is not None}
        length = min(map(len, lists.values()))
        case.body = {**body, **{name: values[:length] for name, values in lists.items()}}
    return case


def test_every_path_is_described(service: httpx.Client) -> None:
    document = service.get("/openapi.json").json()

    assert {*document["paths"], "/openapi.json"} == set(PATHS)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"]
            assert all(response["description"] for response in operation["responses"].values())
            expected = {"400", "408", "413", "422", "429", "500", "503"} if method == "post" else set[str]()
            assert expected <= operation["responses"].keys()
            assert ("401" in operation["responses"]) == (path not in ("/health", "/ready"))
    json.dumps(document, allow_nan=False)
