"""Processes that are killed while they write, for tests of what clears away after them."""

import subprocess
import sys
from pathlib import Path

_WRITER = """
import os, signal, sys
from pathlib import Path
from medical_team.files import atomic_folder, atomic_text
with atomic_folder(Path(sys.argv[2])) if sys.argv[1] == "folder" else atomic_text(Path(sys.argv[2])) as unfinished:
    if sys.argv[1] == "folder":
        (unfinished / "part").touch()
    else:
        unfinished.write("half")
        unfinished.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_while_writing(path: Path, kind: str = "file") -> Path:
    """What stays of the file or folder at ``path``, still under its temporary name."""
    subprocess.run([sys.executable, "-c", _WRITER, kind, str(path)], check=False)
    assert not path.exists()
    (left,) = path.parent.glob(f".{path.name}.*")
    return left
