"""What no player can do to the page, in a real browser."""

from pathlib import Path

from browser import Browser
from report_page import click_first_row, set_field, wait_for_count


def test_no_text_of_a_player_runs(browser: Browser, hostile_page: Path) -> None:
    browser.open(hostile_page)
    title = browser.driver.title
    click_first_row(browser)
    browser.wait("document.querySelector('#game h3') !== null")
    browser.run("document.querySelectorAll('details').forEach((part) => (part.open = true))")

    assert "owned" not in title
    assert browser.driver.title == title
    assert browser.all("#game img, #game script, #game svg[onload], main img, [onerror], [onload]") == []
    assert browser.complaints() == []
    shown = browser.text("#game")
    assert "</script><script>document.title='owned'</script><img src=x onerror=" in shown
    # What can't be seen is written out.
    assert "\u202e" not in shown
    assert "\\u202egnol\\u202c" in shown
    assert "<img src=x onerror=document.title=1>" in browser.text("#runs")
    for part in ("#runs", "#curves-body", "#facts"):
        assert "</script><script>document.title='owned'</script>" in browser.text(part)
        assert "\u202e" not in browser.text(part)


def test_hostile_text_is_searched_as_it_is(browser: Browser, hostile_page: Path) -> None:
    browser.open(hostile_page)

    set_field(browser, "search", "<img src=x onerror=")
    wait_for_count(browser, "2 games")


def test_the_policy_stops_a_script_that_gets_in(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("""
        const script = document.createElement('script');
        script.textContent = 'document.title = "owned"';
        document.body.append(script);
        const link = document.createElement('a');
        link.setAttribute('onclick', 'document.title = "owned"');
        document.body.append(link);
        link.click();
    """)

    assert browser.driver.title != "owned"
    assert "Content Security Policy" in " ".join(browser.complaints())
