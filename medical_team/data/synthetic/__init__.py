"""Synthetic notes: short clinical vignettes in a small closed language, of which the truth is always known.

They are made from a table of conditions, findings, organisms, drugs with doses, management and treatment, of our own
writing and much simplified. They describe nobody, are **not medical advice** and **not for clinical use**: right and
wrong mean "as the table says" and "against the table".

- ``table``       the table, read from ``conditions.toml`` and ``drugs.toml``
- ``language``    what a sentence can say, its wordings, its text
- ``reader``      from any text back to what it says in the language
- ``facts``       whether a stated fact is right, wrong or unclear for a condition; right and wrong answers, drawn
- ``cases``       whole cases, drawn: a note with its error and without it
- ``revisions``   an attacker's moves within the language
- ``writing``     cases as a file like MEDEC's, and the words that it can hold
- ``judge``       whether a note contains an error
- ``demo_world``  what the demo policy is taught, plays with, and never sees
"""

from .cases import MAX_CASES, SyntheticCase, synthetic_cases
from .reader import SyntheticReading, read_note
from .revisions import correct, exchange_error, reword
from .table import MedicalTable, medical_table
from .writing import write_synthetic_csv

__all__ = [
    "MAX_CASES",
    "MedicalTable",
    "SyntheticCase",
    "SyntheticReading",
    "correct",
    "exchange_error",
    "medical_table",
    "read_note",
    "reword",
    "synthetic_cases",
    "write_synthetic_csv",
]
