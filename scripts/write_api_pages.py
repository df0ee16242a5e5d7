"""Write the pages of the package's modules from their docstrings: ``build/api``, or the folder that is named.

    pip install 'medical-team[docs]'
    python scripts/write_api_pages.py

A warning of pdoc, such as a name that can't be resolved, ends it with an error.
"""

from __future__ import annotations

import pkgutil
import re
import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

import medical_team

NEED_ANOTHER_PROGRAM = (
    "medical_team.__main__",
    "medical_team.adapters.inspect_tasks",
    "medical_team.adapters.lm_eval_task",
    "medical_team.adapters.medhelm",
    "medical_team.engines.openrlhf.agent_file",
)

_NOT_READ = (
    "array[int]",  # can't be looked up before Python 3.12; the page shows it as it is written
    "Annotated[RunConfig, ",  # inherited by a dataclass of another module, where pdoc looks for the name
)


def specifications() -> list[str]:
    """What pdoc is to document. The package lists names of its own, so its rooms are named one by one."""
    rooms = (each.name for each in pkgutil.iter_modules(medical_team.__path__, f"{medical_team.__name__}."))
    return [medical_team.__name__, *rooms, *(f"!{name}" for name in NEED_ANOTHER_PROGRAM)]


def main(folder: Path) -> None:
    """Write the pages into ``folder``."""
    warnings.simplefilter("error")
    for name in NEED_ANOTHER_PROGRAM:
        # The page of their room would list them.
        warnings.filterwarnings("ignore", message=f"Couldn't import {re.escape(name)}")
    for annotation in _NOT_READ:
        warnings.filterwarnings("ignore", message=f"Error parsing type annotation {re.escape(annotation)}")
    pdoc.render.configure(docformat="google", search=True)
    pdoc.pdoc(*specifications(), output_directory=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build/api"))
