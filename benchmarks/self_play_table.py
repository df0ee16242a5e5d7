"""What the cells of ``benchmarks/self_play.py`` say: its arms and sets of notes, the tables, and the picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

WARM, ALONE, SHARED, POOL, APART, FROZEN, STATIC, RARE = ARMS = (
    "warm-start",
    "assessor-only",
    "shared",
    "separate-pool",
    "separate",
    "frozen-attacker",
    "static-dump",
    "rare-notes",
)
FIRST_DEVELOPMENT_SEED = 100
PRIMARY = ("untaught conditions, rare errors", "unseen attackers")
AS_WRITTEN = "as written"
BOOTSTRAP_DRAWS = 2000
DEMO = "demo"
"""The warm start, as the exploit's files name it."""
STARTS = ("the warm start", "the run's own attacker")


@dataclass(frozen=True)
class NoteSet:
    """The held-out notes of some seeds, and the attackers that revise them. Development and test share neither."""

    name: str
    notes_seed: int
    attacker_seeds: tuple[int, int]


DEVELOPMENT, TEST = NoteSet("development", 7, (901, 902)), NoteSet("test", 8, (911, 912))


def note_set(seed: int) -> NoteSet:
    return DEVELOPMENT if seed > FIRST_DEVELOPMENT_SEED else TEST


Cells = Mapping[tuple[str, int], Mapping[str, Any]]
Letters = np.ndarray[Any, Any]
Measure = Callable[[Letters], float]


def cells_in(results: Path) -> Cells:
    """The cells of a folder, by arm and seed."""
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(results.glob("*.json"))]
    return {(cell["arm"], cell["seed"]): cell for cell in contents}


def report(results: Path) -> str:
    """The tables of the cells in ``results``, development and test apart."""
    cells = cells_in(results)
    parts: list[str] = []
    for notes in (DEVELOPMENT, TEST):
        own = {key: cell for key, cell in cells.items() if note_set(key[1]) is notes}
        if own:
            parts += [f"## Seeds for {notes.name}", "", *held_out_table(own, "balanced accuracy", balanced), ""]
            parts += [*held_out_table(own, "false alarms", false_alarms), "", *differences(own), ""]
            parts += [*exploit_table(results, list(own)), "", *best_of_table(results, list(own)), ""]
    return "\n".join(parts) if parts else f"no cell in {results} yet\n"


def held_out_table(cells: Cells, name: str, measure: Measure) -> Iterator[str]:
    arms = [arm for arm in ARMS if any(key[0] == arm for key in cells)]
    yield f"| held-out notes ({name}, mean and each seed) | " + " | ".join(arms) + " |"
    yield "|---|" + "---|" * len(arms)
    for group in next(iter(cells.values()))["groups"]:
        for text in (AS_WRITTEN, PRIMARY[1]):
            row: list[str] = []
            for arm in arms:
                values = [measure(letters(cell, group, text)) for key, cell in cells.items() if key[0] == arm]
                row.append(f"{fmean(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})")
            yield f"| {group}, {text} | " + " | ".join(row) + " |"


def letters(cell: Mapping[str, Any], group: str, text: str) -> Letters:
    """The letters of :func:`outcomes`, a row for each case: of one text, or of all unseen attackers side by side."""
    texts = cell["groups"][group]
    chosen = [texts[AS_WRITTEN]] if text == AS_WRITTEN else [texts[name] for name in texts if name != AS_WRITTEN]
    return np.concatenate([np.array(list(found)).reshape(-1, 2) for found in chosen], axis=1)


def balanced(found: Letters) -> float:
    """The mean of both accuracies; not a number where notes with an error, or without one, are missing."""
    rates: list[float] = []
    for letter in "hs":
        right, wrong = (found == letter.upper()).sum(), (found == letter).sum()
        rates.append(float(right / (right + wrong)) if right + wrong else float("nan"))
    return fmean(rates)


def false_alarms(found: Letters) -> float:
    """The share of notes without an error that were called harmful."""
    right, wrong = (found == "S").sum(), (found == "s").sum()
    return float(wrong / (right + wrong)) if right + wrong else float("nan")


def paired_seeds(cells: Cells, arm: str, base: str) -> list[tuple[int, int]]:
    """Seeds of an arm, each with the base's seed to compare it with: the same; the warm start is one for all."""
    if base == WARM:
        warm = [seed for name, seed in cells if name == WARM]
        return [(seed, warm[0]) for name, seed in cells if name == arm and warm]
    return [(seed, seed) for name, seed in cells if name == arm and (base, seed) in cells]


def difference(
    cells: Cells, arm: str, base: str, notes: tuple[str, str], measure: Measure, rng: np.random.Generator
) -> str:
    """An arm less another on one group of notes: same seeds and cases, 95 % by drawing both anew with ``rng``."""
    seeds = paired_seeds(cells, arm, base)
    ours = [letters(cells[arm, seed], *notes) for seed, _ in seeds]
    theirs = [letters(cells[base, seed], *notes) for _, seed in seeds]
    draws: list[float] = []
    for _ in range(BOOTSTRAP_DRAWS):
        cases = rng.integers(len(ours[0]), size=len(ours[0]))
        drawn = rng.integers(len(seeds), size=len(seeds))
        draws.append(fmean(measure(ours[seed][cases]) - measure(theirs[seed][cases]) for seed in map(int, drawn)))
    value = fmean(measure(mine) - measure(other) for mine, other in zip(ours, theirs, strict=True))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def differences(cells: Cells) -> Iterator[str]:
    """Each arm less assessor-only on the primary endpoint."""
    yield f"{', '.join(PRIMARY)}: balanced accuracy less that of {ALONE}, same seeds and cases"
    yield ""
    rng = np.random.default_rng(0)
    for arm in ARMS:
        seeds = paired_seeds(cells, arm, ALONE)
        if arm != ALONE and seeds:
            yield f"- {arm}: {difference(cells, arm, ALONE, PRIMARY, balanced, rng)}, {len(seeds)} seeds"


def comparison(results: Path, arm: str, base: str, base_results: Path) -> str:
    """A table of an arm in one folder less another in a second one, on all held-out notes: of the test seeds, or of
    those for development where there are no others."""
    theirs = {key: cell for key, cell in cells_in(base_results).items() if key[0] == base}
    both = {key: cell for key, cell in cells_in(results).items() if key[0] == arm} | theirs
    for notes in (TEST, DEVELOPMENT):
        cells = {key: cell for key, cell in both.items() if note_set(key[1]) is notes}
        if seeds := paired_seeds(cells, arm, base):
            break
    else:
        return f"no seed of {arm} in {results} beside {base} in {base_results} yet\n"
    rng = np.random.default_rng(0)
    rows = [f"| {arm} less {base}, {len(seeds)} seeds | balanced accuracy | false alarms |", "|---|---|---|"]
    for group in cells[arm, seeds[0][0]]["groups"]:
        for text in (AS_WRITTEN, PRIMARY[1]):
            found = [difference(cells, arm, base, (group, text), measure, rng) for measure in (balanced, false_alarms)]
            rows.append(f"| {group}, {text} | " + " | ".join(found) + " |")
    return "\n".join(rows) + "\n"


def draw(results: Path, picture: Path) -> None:
    """Draw each arm's seeds on the notes that matter, and how often trained attackers win against it."""
    from matplotlib.figure import Figure

    cells = {key: cell for key, cell in cells_in(results).items() if note_set(key[1]) is TEST}
    arms = [arm for arm in ARMS if any(key[0] == arm for key in cells)]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    accuracy, wins = figure.subplots(1, 2, width_ratios=(2, 1), sharey=True)
    shown = (
        ("o", "#0b6e99", "rare errors, as written", PRIMARY[0], AS_WRITTEN),
        ("s", "#c2571a", "rare errors, unseen attackers", *PRIMARY),
        ("^", "#9aa5b1", "common errors, as written", "untaught conditions, common errors", AS_WRITTEN),
    )
    for number, (marker, colour, label, group, text) in enumerate(shown):
        for place, arm in enumerate(arms):
            values = [balanced(letters(cell, group, text)) for key, cell in cells.items() if key[0] == arm]
            height = place + (number - 1) * 0.22
            accuracy.plot(
                values, [height] * len(values), marker, color=colour, alpha=0.5, label=None if place else label
            )
            accuracy.plot([fmean(values)], [height], "|", color=colour, markersize=14, markeredgewidth=2)
    accuracy.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    accuracy.set(
        xlim=(0.4, 1.0),
        xlabel="balanced accuracy, each seed and their mean; dotted: guessing",
        title="Untaught conditions",
    )
    accuracy.set_yticks(range(len(arms)), arms)
    accuracy.invert_yaxis()
    accuracy.legend(loc="upper right", fontsize=8)
    for place, arm in enumerate(arms):
        found = [stronger_attacker(results, *key) for key in cells if key[0] == arm]
        values = [figures["faithful_wins"]["value"] for figures in found if figures is not None]
        wins.plot(values, [place] * len(values), "D", color="#0b6e99", alpha=0.6)
    wins.set(xlim=(0, 1), xlabel="faithful wins, each seed", title="The stronger attacker trained against it")
    figure.savefig(picture, dpi=110)  # pyright: ignore[reportUnknownMemberType] - its options are untyped


def attackers_of(results: Path, arm: str, seed: int) -> Mapping[str, Any] | None:
    """What ``medical-team eval exploit`` said of a cell's assessor; None if that wasn't asked yet."""
    file = results / "exploit" / f"{arm}-{seed}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def stronger_attacker(results: Path, arm: str, seed: int) -> Mapping[str, Any] | None:
    """The figures of the stronger attacker that was trained against a cell's assessor; None if there is none yet."""
    content = attackers_of(results, arm, seed)
    return None if content is None else content["attackers"][content["stronger"]]


def rate_text(figure: Mapping[str, Any]) -> str:
    """A rate with its 95 % interval; - where there is nothing to rate."""
    value, interval = figure["value"], figure["interval"]
    if value is None:
        return "-"
    return f"{value:.2f}" if interval is None else f"{value:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def exploit_table(results: Path, keys: Sequence[tuple[str, int]]) -> Iterator[str]:
    rows: list[str] = []
    for arm, seed in keys:
        figures = stronger_attacker(results, arm, seed)
        if figures is not None:
            names = ("faithful_wins", "missed_errors", "false_alarms", "undecidable", "unfaithful")
            rows.append(f"| {arm}-{seed} | " + " | ".join(rate_text(figures[name]) for name in names) + " |")
    if rows:
        heads = ("missed errors", "false alarms", "undecidable", "unfaithful")
        yield "| the stronger trained attacker against | faithful wins | " + " | ".join(heads) + " |"
        yield "|---" * (2 + len(heads)) + "|"
        yield from rows


def best_of_table(results: Path, keys: Sequence[tuple[str, int]]) -> Iterator[str]:
    """How often the best of k tries of an attacker wins that wasn't trained against this assessor."""
    found: dict[tuple[str, int], Mapping[str, Mapping[str, Mapping[str, Any]]]]
    found = {key: content["best_of"] for key in keys if (content := attackers_of(results, *key)) is not None}
    tries = sorted({int(k) for starts in found.values() for figures in starts.values() for k in figures})
    if tries:
        yield (
            "| the best of untrained tries against | "
            + " | ".join(f"{who}, {k}" for who in STARTS for k in tries)
            + " |"
        )
        yield "|---" * (1 + len(STARTS) * len(tries)) + "|"
    for (arm, seed), starts in found.items():
        own = next((figures for start, figures in starts.items() if start != DEMO), None)
        row = [rate_text(figures[str(k)]) if figures else "-" for figures in (starts[DEMO], own) for k in tries]
        yield f"| {arm}-{seed} | " + " | ".join(row) + " |"
