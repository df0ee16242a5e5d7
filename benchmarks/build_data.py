"""How long `data build` takes and how much memory it needs, for synthetic CSVs of growing size.

    python benchmarks/build_data.py [--notes 1000 10000] [--heldout 0.1]

Each build runs in a process of its own. "Memory above an idle process" is its peak resident memory less that of a
process which only imports the builder. The notes are held in memory, as a run holds the records that it plays.

Measured on two shared cores, Python 3.11, held out 0.1:

| notes | CSV, MiB | records | seconds | notes/s | memory above an idle process, MiB |
|---|---|---|---|---|---|
| 1000 | 1.3 | 1000 | 0.49 | 2027 | 5.8 |
| 10000 | 12.7 | 10000 | 4.60 | 2174 | 29.6 |

Per note that is some 3 KiB.
MEDEC's validation file (574 notes) builds in 0.3 to 0.6 s.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--heldout", type=float, default=0.1)
    parser.add_argument("--csv", type=Path, help="measure the build of this file instead")
    parser.add_argument("--child", nargs=2, metavar=("CSV", "OUTPUT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        csv, output = map(Path, chosen.child)
        build_in_this_process(csv, output, chosen.heldout)
        return
    idle = run_child(None, None, chosen.heldout)["peak_mib"]
    print("| notes | CSV, MiB | records | seconds | notes/s | memory above an idle process, MiB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for csv in [chosen.csv] if chosen.csv else (synthetic_csv(Path(folder), notes) for notes in chosen.notes):
            result = run_child(csv, Path(folder) / "out", chosen.heldout)
            size, rate = csv.stat().st_size / 2**20, result["rows"] / result["seconds"]
            print(
                f"| {result['rows']} | {size:.1f} | {result['records']} | {result['seconds']:.2f} | {rate:.0f} "
                f"| {result['peak_mib'] - idle:.1f} |",
                flush=True,
            )


def synthetic_csv(folder: Path, notes: int) -> Path:
    from medical_team.data.synthetic import write_synthetic_csv

    path = folder / f"{notes}.csv"
    write_synthetic_csv(path, notes, 42)
    return path


def run_child(csv: Path | None, output: Path | None, heldout: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--heldout", str(heldout), "--child", str(csv or ""), str(output or "")]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def build_in_this_process(csv: Path, output: Path, heldout: float) -> None:
    from medical_team.data.build import build_data_set

    result: dict[str, float] = {}
    # An empty path, which Path reads as ".", asks for the idle process.
    if csv != Path():
        start = time.perf_counter()
        card = build_data_set(csv, output, heldout=heldout).card
        result = {
            "seconds": time.perf_counter() - start,
            "rows": card.rows,
            "records": sum(counts.records for counts in card.sets),
        }
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
