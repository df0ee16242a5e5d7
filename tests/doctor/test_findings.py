from __future__ import annotations

import pytest

from medical_team.doctor.findings import Finding, Status, finding_text, is_minor, skipped_text, summary_text

COMMAND = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"


def a_finding(status: Status = Status.FAILED, found: str = "no", mend: str = "do it") -> Finding:
    return Finding("Group", "name", status, found, mend, 0.1)


def text_of(finding: Finding, *, is_first: bool = False, has_colour: bool = False) -> str:
    return finding_text(finding, is_first=is_first, has_colour=has_colour)


def test_a_finding_is_a_sign_a_word_what_was_found_and_what_mends_it() -> None:
    expected = "\nGroup\n  ✗ failed  name: no\n            -> do it\n"
    assert text_of(a_finding(), is_first=True) == expected


@pytest.mark.parametrize(
    ("status", "start"),
    [
        (Status.OK, "  ✓ ok"),
        (Status.WARNING, "  ! warning"),
        (Status.FAILED, "  ✗ failed"),
        (Status.SKIPPED, "  - skip"),
    ],
)
def test_each_status_is_told_by_sign_and_word(status: Status, start: str) -> None:
    assert text_of(a_finding(status)).startswith(start)


def test_what_a_command_does_stands_below_it_and_each_command_on_a_line_of_its_own() -> None:
    text = text_of(a_finding(mend=f"{COMMAND}   (why it is so)\nthe next"))

    assert text.splitlines()[1:] == [
        f"            -> {COMMAND}",
        "               (why it is so)",
        "            -> the next",
    ]


def test_colour_is_on_top_of_the_words() -> None:
    assert text_of(a_finding(), has_colour=True).startswith("  \x1b[31m✗ failed  \x1b[0mname: no")
    assert "\x1b" not in text_of(a_finding())


def test_what_was_found_can_t_drive_the_terminal() -> None:
    assert "\x1b" not in text_of(a_finding(found="\x1b[2Jgone", mend="\x1b]0;x"))


def test_what_was_not_looked_at_comes_last_with_its_reason() -> None:
    skipped = a_finding(Status.SKIPPED, "nothing to do", "")
    assert is_minor(skipped)
    assert not is_minor(a_finding(Status.SKIPPED))
    assert skipped_text([skipped, a_finding()]) == "\nNot looked at\n  - name: nothing to do\n"
    assert skipped_text([a_finding()]) == ""


def test_the_end_says_what_to_mend() -> None:
    assert summary_text([a_finding(), a_finding(Status.OK)]) == "\n1 ok, 1 failed. Not ready: mend name.\n"
    assert summary_text([a_finding(Status.WARNING)]) == "\n1 warning. Ready.\n"
