"""What happened while a file was read: what was mended, which rows were refused and why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

MAX_ROWS_OF_A_REASON = 5

_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d+")


class Repair(str, Enum):
    """What was mended; misreadings under their names. Each is counted once a row, or once a case."""

    CP1252 = "double-encoded characters decoded"
    MAC_ROMAN = "characters that were read as Mac Roman decoded"
    LATIN_1 = "quotation marks and dashes that were read as latin-1 control characters decoded"
    ENTITIES = "names of characters that HTML has (&lt;) decoded"
    MARKS = "letters and accents that stood apart joined"
    UNSEEN = "characters of no width left out"
    OUTER_WHITE_SPACE = "white space at the ends stripped"
    LINE_ENDS = "line ends unified"
    FLAG = 'flag or sentence number in another form ("1.0", "TRUE") read as an integer'
    SHORT_ROW = "row without its last cells, which Excel leaves out where they are empty, filled up"
    EMPTY_AS_NA = "empty cell of a correct note read as NA"
    REPEATED_TEXT = "own text of a correct note under Corrected Text read as NA"
    ERROR_TYPE = "error type in another spelling"
    LAYOUT = "white space of the corrected note made that of the error note"
    SENTENCE = "error sentence found in the text by its words, or corrected sentence given its end mark"
    CORRECTED_TEXT = "corrected text with other changes outside the sentence made anew from the two sentences"
    TEXT_ID = "Text ID that another file has too made unique by its file's name"
    NOTICE_SENTENCE_ID = "notice: Error Sentence ID names another sentence in Sentences (kept)"
    NOTICE_ALREADY_THERE = "notice: corrected sentence already stands in the error note (kept)"


@dataclass(frozen=True)
class Refusal:
    """A row that is not used, and why."""

    line: int
    text_id: str
    reason: str
    unit: str = "line"
    """What ``line`` counts: lines, or the rows of a file that has no lines."""

    @property
    def place(self) -> str:
        """Which row it is."""
        return f"{self.unit} {self.line}" + (f" ({self.text_id})" if self.text_id else "")

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass
class ReadingLog:
    """It fills as the rows of one file are taken."""

    rows: int = 0
    blank_rows: int = 0
    unit: str = "line"
    refusals: list[Refusal] = field(default_factory=list[Refusal])
    repairs: Counter[Repair] = field(default_factory=Counter[Repair])
    remarks: list[str] = field(default_factory=list[str])
    """What is worth knowing of the file as a whole, such as what parts its columns."""

    @property
    def refused(self) -> int:
        """How many rows are not used."""
        return len(self.refusals)

    def refuse(self, line: int, text_id: str, reason: str) -> None:
        """Note a row that is not used."""
        self.refusals.append(Refusal(line, text_id, reason, self.unit))

    def reasons(self) -> list[str]:
        """The refused rows by reason, numbers and quoted words aside, the most frequent first."""
        groups: dict[str, list[Refusal]] = {}
        for refusal in self.refusals:
            groups.setdefault(_VARIABLE.sub("...", refusal.reason), []).append(refusal)
        return [_told(*group) for group in sorted(groups.items(), key=lambda group: -len(group[1]))]


def _told(reason: str, refusals: list[Refusal]) -> str:
    if len({refusal.reason for refusal in refusals}) == 1:
        reason = refusals[0].reason
    rows = "1 row" if len(refusals) == 1 else f"{len(refusals)} rows"
    places = ", ".join(refusal.place for refusal in refusals[:MAX_ROWS_OF_A_REASON])
    more = len(refusals) - MAX_ROWS_OF_A_REASON
    return f"{rows}: {reason}: {places}" + (f" and {more} more" if more > 0 else "")
