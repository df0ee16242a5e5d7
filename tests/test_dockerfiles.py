"""What can be said of the Dockerfiles without building them."""

import re
import shlex
from pathlib import Path

import pytest
import tomllib

FILES = ("cpu.Dockerfile", "cuda.Dockerfile")


@pytest.fixture(params=FILES)
def instructions(request: pytest.FixtureRequest, repository: Path) -> list[list[str]]:
    """The lines of a Dockerfile, each continued one as one, without comments."""
    text = (repository / "docker" / request.param).read_text(encoding="utf-8")
    text = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line]


def arguments(instructions: list[list[str]], name: str):
    return [rest for instruction, rest in instructions if instruction == name]


def test_the_program_runs_as_an_ordinary_user_and_listens_to_nobody(instructions: list[list[str]]) -> None:
    assert arguments(instructions, "USER") == ["researcher"]
    assert arguments(instructions, "EXPOSE") == []
    assert arguments(instructions, "ENTRYPOINT") == ['["medical-team"]']
    names = [instruction for instruction, _ in instructions]
    assert "RUN" not in names[names.index("USER") :]


def test_what_is_copied_exists_and_is_let_in(instructions: list[list[str]], repository: Path) -> None:
    let_in = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copies = [copy for copy in arguments(instructions, "COPY") if not copy.startswith("--from")]
    assert copies
    for copy in copies:
        *sources, _ = shlex.split(copy)
        for source in sources:
            assert (repository / source).exists()
            assert f"!{source}" in let_in


def test_nothing_but_what_is_copied_is_let_in(repository: Path) -> None:
    lines = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    files = "".join((repository / "docker" / name).read_text(encoding="utf-8") for name in FILES)

    assert "*" in lines
    assert [line for line in lines if line.startswith("!") and line[1:] not in files] == []


def test_torch_and_the_extras_are_those_of_the_makefile_and_of_the_package(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cpu, cuda = ((repository / "docker" / name).read_text(encoding="utf-8") for name in FILES)

    torch = re.search(r"ARG TORCH=(\S+)", cpu)
    extras = re.search(r"'\.\[(.*)\]'", cuda)
    assert torch is not None
    assert f"TORCH ?= {torch[1]}\n" in makefile
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
