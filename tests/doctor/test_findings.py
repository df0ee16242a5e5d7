from __future__ import annotations

import io

import pytest

from medical_team.doctor.findings import (
    Finding,
    Status,
    Style,
    finding_lines,
    is_minor,
    skipped_lines,
    summary_lines,
    table_style,
)

LONG = "a long sentence that goes on and on, " * 6
COMMAND = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_finding(status: Status = Status.FAILED, found: str = "no", mend: str = "do it") -> Finding:
    return Finding("Group", "name", status, found, mend, 0.1)


@pytest.fixture
def style(monkeypatch: pytest.MonkeyPatch) -> Style:
    monkeypatch.setenv("COLUMNS", "80")
    return table_style(io.StringIO(), {"TERM": "xterm"})


def test_a_finding_is_a_sign_a_word_what_was_found_and_what_mends_it(style: Style) -> None:
    assert finding_lines(a_finding(), style, is_first=True) == [
        "",
        "Group",
        "  ✗ failed  name: no",
        "            -> do it",
    ]


@pytest.mark.parametrize(
    ("status", "start"),
    [
        (Status.OK, "  ✓ ok"),
        (Status.WARNING, "  ! warning"),
        (Status.FAILED, "  ✗ failed"),
        (Status.SKIPPED, "  - skip"),
    ],
)
def test_each_status_is_told_by_sign_and_word(style: Style, status: Status, start: str) -> None:
    assert finding_lines(a_finding(status), style, is_first=False)[0].startswith(start)


def test_what_is_long_is_wrapped_and_a_command_is_not(style: Style) -> None:
    lines = finding_lines(a_finding(found=LONG, mend=f"{COMMAND}   (why it is so)\n{LONG}"), style, is_first=False)

    assert f"            -> {COMMAND}" in lines
    assert "               (why it is so)" in lines
    assert all(len(line) <= 80 for line in lines if COMMAND not in line)


def test_colour_is_on_top_of_the_words_and_only_where_a_terminal_shows_it() -> None:
    coloured = table_style(Terminal(), {"TERM": "xterm"})
    assert finding_lines(a_finding(), coloured, is_first=False)[0] == "  \x1b[31m✗ failed\x1b[0m  name: no"

    for stream, environment in [
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}),
        (Terminal(), {"TERM": "dumb"}),
        (io.StringIO(), {"TERM": "xterm"}),
    ]:
        assert "\x1b" not in finding_lines(a_finding(), table_style(stream, environment), is_first=False)[0]


def test_a_stream_without_the_signs_gets_plain_ones() -> None:
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    style = table_style(ascii_stream, {})
    assert finding_lines(a_finding(found="naïve"), style, is_first=False)[0] == "  x failed  name: na\\xefve"


def test_what_was_found_can_t_drive_the_terminal(style: Style) -> None:
    assert "\x1b" not in "".join(finding_lines(a_finding(found="\x1b[2Jgone", mend="\x1b]0;x"), style, is_first=False))


def test_what_was_not_looked_at_comes_last_with_its_reason(style: Style) -> None:
    skipped = a_finding(Status.SKIPPED, "nothing to do", "")
    assert is_minor(skipped)
    assert not is_minor(a_finding(Status.SKIPPED))
    assert skipped_lines([skipped, a_finding()], style) == ["", "Not looked at", "  - name: nothing to do"]
    assert skipped_lines([a_finding()], style) == []


def test_the_end_says_what_to_mend(style: Style) -> None:
    assert summary_lines([a_finding(), a_finding(Status.OK)], style)[-1] == "1 ok, 1 failed. Not ready: mend name."
    assert summary_lines([a_finding(Status.WARNING)], style)[-1] == "1 warning. Ready."
