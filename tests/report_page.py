"""What a person does in the report's page, for its tests in a browser."""

from __future__ import annotations

from browser import Browser


def set_field(browser: Browser, name: str, value: str) -> None:
    """Fill in a field of the form, as a person does."""
    browser.run(
        "const field = document.querySelector(`#filters [name=${arguments[0]}]`);"
        "field.value = arguments[1]; field.dispatchEvent(new Event('input', {bubbles: true}));",
        name,
        value,
    )


def option(browser: Browser, name: str, label: str) -> str:
    """The value of the option that reads ``label``."""
    options = browser.run(
        "const options = document.querySelectorAll(`#filters [name=${arguments[0]}] option`);"
        "return [...options].map((option) => [option.textContent, option.value])",
        name,
    )
    return dict(options)[label]


def wait_for_count(browser: Browser, text: str) -> None:
    """Wait until the line above the list reads ``text``."""
    browser.wait(f"document.getElementById('games-count').textContent === {text!r}")


def open_game(browser: Browser, game_id: str) -> None:
    """Search for a game, click on it and wait until it is shown."""
    set_field(browser, "search", game_id)
    browser.wait(f"document.querySelector('.row')?.title === {game_id!r}")
    click_first_row(browser)
    browser.wait(f"document.querySelector('#game h3')?.textContent === {game_id!r}")


def click_first_row(browser: Browser) -> None:
    """In one go: a row is made anew whenever the list is drawn."""
    browser.run("document.querySelector('.row').click()")
