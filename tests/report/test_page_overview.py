"""All of the page but its games, in a real browser."""

from pathlib import Path

from browser import Browser
from medical_team.report.page_file import write_report
from report_page import click_first_row, open_game, option, set_field, wait_for_count
from report_runs import a_run, a_step


def test_a_report_opens_without_a_complaint_or_a_request(browser: Browser, page: Path) -> None:
    browser.open(page)

    assert browser.text("h1") == "Medical self-red-teaming: run report"
    assert len(browser.all(".criterion")) == 6
    assert len(browser.all("#curves-body figure:not([hidden]) svg polyline")) > 20
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


def test_what_to_know_first_stands_first(browser: Browser, troubled_page: Path) -> None:
    browser.open(troubled_page)

    first, second = browser.run("return [...document.querySelectorAll('#runs dl')].map((list) => list.textContent)")
    assert first.startswith("Criteria4 pass, 2 failAlarms1 up")
    assert second.startswith("Criteria5 pass, 1 failAlarmsnone up, 3 over")


def test_a_run_that_has_just_begun_says_so(browser: Browser, empty_page: Path) -> None:
    browser.open(empty_page)

    assert "Criteria6 not enough data" in browser.text("#runs")
    assert browser.text("#curves-key") == "No step is on record yet."
    assert browser.text("#games-count") == "0 games"
    assert browser.complaints() == []


def test_games_alone_make_a_report_that_names_what_is_missing(browser: Browser, tmp_path: Path) -> None:
    # As another engine may leave a run: no metrics, no event files, no checkpoints, no lock.
    path = a_run(tmp_path / "run", [a_step(step) for step in range(3)], metrics=False)
    assert sorted(entry.name for entry in path.iterdir()) == ["config.toml", "data", "games.jsonl", "run.json"]
    write_report([path], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    drawn = browser.run(
        "const figures = document.querySelectorAll('#curves-body figure:not([hidden]) figcaption');"
        "return [...figures].map((title) => title.textContent)"
    )
    assert {"Reward by role", "Attacker's wins by category", "Revisions", "Judge: who ruled"} <= set(drawn)
    absent = browser.text("#curves-absent")
    assert absent.startswith("No numbers are on record for: Held-out notes, ")
    for title in ("KL from the reference policy", "Entropy of the policy", "Tokens a second", "Peak memory"):
        assert title in absent
    assert "TensorBoard" not in absent
    open_game(browser, "step-000002-0003")
    assert browser.complaints() == []


def test_curves_that_another_engine_keeps_to_itself_are_pointed_at(browser: Browser, tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [], total_steps=3)
    (path / "tensorboard" / "openrlhf").mkdir(parents=True)
    (path / "tensorboard" / "openrlhf" / "events.out.tfevents.1.host").write_bytes(b"")
    write_report([path], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    assert browser.text("#curves-key") == "No step is on record yet."
    assert "tensorboard --logdir RUN/tensorboard" in browser.text("#curves-absent")


def test_half_a_file_still_shows_how_the_run_went(browser: Browser, tmp_path: Path) -> None:
    write_report([a_run(tmp_path / "run", [a_step(0)])], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "half.html").write_text(page[: page.index('id="chunk-texts-0"') + 200], encoding="utf-8")
    browser.open(tmp_path / "half.html", ready="games")

    assert len(browser.all(".criterion")) == 6
    wait_for_count(browser, "4 games")
    click_first_row(browser)
    browser.wait("document.querySelector('#game .problem')?.textContent.startsWith('This game can')")
    browser.wait("document.querySelector('header').textContent.includes('Not all of this page could be drawn')")


def test_several_runs_share_the_charts_and_keep_their_games_apart(browser: Browser, tmp_path: Path) -> None:
    paths = [a_run(tmp_path / name, [a_step(0), a_step(1)]) for name in ("first", "second")]
    write_report(paths, tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    legend = browser.run("return document.querySelector('#curves-body .legend').textContent")
    assert legend == "first: attackerfirst: assessorsecond: attackersecond: assessor"
    assert len(browser.all(".criterion")) == 12
    set_field(browser, "run", option(browser, "run", "second"))
    wait_for_count(browser, "8 of 16 games")


def test_numbers_of_a_chart_can_be_read_as_a_table(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.one("#curves-body figure summary").click()
    # The table is filled when the browser has told the page that its frame is open.
    browser.wait("document.querySelector('#curves-body figure tr')")

    rows = browser.run(
        "const rows = [...document.querySelectorAll('#curves-body figure tr')];"
        "return rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert rows[0] == ["step", "attacker", "assessor"]
    assert rows[1] == ["0", "1.5", "1"]


def test_curves_can_be_smoothed(browser: Browser, tmp_path: Path) -> None:
    steps = [a_step(step) for step in range(40)]
    write_report([a_run(tmp_path / "run", steps)], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    def heights():
        points = browser.run("return document.querySelector('#curves-body polyline').getAttribute('points')")
        return {float(point.split(",")[1]) for point in points.split()[20:]}

    def choose(value: str) -> None:
        browser.run(
            "const select = document.querySelector('#smoothing select');"
            "select.value = arguments[0]; select.dispatchEvent(new Event('change'));",
            value,
        )

    # The games are won in turn: two heights, whose mean over an even number of steps is one.
    choose("1")
    assert len(heights()) == 2
    choose("20")
    assert len(heights()) == 1
