"""How fast a report with many games is written, opens and filters, in headless Chromium.

    python benchmarks/report_page.py --games 50000
    python benchmarks/report_page.py --games 50000 --phone    a window of 360 x 740, with touch

It plays nothing: it makes games with random words, each with a text of its own, about as long as MEDEC's notes. Needs
Chromium, its driver and selenium.

Measured on two slow cores, Chromium 150: see docs/report.md.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from selenium import webdriver

from medical_team.config import RunConfig, TrainingConfig
from medical_team.game.play import score
from medical_team.records import DataType, Game, NotePair, Verdict
from medical_team.report.page_file import write_report
from medical_team.runs.folder import RunFolder

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from builders import CORRECTED_SENTENCE, ERROR_SENTENCE, a_game, a_pair, a_record, a_spec

GAMES_A_STEP = 64
CASES = 640
NOTE_WORDS = 110
CHANGED_WORDS = 20
THINKING_WORDS = 60
FILTERS = (
    ("category", "2"),
    ("outcome", "1"),
    ("outcome", ""),
    ("category", ""),
    ("search", "amoxicillin"),
    ("search", "zq"),
    ("search", "step-0000"),
    ("search", ""),
)
"""One after the other, each on top of those before; the values of the page's fields."""

FILTER = """
const [name, value, done] = arguments;
const field = document.querySelector(`#filters [name=${name}]`);
const start = performance.now();
field.value = value;
field.dispatchEvent(new Event("input", {bubbles: true}));
requestAnimationFrame(() => setTimeout(() => done([performance.now() - start,
    document.getElementById("games-count").textContent])));
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=50_000)
    parser.add_argument("--page", type=Path, help="measure this report instead of writing one")
    parser.add_argument("--phone", action="store_true", help="in a window of 360 x 740 points, as a phone has")
    chosen = parser.parse_args()
    print(f"load of this machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    if chosen.page is not None:
        measure(chosen.page, is_phone=chosen.phone)
        return
    steps = -(-chosen.games // GAMES_A_STEP)
    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder) / "run", Path(folder) / "report.html"
        make_run(run, steps)
        start = time.perf_counter()
        games = write_report([run], page)
        written = time.perf_counter() - start
        print(f"{games:,} games, {size(run / 'games.jsonl')} of games.jsonl")
        print(f"written in {written:.1f} s, {size(page)}")
        measure(page, is_phone=chosen.phone)


def make_run(path: Path, steps: int) -> None:
    """A run of games that say random words."""
    source = random.Random(1)
    words = ["".join(source.choices("abcdefghiklmnoprstuvwy", k=source.randint(2, 10))) for _ in range(20_000)]
    pairs: list[NotePair] = []
    for number in range(CASES):
        text = " ".join(source.choices(words, k=NOTE_WORDS))
        notes = {"error_note": f"{text} {ERROR_SENTENCE}", "corrected_note": f"{text} {CORRECTED_SENTENCE}"}
        pairs.append(a_pair(case_id=f"case-{number}", **notes))
    config = RunConfig(training=TrainingConfig(steps=steps))
    run = RunFolder.create(path, config, [a_record(kind) for kind in DataType])
    for step in range(steps):
        games: list[Game] = []
        for number in range(GAMES_A_STEP):
            kind = source.choice(list(DataType))
            spec = a_spec(kind, pair=source.choice(pairs), step=step, id=f"step-{step:06d}-game-{number:04d}")
            revision = spec.seed_note.split()
            for _ in range(CHANGED_WORDS):
                revision[source.randrange(len(revision))] = source.choice(words)
            thinking = " ".join(source.choices(words, k=THINKING_WORDS))
            game = a_game(kind, verdict=source.choice(list(Verdict)), spec=spec, thinking=thinking)
            games.append(replace(game, note=" ".join(revision)) if kind.is_adversarial else game)
        run.append_games(score(games, config.game))


def measure(page: Path, *, is_phone: bool) -> None:
    """Open ``page`` and filter its games."""
    driver = open_browser(is_phone=is_phone)
    try:
        driver.get(page.resolve().as_uri())
        while driver.execute_script("return document.documentElement.dataset.ready") != "search":
            time.sleep(0.05)
        for state in ("games", "search"):
            milliseconds = driver.execute_script(
                "return performance.getEntriesByName(arguments[0])[0].startTime", state
            )
            print(f"{state} ready {milliseconds / 1000:.2f} s after opening")
        for name, value in FILTERS:
            milliseconds, count = driver.execute_async_script(FILTER, name, value)
            print(f"{name} = {value!r}: {milliseconds:.0f} ms ({count})")
        widths = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        print(f"the page is {widths[0]} points wide in a window of {widths[1]}")
    finally:
        driver.quit()


def open_browser(*, is_phone: bool) -> Any:
    """Headless Chromium."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    if is_phone:
        metrics = {"width": 360, "height": 740, "pixelRatio": 2.0, "touch": True}
        cast("Any", options).add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.binary_location = "/usr/bin/chromium"
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


def size(path: Path) -> str:
    """The size of a file, for people."""
    return f"{path.stat().st_size / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
