from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest
import tomllib

from medical_team import __version__
from needs import PDOC


@pytest.fixture(scope="module")
def documents(repository: Path) -> list[Path]:
    """The project's Markdown pages."""
    pages = [*sorted(repository.glob("*.md")), *sorted((repository / "docs").glob("*.md"))]
    assert len(pages) > 20
    return pages


def test_the_configuration_page_is_up_to_date(repository: Path, load_script: Callable[..., ModuleType]) -> None:
    script = load_script("write_configuration_docs")

    committed = (repository / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert committed == script.configuration_page(), "run: python scripts/write_configuration_docs.py"


def test_every_link_to_a_file_leads_somewhere(documents: list[Path]) -> None:
    links = 0
    for document in documents:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                links += 1
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
    assert links > 50


def test_the_text_of_a_link_is_the_name_of_its_file(documents: list[Path]) -> None:
    texts = 0
    for document in documents:
        for text, target in re.findall(
            r"\[`?([\w./-]+\.(?:py|md|toml|sh))`?\]\(([^)#\s]+)", document.read_text(encoding="utf-8")
        ):
            texts += 1
            assert PurePosixPath(text).name == PurePosixPath(target).name, f"{document.name}: [{text}] is {target}"
    assert texts


def test_every_file_that_is_named_exists(repository: Path, documents: list[Path]) -> None:
    named = re.compile(r"`((?:medical_team|scripts|tests|docs|benchmarks)/[\w./-]+)`")
    names = 0
    for document in documents:
        for path in named.findall(document.read_text(encoding="utf-8")):
            names += 1
            assert (repository / path).exists(), f"{document.name} names {path}"
    assert names > 20


def test_every_module_that_is_named_exists_with_what_is_named_in_it(repository: Path, documents: list[Path]) -> None:
    """From the repository's root, from the package, or in the fork, into which the package is copied as `red_team`."""
    package = repository / "medical_team"
    of_others = {"remote_rm_utils.py"}
    modules = 0
    for document in documents:
        text = document.read_text(encoding="utf-8")
        for path, name in re.findall(
            r"`([\w./-]+\.py)(?:: (\w+))?`", text.replace("`FORK/red_team/", "`medical_team/")
        ):
            if path in of_others:
                continue
            modules += 1
            module = next((folder / path for folder in (repository, package) if (folder / path).exists()), None)
            assert module is not None, f"{document.name} names {path}"
            assert re.search(rf"\b{name}\b", module.read_text(encoding="utf-8")), f"{document.name}: {name} in {path}"
    assert modules > 50


def test_the_table_of_rooms_is_the_contract_of_imports(repository: Path) -> None:
    tools = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contract = next(rules for rules in tools["importlinter"]["contracts"] if rules["type"] == "layers")
    page = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \|", page.partition("| room |")[2].partition("\n\n")[0], re.MULTILINE)
    rooms = [name.removesuffix("/").removesuffix(".py") for row in rows for name in re.findall(r"`([^`]+)`", row)]

    for layer in reversed(contract["layers"]):
        names = layer.split(" | ")
        assert sorted(rooms[: len(names)]) == sorted(names)
        del rooms[: len(names)]
    assert rooms == []


def test_the_licence_is_whole(repository: Path) -> None:
    licence = (repository / "LICENSE").read_text(encoding="utf-8")

    assert "Apache License\n                           Version 2.0, January 2004" in licence
    assert all(f"\n   {number}. " in licence for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in licence
    assert "APPENDIX: How to apply the Apache License to your work." in licence


def test_licence_and_version_are_the_same_everywhere(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")

    assert project["license"] == "Apache-2.0"
    assert "\nlicense: Apache-2.0\n" in citation
    assert f"\nversion: {__version__}\n" in citation


def test_the_tables_on_the_page_are_up_to_date(repository: Path, load_script: Callable[..., ModuleType]) -> None:
    script = load_script("write_planning_docs")

    committed = (repository / "docs" / "planning.md").read_text(encoding="utf-8")

    assert committed == script.page(committed), "run: python scripts/write_planning_docs.py"


@pytest.mark.slow
def test_every_module_has_a_page_and_nothing_is_warned_of(
    repository: Path, tmp_path: Path, load_script: Callable[..., ModuleType]
) -> None:
    PDOC.module("pdoc")
    # Warnings are errors there.
    subprocess.run(
        [sys.executable, repository / "scripts" / "write_api_pages.py", tmp_path], cwd=repository, check=True
    )

    protocol = (tmp_path / "medical_team" / "judge" / "protocol.html").read_text(encoding="utf-8")
    assert "A ruling for each query, by its game id." in protocol
    pages = {page.relative_to(tmp_path).with_suffix("") for page in tmp_path.rglob("*.html")}
    modules = {
        path.relative_to(repository).with_suffix("") for path in (repository / "medical_team").rglob("[a-z]*.py")
    }
    # This room lists the names that it offers; its modules are its own matter.
    missing = {".".join(module.parts) for module in modules - pages if module.parent.name != "synthetic"}
    assert missing <= set(load_script("write_api_pages").NEED_ANOTHER_PROGRAM)
