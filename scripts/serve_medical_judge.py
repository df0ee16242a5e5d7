"""Serve a medical judge over HTTP: ``medical-team judge serve`` under the checklist's own command line.

    python scripts/serve_medical_judge.py --model google/medgemma-4b-it --port 8000 --device cuda
    python scripts/serve_medical_judge.py --judge reference --references data/medical_rl_training/train.jsonl

Every option of ``medical-team judge serve`` is understood; --help lists them.
"""

from __future__ import annotations

import sys
from pathlib import Path

# A checkout works without being installed, from any folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> int:
    """Run the package's command line. Returns the exit status."""
    try:
        from medical_team.cli.main import main as command_line
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"{error.name} is not installed. Run `pip install -e '.[judge]'` in the checkout, or `make test` once.\n"
        )
        return 2
    return command_line(["judge", "serve", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
