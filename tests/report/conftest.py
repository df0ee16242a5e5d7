"""For the tests of the page: a real browser (headless Chromium, as Debian packages it), and reports to open."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from browser import PATIENCE, Browser
from builders import a_game, a_record, a_spec, present
from medical_team.config import PolicyConfig, RunConfig, TrainingConfig
from medical_team.game.play import score
from medical_team.records import DataType, GameState
from medical_team.report.page_file import write_report
from medical_team.runs.folder import RunFolder
from needs import AXE, CHROMIUM, SELENIUM
from report_runs import HOSTILE, a_run, a_step, add_step

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that several tests share; each opens its own page."""
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    driver_program = shutil.which("chromedriver")
    if program is None or driver_program is None:
        CHROMIUM.skip()
    webdriver = SELENIUM.module("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    folder = tmp_path_factory.mktemp("chromium")
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        # Chromium's own sandbox refuses to be started by root, as in a container.
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_program))
    driver.set_script_timeout(PATIENCE)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds what shuts people out."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        AXE.skip()
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of ordinary games: 12 steps of 16, and some that went wrong."""
    folder = tmp_path_factory.mktemp("page")
    steps = [a_step(step, games=16, thinking="Consider the dose.") for step in range(12)]
    odd = [
        a_game(spec=a_spec(id="odd-void", step=11), state=GameState.VOID),
        a_game(spec=a_spec(id="odd-none", step=11), state=GameState.NO_REVISION, revision="No."),
        a_game(spec=a_spec(id="odd-perhaps", step=11), verdict=None),
    ]
    steps[11] = [*steps[11], *score(odd, RunConfig().game)]
    write_report([a_run(folder / "run", steps)], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which every text that a player, a judge or a file can set tries to run a script."""
    folder = tmp_path_factory.mktemp("hostile")
    base = a_spec(DataType.ADVERSARIAL_HARMFUL)
    pair = replace(base.pair, case_id=HOSTILE, error_sentence=HOSTILE, corrected_sentence=HOSTILE)
    spec = replace(base, id=HOSTILE, seed_note=HOSTILE, pair=pair)
    game = a_game(spec=spec, revision=f"{HOSTILE} changed", thinking=HOSTILE, reason=HOSTILE)
    game = replace(game, ruling=replace(present(game.ruling), source=HOSTILE, reason=HOSTILE))
    undecided = replace(
        game, spec=replace(spec, id=f"{HOSTILE}2"), state=GameState.NO_VERDICT, ruling=None, verdict=None
    )
    path = folder / "<img src=x onerror=document.title=1>"
    # A configuration holds no control characters.
    config = RunConfig(policy=PolicyConfig(model=HOSTILE.replace("\x07", "")), training=TrainingConfig(steps=1))
    records = [a_record(data_type) for data_type in DataType]
    run = RunFolder.create(path, config, records, versions={HOSTILE: HOSTILE}, hardware={HOSTILE: HOSTILE})
    add_step(run, 0, [game, undecided])
    run.append_metrics(0, {f"heldout/{HOSTILE}": 0.5})
    write_report([path], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="session")
def troubled_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs over one another, in which much goes wrong: alarms are up and over, criteria fail."""
    folder = tmp_path_factory.mktemp("troubled")
    won = [a_step(step, attacker_wins=True) for step in range(25)]
    voids = [[a_game(spec=a_spec(step=step), state=GameState.VOID)] * 10 for step in range(12)]
    balanced = [a_step(step, games=16) for step in range(12, 40)]
    runs = [a_run(folder / "won", won), a_run(folder / "void at first", [*voids, *balanced])]
    write_report(runs, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="session")
def empty_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has not completed a step."""
    folder = tmp_path_factory.mktemp("empty")
    write_report([a_run(folder / "run", [], total_steps=3)], folder / "report.html")
    return folder / "report.html"
