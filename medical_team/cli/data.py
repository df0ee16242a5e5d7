"""``medical-team data``: build, make, check and convert data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..data.build import CARD_FILE, CARD_PAGE, DEFAULT_SEED, HELDOUT_FILE, TRAIN_FILE, BuiltDataSet, build_data_set
from ..data.card import DataCard, hub_page
from ..data.formats import EngineFormat
from ..data.load import convert_records, load_records
from ..data.pairs import SYNTHETIC_PREFIX
from ..data.tables import COLUMNS
from ..data.validate import validate_file
from ..errors import UsageError
from ..files import cannot_write, is_stream
from ..records import Source
from ..runs.info import check_output
from ..terminal_text import shell_word, visible
from .arguments import parse, remark, say, unknown_command

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]


@dataclass(frozen=True)
class BuildArguments:
    """Make training records from files in MEDEC's columns: two for each error case, in four equal categories."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """One file or several: MEDEC's validation, test or training CSV, one made by `data synth`, or any CSV, JSON lines
    or Parquet file with these columns."""
    output: Output
    """Folder for train.jsonl, heldout.jsonl and the data card; an earlier data set in it is replaced."""
    num_samples: int | None = None
    """Error cases to use, held-out ones included; without it, or with more than there are: all."""
    seed: int = DEFAULT_SEED
    """Decides which cases are used, held out and vanilla, and the order of the records."""
    heldout: float | None = None
    """Fraction of the cases to hold out for evaluation, above 0 and below 1; near-duplicates stay together."""
    error_types: tuple[str, ...] = ()
    """Use cases of these error types alone, by any name in the file, e.g. diagnosis "lab value" ("dosage" means
    pharmacotherapy where no type is called so)."""
    where: tuple[str, ...] = ()
    """Use cases alone of which the file's other columns say so, e.g. Difficulty=Hard "Reasoning Type=Multi-hop".
    Several values of one column: any of them."""
    push: Annotated[str | None, tyro.conf.arg(metavar="OWNER/NAME")] = None
    """Send the data set to this repository on the Hugging Face hub too. It is private."""
    public: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """With --push: everybody may read it."""
    licence: str | None = None
    """With --push: the licence under which notes that others wrote may be passed on, e.g. "CC BY 4.0". Without it only
    synthetic notes are sent."""
    strict: bool = False
    """Refuse a row whose Corrected Text differs from Text by more than the sentence; else the two sentences decide."""


@dataclass(frozen=True)
class SynthArguments:
    """Write synthetic notes in MEDEC's columns, of which the truth is known. They are not medical advice."""

    output: Output
    """The CSV to write."""
    notes: int = 1000
    """How many notes."""
    seed: int = DEFAULT_SEED
    """The same seed, the same notes."""


@dataclass(frozen=True)
class ValidateArguments:
    """Check notes in MEDEC's columns, or JSON lines of any kind that this program writes; name every problem."""

    file: tyro.conf.Positional[Path]
    """The file to check."""
    strict: bool = False
    """As in `data build`: count a Corrected Text that differs by more than the sentence among the problems."""


@dataclass(frozen=True)
class ConvertArguments:
    """Write training records in the format of another training engine."""

    file: tyro.conf.Positional[Path]
    """A train.jsonl or heldout.jsonl that `data build` wrote."""
    output: Output
    """The JSONL to write."""
    to: EngineFormat = "openrlhf"
    """openrlhf: unmodified OpenRLHF 0.11; red-team-fork: the fork that comes with Self-RedTeam."""
    all_vanilla: bool = False
    """For red-team-fork: write every row as vanilla_*, which its own relabelling makes four equal quarters."""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        say(_HELP)
        return 0 if arguments else 2
    if arguments[0] not in _COMMANDS:
        raise unknown_command(f"data {arguments[0]}", [f"data {name}" for name in _COMMANDS])
    return _COMMANDS[arguments[0]](arguments[1:])


def _build(arguments: Sequence[str]) -> int:
    chosen = parse(BuildArguments, "data build", arguments)
    _check_push(chosen)
    check_output(chosen.output)
    built = build_data_set(
        chosen.files,
        chosen.output,
        num_samples=chosen.num_samples,
        seed=chosen.seed,
        heldout=chosen.heldout,
        error_types=chosen.error_types,
        where=chosen.where,
        is_strict=chosen.strict,
    )
    _tell_built(built)
    if chosen.push is not None:
        _say(f"On the hub: {_pushed(chosen, chosen.push, built)}")
    return 0


def _check_push(chosen: BuildArguments) -> None:
    if chosen.push is None:
        if chosen.public or chosen.licence is not None:
            raise UsageError("--public and --licence say how to --push, which is not there: add --push OWNER/NAME")
        return
    from ..policy.hub import check_repository

    check_repository(chosen.push)


def _pushed(chosen: BuildArguments, repository: str, built: BuiltDataSet) -> str:
    from ..policy.hub import push_folder

    files = [counts.file for counts in built.card.sets]
    sources = {record.source for file in files for record in load_records(str(built.folder / file))}
    licence = (chosen.licence or "").strip()
    if sources - {Source.SYNTHETIC} and not licence:
        raise UsageError(
            f"the notes in {built.folder} are of {', '.join(sorted(sources))} and were not sent: name the licence "
            'under which you may pass them on, e.g. --licence "CC BY 4.0"'
        )
    return push_folder(
        built.folder,
        repository,
        kind="dataset",
        is_public=chosen.public,
        sent="the notes of the data set",
        notify=remark,
        files=[*files, CARD_FILE],
        page=hub_page(built.card, licence),
    )


def _synth(arguments: Sequence[str]) -> int:
    from ..data.synthetic import write_synthetic_csv

    chosen = parse(SynthArguments, "data synth", arguments)
    if chosen.seed < 0:
        raise UsageError(f"--seed is {chosen.seed}, expected 0 or more")
    check_output(chosen.output)
    _check_may_be_replaced(chosen.output)
    write_synthetic_csv(chosen.output, chosen.notes, chosen.seed)
    if is_stream(chosen.output):
        remark(f"{chosen.notes} synthetic notes (not medical advice) were written.")
        return 0
    _say(
        f"{chosen.notes} synthetic notes (not medical advice) are in {chosen.output}",
        f"Next: medical-team data build {shell_word(chosen.output)} -o "
        f"{shell_word(chosen.output.parent / 'synthetic')}",
    )
    return 0


def _check_may_be_replaced(output: Path) -> None:
    """Raises UsageError where a file is at ``output`` that doesn't begin as synthetic notes do: somebody's own."""
    if not output.is_file() or is_stream(output):
        return
    begins = f"{','.join(COLUMNS)}\r\n{SYNTHETIC_PREFIX}".encode()
    try:
        with output.open("rb") as file:
            start = file.read(len(begins))
    except OSError as error:
        raise cannot_write(output, error) from error
    if start and start != begins:
        raise UsageError(f"{output} is there and holds no synthetic notes; move it, or name another file")


def _validate(arguments: Sequence[str]) -> int:
    chosen = parse(ValidateArguments, "data validate", arguments)
    valid = validate_file(chosen.file, is_strict=chosen.strict)
    _say(
        f"{valid.path}: {valid.lines} {valid.kind}, no problem",
        *(f"  {name:<{max(map(len, valid.counts))}}  {count}" for name, count in valid.counts.items()),
        *(f"  ({remark})" for remark in valid.remarks),
    )
    return 0


def _convert(arguments: Sequence[str]) -> int:
    chosen = parse(ConvertArguments, "data convert", arguments)
    check_output(chosen.output)
    count = convert_records(str(chosen.file), chosen.output, chosen.to, all_vanilla=chosen.all_vanilla)
    if is_stream(chosen.output):
        remark(f"{count} rows for {chosen.to} were written.")
    else:
        _say(f"{count} rows for {chosen.to} are in {chosen.output}")
    if chosen.to == "red-team-fork" and not chosen.all_vanilla:
        remark(
            "The fork relabels half of the rows as generated, so about three games in four will have an attacker; "
            "--all-vanilla makes it one in two."
        )
    return 0


def _tell_built(built: BuiltDataSet) -> None:
    card = built.card
    for counts in card.sets:
        _say(
            f"{built.folder / counts.file}: {counts.records} records of {counts.cases} error cases",
            "  " + ", ".join(f"{count} {name}" for name, count in counts.by_data_type.items()),
        )
    _say(*_remarks(built), f"The data card is {built.folder / CARD_PAGE}", "")
    config = f"--data.train {shell_word(built.folder / TRAIN_FILE)}"
    if card.heldout_fraction is not None:
        config += f" --data.heldout {shell_word(built.folder / HELDOUT_FILE)}"
    _say(f"Next: medical-team train {config}")


def _remarks(built: BuiltDataSet) -> list[str]:
    card: DataCard = built.card
    remarks = [f"{visible(file.name)}: {visible(remark)}" for file in card.files for remark in file.remarks]
    if card.num_samples is not None and card.num_samples > card.cases_used:
        remarks.append(
            f"Warning: --num-samples asks for {card.num_samples} error cases; all {card.cases_used} are used."
        )
    if card.refused:
        remarks.append(f"Warning: {card.refused} of {card.rows} rows can't be used:")
        remarks += [f"  {visible(reason)}" for reason in card.refused_for]
        remarks.append("  Row by row: the data card")
    if built.stale_heldout_removed:
        remarks.append(f"Removed {HELDOUT_FILE} of the earlier build: its cases may be in {TRAIN_FILE} now.")
    return remarks


def _say(*lines: str) -> None:
    say("".join(f"{line}\n" for line in lines))


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "build": _build,
    "synth": _synth,
    "validate": _validate,
    "convert": _convert,
}

_HELP = """\
medical-team data: build, make, check and convert data sets.

  medical-team data build FILE... [--num-samples N] [--seed S] [--heldout FRACTION] [--error-types T ...]
                                  [--where COLUMN=VALUE ...] [--strict] [--push OWNER/NAME] -o DIR
  medical-team data synth --notes N --seed S -o CSV
  medical-team data validate FILE [--strict]
  medical-team data convert train.jsonl --to {openrlhf,red-team-fork} -o FILE

medical-team data COMMAND --help tells more.
"""
