"""Convert train.jsonl for an OpenRLHF engine: ``medical-team data convert`` under the checklist's own command line.

Without --format it writes what the checklist expects: the columns of the Self-RedTeam fork (vanilla, adversarial,
completion, data_type).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A checkout works without being installed, from any folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> int:
    """Read the command line and convert. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="train.jsonl, as create_rl_training_data.py writes it")
    parser.add_argument("--output", required=True, help="the JSONL to write")
    parser.add_argument("--format", default="red-team-fork", choices=("red-team-fork", "openrlhf"), help="the engine")
    parser.add_argument("--all-vanilla", action="store_true", help="write every row as vanilla_* (red-team-fork)")
    chosen = parser.parse_args()
    arguments = ["data", "convert", chosen.input, "--to", chosen.format, "--output", chosen.output]
    return run([*arguments, "--all-vanilla"] if chosen.all_vanilla else arguments)


def run(arguments: list[str]) -> int:
    """Run the package's command line."""
    try:
        from medical_team.cli.main import main as command_line
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"{error.name} is not installed. Run `pip install -e .` in the checkout, or `make test` once.\n"
        )
        return 2
    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main())
