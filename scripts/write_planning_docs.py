"""Write the presets' tables into docs/planning.md: `python scripts/write_planning_docs.py`.

A test compares the page with what this makes.
"""

from __future__ import annotations

from pathlib import Path

from medical_team.planning.plan import GIB, MemoryPlan
from medical_team.planning.planner import memory_table, plan_of
from medical_team.runs.config_file import load_preset

PAGE = Path(__file__).resolve().parent.parent / "docs" / "planning.md"
PRESETS = ("gpu-24gb", "gpu-80gb", "gpu-8x80gb")
BEGIN = "<!-- tables: python scripts/write_planning_docs.py -->"
END = "<!-- end of tables -->"


def tables() -> str:
    """The memory of each preset as Markdown."""
    return "\n".join(_table(name) for name in PRESETS)


def page(text: str) -> str:
    """``text`` with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{rest.partition(END)[2]}"


def _table(name: str) -> str:
    config = load_preset(name)
    memory = plan_of(config).memory
    if not isinstance(memory, MemoryPlan) or memory.capacity_bytes is None:
        raise ValueError(f"the memory of {name} can't be planned")
    rows = memory_table(memory)
    lines = [" | ".join(row) for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
    table = "\n".join(f"| {line} |" for line in lines)
    return (
        f"### `{name}`: {config.policy.model}\n\n{table}\n\n"
        f"Peak: {memory.peak_bytes / GIB:.1f} of {memory.capacity_bytes / GIB:.0f} GiB ({memory.peak_share:.0%}), in "
        f"the phase {memory.peak_phase.value}. The machine's own memory: {memory.host_bytes / GIB:.0f} GiB.\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
