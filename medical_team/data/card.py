"""The data card: what was made of which file, as JSON for programs and as Markdown for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..records import Source
from ..words import fold_white_space

CARD_FORMAT = "medical-team data card 2"

MEDEC_LICENCE = (
    "Derived from MEDEC-MS (CC BY 4.0, https://github.com/abachaa/MEDEC): Asma Ben Abacha, Wen-wai Yim, Yujuan Fu, "
    "Zhaoyi Sun, Meliha Yetisgen, Fei Xia, Thomas Lin. MEDEC: A Benchmark for Medical Error Detection and Correction "
    "in Clinical Notes. Findings of ACL 2025, 22539-22550. Changed: text repaired, notes paired with corrections."
)
OTHER_LICENCE = (
    "Notes of another data set than MEDEC: they are under its own licence, which its authors tell. "
    "Changed: text repaired, notes paired with corrections."
)
SYNTHETIC_LICENCE = "Synthetic notes made by this software. They describe nobody and are not medical advice."

INTENDED_USE = "For research on error detection. Not for clinical use."

MAX_REFUSALS_ON_PAGE = 50

_QUANTILES = {"minimum": 0, "median": 50, "percentile_90": 90, "percentile_99": 99, "maximum": 100}


@dataclass(frozen=True)
class SetCounts:
    """What one file of records holds."""

    file: str
    cases: int
    records: int
    near_duplicate_groups: int
    by_data_type: dict[str, int]
    by_error_type: dict[str, dict[str, int]]
    """Records of each error type, for each category."""


@dataclass(frozen=True)
class SourceFile:
    """One of the files that a data set was made from."""

    name: str
    sha256: str
    rows: int
    error_cases: int
    correct_notes: int
    refused: int
    remarks: list[str]
    """How the file was read, where that is not as a matter of course."""


@dataclass(frozen=True)
class DataCard:
    """Everything worth knowing of a data set. It holds no note and no path."""

    format: str
    version: str
    files: list[SourceFile]
    sources: list[str]
    licence: list[str]
    intended_use: str
    seed: int
    num_samples: int | None
    heldout_fraction: float | None
    error_types: list[str]
    """The filter that was set; empty: all."""
    where: list[str]
    """What was asked for of the metadata, as COLUMN=VALUE; empty: nothing."""
    rows: int
    blank_rows: int
    correct_notes: int
    error_cases: int
    """Error cases that could be used, before the filter."""
    cases_used: int
    near_duplicate_groups: int
    """Groups of near-duplicates in the whole file."""
    largest_near_duplicate_group: int
    sets: list[SetCounts]
    note_words: dict[str, int] | None
    """Length of the error notes and corrected notes used."""
    edit_words: dict[str, int] | None
    """Words changed, added or removed from the error sentence to the corrected one (Levenshtein distance)."""
    repairs: dict[str, int]
    """Rows or cases mended, for each kind of repair, over all files."""
    refused: int
    refused_for: list[str]
    """The refused rows by reason: how many, and the first of them."""
    refusals: list[str]
    """The first refused rows, each with its reason."""


def quantiles(numbers: Iterable[int]) -> dict[str, int] | None:
    """The spread of ``numbers`` (nearest-rank quantiles); None where there are none."""
    ordered = sorted(numbers)
    ranks = {name: max(0, -(-len(ordered) * percent // 100) - 1) for name, percent in _QUANTILES.items()}
    return {name: ordered[rank] for name, rank in ranks.items()} if ordered else None


def licences(sources: Iterable[Source]) -> list[str]:
    """What to say of the rights in notes from ``sources``."""
    texts = {Source.MEDEC: MEDEC_LICENCE, Source.OTHER: OTHER_LICENCE, Source.SYNTHETIC: SYNTHETIC_LICENCE}
    return [texts[source] for source in sorted(set(sources))]


def card_as_json(card: DataCard) -> str:
    """The card for programs."""
    return json.dumps(dataclasses.asdict(card), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def hub_page(card: DataCard, licence: str) -> str:
    """The card for people, with the front matter that the Hugging Face hub reads.

    Args:
        licence: under which the notes are passed on; empty for synthetic ones.
    """
    if not licence:
        named = "license: apache-2.0\n"
    elif licence.casefold().replace(" ", "-") == "cc-by-4.0":
        named = "license: cc-by-4.0\n"
    else:
        named = f"license: other\nlicense_name: {json.dumps(licence, ensure_ascii=False)}\n"
    tags = "".join(f"- {tag}\n" for tag in ("clinical-nlp", "research-only"))
    return f"---\n{named}tags:\n{tags}---\n\n{card_as_markdown(card)}"


def card_as_markdown(card: DataCard) -> str:
    """The card for people."""
    names = ", ".join(f"{_code(file.name)} (sha256 `{file.sha256}`)" for file in card.files)
    several = len(card.files) > 1
    lines = [
        f"# Data card\n\nMade by medical-team {card.version} from {names}, seed {card.seed}.\n{card.intended_use}\n",
        *(f"- {text}" for text in card.licence),
        f"\n## The file{'s' if several else ''} it was made from\n",
    ]
    told = [
        f"- {_code(file.name)}: {text}" if several else f"- {text}"
        for file in card.files
        for text in _told(file, several)
    ]
    lines += [*told, ""] if told else []
    used = f"cases used: {card.cases_used}" + (f" of {card.num_samples} asked for" if card.num_samples else "")
    options = [
        *([f"where {_cell(' and '.join(card.where))}"] if card.where else []),
        used,
        f"error types: {_cell(', '.join(card.error_types)) or 'all'}",
        f"held out: {card.heldout_fraction if card.heldout_fraction is not None else 'nothing'}",
    ]
    lines += [
        f"{card.rows} rows: {card.error_cases} error cases that can be used, {card.correct_notes} correct notes, "
        f"{card.blank_rows} blank, {card.refused} refused. Correct notes are not played with: "
        "the benign note of a case is its own corrected text.",
        f"Near-duplicates form {card.near_duplicate_groups} groups, the largest of "
        f"{card.largest_near_duplicate_group} rows.",
        f"Options: {'; '.join(options)}.\n",
    ]
    for counts in card.sets:
        lines += [
            f"## {counts.file}\n\n"
            f"{counts.records} records of {counts.cases} cases in {counts.near_duplicate_groups} "
            "near-duplicate groups.\n",
            *_table(["error type", *counts.by_data_type]),
            *(_row(_cell(error_type), row.values()) for error_type, row in counts.by_error_type.items()),
            _row("all", counts.by_data_type.values()) + "\n",
        ]
    spreads = {"in a note": card.note_words, "changed in the sentence": card.edit_words}
    lines += [
        "## Lengths\n",
        *_table(["words", "minimum", "median", "90 %", "99 %", "maximum"]),
        *(_row(name, spread.values()) for name, spread in spreads.items() if spread is not None),
        "\n## Repairs\n\nRows or cases of the whole file:\n",
        *([f"- {name}: {count}" for name, count in card.repairs.items()] or ["- none"]),
        "\n## Rows refused\n",
    ]
    if not card.refused_for:
        return "\n".join([*lines, "- none", ""])
    shown = [f"- {_cell(text)}" for text in card.refusals[:MAX_REFUSALS_ON_PAGE]]
    if card.refused > len(shown):
        shown.append(f"- and {card.refused - len(shown)} more")
    reasons = [f"- {_cell(reason)}" for reason in card.refused_for]
    return "\n".join([*lines, "By reason:\n", *reasons, "\nRow by row:\n", *shown, ""])


def _told(file: SourceFile, with_counts: bool) -> list[str]:
    counts = f"{file.rows} rows, {file.error_cases} error cases, {file.correct_notes} correct, {file.refused} refused"
    return [*([counts] if with_counts else []), *map(_cell, file.remarks)]


def _table(names: list[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]


def _row(name: str, values: Iterable[int]) -> str:
    return f"| {' | '.join([name, *map(str, values)])} |"


def _code(text: str) -> str:
    """A name as code, which must not break the page."""
    return "`" + "".join(character if character.isprintable() else "?" for character in text).replace("`", "'") + "`"


def _cell(text: str) -> str:
    """Text from a file, which must not break the page."""
    plain = fold_white_space(text)
    return "".join(f"\\{character}" if character in "\\`|<>*_[]#" else character for character in plain)
