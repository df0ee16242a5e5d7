"""The page of a run that goes on, in a real browser."""

import threading
from pathlib import Path

from browser import Browser
from medical_team.report.live_server import LiveRun, make_server
from medical_team.runs.folder import RunFolder
from report_page import click_first_row, open_game, wait_for_count
from report_runs import a_run, a_step, add_step


def test_a_live_page_grows_without_a_reload(browser: Browser, tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [a_step(0)], total_steps=3)
    with make_server(LiveRun(path), 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            browser.open(f"http://127.0.0.1:{server.server_address[1]}/", ready="games")
            wait_for_count(browser, "4 games")
            click_first_row(browser)
            browser.wait("document.querySelector('#game h3')?.textContent === 'step-000000-0000'")
            browser.run("document.isSamePage = true")
            assert "1 of 3 steps" in browser.text("#live-status")

            add_step(RunFolder.open(path), 1, a_step(1))

            wait_for_count(browser, "8 games")
            browser.wait("document.getElementById('live-status').textContent.includes('2 of 3 steps')")
            assert browser.run("return document.isSamePage")
            assert browser.text("#game h3") == "step-000000-0000"
            open_game(browser, "step-000001-0003")

            RunFolder.open(path).rewind(1)
            browser.wait("document.isSamePage !== true && document.documentElement.dataset.ready === 'games'")
            wait_for_count(browser, "4 games")
            assert browser.complaints() == []
        finally:
            server.shutdown()
            thread.join()
    browser.wait("document.getElementById('live-status').textContent.startsWith('Not live')")
