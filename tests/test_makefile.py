import re
import shutil
import subprocess

import pytest

from needs import MAKE


@pytest.mark.skipif(shutil.which("make") is None, reason=MAKE.reason())
def test_help_names_what_a_person_would_make(repository):
    told = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert targets is not None
    steps_of_test = {"lint", "types", "imports", "tests"}
    assert {*targets[1].split()} - steps_of_test - {"help"} <= {*re.findall(r"make ([\w-]+)", told)}
