"""Make training records from a MEDEC CSV: ``medical-team data build`` under the checklist's own command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A checkout works without being installed, from any folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> int:
    """Read the command line and build. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="MEDEC CSV")
    parser.add_argument("--output-dir", required=True, help="folder for train.jsonl and the data card")
    parser.add_argument("--num-samples", help="error cases to use; without it all")
    parser.add_argument("--seed", help="decides the split and the order")
    parser.add_argument("--heldout", help="fraction of the cases to hold out")
    parser.add_argument("--error-types", nargs="+", help="use only cases of these error types")
    chosen = parser.parse_args()
    arguments = ["data", "build", chosen.input, "--output", chosen.output_dir]
    for option in ("num_samples", "seed", "heldout"):
        value = getattr(chosen, option)
        if value is not None:
            arguments += [f"--{option.replace('_', '-')}", value]
    if chosen.error_types:
        arguments += ["--error-types", *chosen.error_types]
    return run(arguments)


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
