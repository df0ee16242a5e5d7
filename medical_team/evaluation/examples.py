"""Solved examples for a prompt, the same for every text: none of them a text that is evaluated, or its twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.twins import NearDuplicateGroups, open_spool
from ..errors import UsageError
from ..records import Note
from ..seeds import derived_random
from .medec_texts import MedecText, load_medec


@dataclass(frozen=True)
class Examples:
    """Texts to show with their solution."""

    texts: tuple[MedecText, ...] = ()
    origin: str = ""
    """Where they are from, without a word of them."""


def choose_examples(path: Path, evaluated: Sequence[MedecText], count: int, seed: int) -> Examples:
    """``count`` texts of the MEDEC CSV at ``path``, each of another near-duplicate group, every other with an error.

    Raises:
        DataError: the file can't be used.
        UsageError: too few of its texts are neither evaluated nor twins of those.
    """
    file = load_medec(path)
    taken: set[int] = set()
    with_error: list[MedecText] = []
    correct: list[MedecText] = []
    groups = _joint_groups([*evaluated, *file.texts])
    taken.update(groups[: len(evaluated)])
    candidates = list(zip(file.texts, groups[len(evaluated) :], strict=True))
    derived_random(seed, "examples").shuffle(candidates)
    for text, group in candidates:
        side, wanted = (with_error, (count + 1) // 2) if text.has_error else (correct, count // 2)
        if group not in taken and len(side) < wanted:
            taken.add(group)
            side.append(text)
    chosen = [side[index // 2] for index in range(count) if index // 2 < len(side := (with_error, correct)[index % 2])]
    if len(chosen) < count:
        raise UsageError(
            f"--shots is {count}, but {path.name} has only {len(chosen)} such examples that are neither evaluated nor "
            "twins of what is: name another file with --examples, or evaluate on fewer texts with --texts"
        )
    ids = ", ".join(text.text_id for text in chosen)
    return Examples(tuple(chosen), f"{file.name} (sha256 {file.sha256[:12]}): {ids}")


def _joint_groups(texts: Sequence[MedecText]) -> list[int]:
    """The near-duplicate group of each text, over all of them."""
    with open_spool() as spool:
        twins = NearDuplicateGroups(spool)
        for text in texts:
            twins.add(_note(text))
        return list(twins.groups())


def _note(text: MedecText) -> Note:
    return Note(
        text_id=text.text_id,
        text=text.text,
        has_error=text.has_error,
        error_type=text.error_type,
        error_sentence_id=int(text.reference.sentence_id),
        error_sentence=text.error_sentence,
        corrected_sentence=text.corrected_sentence,
        corrected_text=text.corrected_text,
        line=0,
    )
