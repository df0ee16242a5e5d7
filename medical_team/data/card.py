"""The data card: what was made of which file, as JSON for programs and as Markdown for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..records import DataType, Source
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


@dataclass(frozen=True)
class Quantiles:
    """How some whole numbers are spread."""

    minimum: int
    median: int
    percentile_90: int
    percentile_99: int
    maximum: int


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
    note_words: Quantiles | None
    """Length of the error notes and corrected notes used."""
    edit_words: Quantiles | None
    """Words changed, added or removed from the error sentence to the corrected one (Levenshtein distance)."""
    repairs: dict[str, int]
    """Rows or cases mended, for each kind of repair, over all files."""
    refused: int
    refused_for: list[str]
    """The refused rows by reason: how many, and the first of them."""
    refusals: list[str]
    """The first refused rows, each with its reason."""


def quantiles(numbers: Iterable[int]) -> Quantiles | None:
    """The spread of ``numbers``; None where there are none. (Nearest-rank quantiles.)"""
    ordered = sorted(numbers)
    if not ordered:
        return None
    ranks = (-(-len(ordered) * percent // 100) for percent in (0, 50, 90, 99, 100))
    return Quantiles(*(ordered[max(0, rank - 1)] for rank in ranks))


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
    lines = [
        "# Data card",
        "",
        f"Made by medical-team {card.version} from {_names(card)}, seed {card.seed}.",
        f"{card.intended_use}",
        "",
        *(f"- {text}" for text in card.licence),
        "",
        "## The file it was made from" if len(card.files) == 1 else "## The files it was made from",
        "",
        *_file_lines(card),
        f"{card.rows} rows: {card.error_cases} error cases that can be used, {card.correct_notes} correct notes, "
        f"{card.blank_rows} blank, {card.refused} refused. Correct notes are not played with: "
        "the benign note of a case is its own corrected text.",
        f"Near-duplicates form {card.near_duplicate_groups} groups, the largest of "
        f"{card.largest_near_duplicate_group} rows.",
        f"Options: {_options(card)}.",
        "",
    ]
    for counts in card.sets:
        lines += [*_set_lines(counts), ""]
    lines += [*_spread_lines(card), "", *_repair_lines(card), "", *_refusal_lines(card), ""]
    return "\n".join(lines)


def _names(card: DataCard) -> str:
    return ", ".join(f"{_code(file.name)} (sha256 `{file.sha256}`)" for file in card.files)


def _file_lines(card: DataCard) -> list[str]:
    lines = [
        f"- {_code(file.name)}: {remark}" if len(card.files) > 1 else f"- {remark}"
        for file in card.files
        for remark in (*_counts_of(file, len(card.files)), *map(_cell, file.remarks))
    ]
    return [*lines, ""] if lines else []


def _counts_of(file: SourceFile, files: int) -> list[str]:
    counts = f"{file.rows} rows, {file.error_cases} error cases, {file.correct_notes} correct, {file.refused} refused"
    return [counts] if files > 1 else []


def _options(card: DataCard) -> str:
    return "; ".join(
        [
            *([f"where {_cell(' and '.join(card.where))}"] if card.where else []),
            f"cases used: {card.cases_used}" + (f" of {card.num_samples} asked for" if card.num_samples else ""),
            f"error types: {_cell(', '.join(card.error_types)) or 'all'}",
            f"held out: {card.heldout_fraction if card.heldout_fraction is not None else 'nothing'}",
        ]
    )


def _set_lines(counts: SetCounts) -> list[str]:
    names = [data_type.value for data_type in DataType]
    lines = [
        f"## {counts.file}",
        "",
        f"{counts.records} records of {counts.cases} cases in {counts.near_duplicate_groups} near-duplicate groups.",
        "",
        f"| error type | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for error_type, row in counts.by_error_type.items():
        lines.append(f"| {_cell(error_type)} | {' | '.join(str(row[name]) for name in names)} |")
    return [*lines, f"| all | {' | '.join(str(counts.by_data_type[name]) for name in names)} |"]


def _spread_lines(card: DataCard) -> list[str]:
    lines = [
        "## Lengths",
        "",
        "| words | minimum | median | 90 % | 99 % | maximum |",
        "|---|---|---|---|---|---|",
    ]
    for name, spread in (("in a note", card.note_words), ("changed in the sentence", card.edit_words)):
        if spread is not None:
            lines.append(f"| {name} | {' | '.join(str(value) for value in dataclasses.astuple(spread))} |")
    return lines


def _repair_lines(card: DataCard) -> list[str]:
    lines = [f"- {name}: {count}" for name, count in card.repairs.items()]
    return ["## Repairs", "", "Rows or cases of the whole file:", "", *(lines or ["- none"])]


def _refusal_lines(card: DataCard) -> list[str]:
    shown = [f"- {_cell(text)}" for text in card.refusals[:MAX_REFUSALS_ON_PAGE]]
    if card.refused > len(shown):
        shown.append(f"- and {card.refused - len(shown)} more")
    reasons = [f"- {_cell(reason)}" for reason in card.refused_for]
    if not reasons:
        return ["## Rows refused", "", "- none"]
    return ["## Rows refused", "", "By reason:", "", *reasons, "", "Row by row:", "", *shown]


def _code(text: str) -> str:
    """A name as code, which must not break the page."""
    return "`" + "".join(character if character.isprintable() else "?" for character in text).replace("`", "'") + "`"


def _cell(text: str) -> str:
    """Text from a file, which must not break the page."""
    plain = fold_white_space(text)
    return "".join(f"\\{character}" if character in "\\`|<>*_[]#" else character for character in plain)
