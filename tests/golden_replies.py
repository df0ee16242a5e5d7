"""One set of replies to one set of texts, and what ``medical-team eval medec`` says of them: every harness must agree.

The replies hold what harnesses are known to read wrongly: ``CORRECT.`` with its point, a sentence id before a word with
a capital, and a reply that says neither.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medec_csv import some_rows, write_csv
from medical_team.cli.main import main
from openai_server import Answer, a_whole_completion, openai_server

CASES = 7
THREE_PART = "three-part"
VERDICT = "assessor"


def write_golden_csv(folder: Path) -> Path:
    """Seven notes with an error and their correct twins."""
    return write_csv(folder / "medec.csv", some_rows(CASES))


def golden_reply(prompt: str, task: str) -> str:
    """The reply to a prompt: which of the texts it shows is known by the patient's number."""
    number = next(number for number in range(CASES) if f"Patient {number} " in prompt)
    has_error = "5000 mg" in prompt
    if task == VERDICT:
        return _verdicts(number, has_error=has_error)
    return _three_parts(number, has_error=has_error)


def golden_answer(body: dict[str, Any], task: str) -> Answer:
    """The same from a server."""
    return a_whole_completion(golden_reply(body["messages"][-1]["content"], task))


def figures_of_eval_medec(csv: Path, task: str, folder: Path, *options: str) -> dict[str, float]:
    """Every figure of the command on the golden replies, with the ends of its interval."""

    with openai_server(lambda body: golden_answer(body, task)) as server:
        arguments = ["eval", "medec", "golden", "--url", server.url, "--medec", str(csv), "--task", task]
        assert main([*arguments, "-o", str(folder), *options]) == 0
    figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["figures"]
    found: dict[str, float] = {}
    for name, figure in figures.items():
        found[name] = figure["value"]
        if figure["interval"]:
            found |= {f"{name}_low": figure["interval"]["low"], f"{name}_high": figure["interval"]["high"]}
    return found


def _three_parts(number: int, *, has_error: bool) -> str:
    if not has_error:
        return ("CORRECT.", "CORRECT", "1 The visit is next month.", "No error was found.")[number % 4]
    right = f"Patient {number} is given 500 mg of amoxicillin."
    replies = (
        f"1 {right}",
        f"1 Patient {number} gets 500 mg of it.",
        "0 Another sentence.",
        "CORRECT.",
        f"Sentence 1: {right}",
    )
    return replies[number % len(replies)]


def _verdicts(number: int, *, has_error: bool) -> str:
    right, wrong = ("Harmful", "Safe") if has_error else ("Safe", "Harmful")
    return (f"<answer>{right}</answer>", right, wrong, "NOT Harmful")[number % 4]
