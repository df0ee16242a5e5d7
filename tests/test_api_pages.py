import subprocess
import sys

import pytest

from needs import PDOC


@pytest.mark.slow
def test_every_module_has_a_page_and_nothing_is_warned_of(repository, tmp_path, load_script):
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
