"""The page for everybody: without a finding of axe, in either colour scheme, at any width."""

from pathlib import Path

import pytest

from browser import Browser
from report_page import open_game


def assert_open_to_all(browser: Browser, axe: str) -> None:
    """No finding of axe, with every part unfolded."""
    browser.run("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    # The page's policy forbids a script in the page; one that the driver runs is outside of it.
    browser.run(axe)

    result = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(done, (error) => done({error: String(error)}))"
    )

    assert "error" not in result, result
    assert len(result["passes"]) > 20
    found = {violation["id"]: [node["html"] for node in violation["nodes"]] for violation in result["violations"]}
    assert found == {}


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_in_a_report_with_a_game_open(
    browser: Browser, page: Path, axe: str, width: int, is_dark: bool
) -> None:
    browser.open(page, width=width, is_dark=is_dark)
    open_game(browser, "step-000003-0002")

    assert_open_to_all(browser, axe)


@pytest.mark.parametrize("is_dark", [False, True])
def test_axe_finds_nothing_where_alarms_are_up_and_criteria_fail(
    browser: Browser, troubled_page: Path, axe: str, is_dark: bool
) -> None:
    browser.open(troubled_page, is_dark=is_dark)
    assert browser.all(".alarm:not(.past)")
    assert browser.all(".alarm.past")
    assert {status.text for status in browser.all(".criterion .status")} == {"✓ pass", "✗ fail"}

    assert_open_to_all(browser, axe)


def test_axe_finds_nothing_in_the_report_of_a_run_that_has_just_begun(
    browser: Browser, empty_page: Path, axe: str
) -> None:
    browser.open(empty_page, width=390)

    assert_open_to_all(browser, axe)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)
    open_game(browser, "step-000003-0002")

    assert browser.run("return document.documentElement.scrollWidth") <= width
