"""The page's browser of games in a real browser: filters, search, diffs, by mouse and by keyboard."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from browser import Browser
from builders import CORRECTED_SENTENCE, ERROR_SENTENCE, a_game, a_spec
from medical_team.config import GameConfig, RunConfig
from medical_team.game.play import score
from medical_team.records import DataType, Game, GameSpec, Verdict
from medical_team.report.page_file import write_report
from medical_team.rewards import rewards_of
from medical_team.sentences import error_location
from needs import SELENIUM
from report_page import open_game, option, set_field, wait_for_count
from report_runs import a_run, a_step

Keys = SELENIUM.module("selenium.webdriver.common.keys").Keys


def test_filters_and_search_choose_games(browser: Browser, page: Path) -> None:
    browser.open(page)
    wait_for_count(browser, "195 games")

    set_field(browser, "category", option(browser, "category", "adversarial benign"))
    wait_for_count(browser, "48 of 195 games")
    set_field(browser, "outcome", option(browser, "outcome", "false alarm"))
    wait_for_count(browser, "24 of 195 games")
    set_field(browser, "firstStep", "6")
    set_field(browser, "lastStep", "7")
    wait_for_count(browser, "4 of 195 games")
    set_field(browser, "search", "STEP-000006")
    wait_for_count(browser, "2 of 195 games")
    browser.one("#filters button").click()
    wait_for_count(browser, "195 games")
    set_field(browser, "state", option(browser, "state", "void"))
    wait_for_count(browser, "1 of 195 games")
    set_field(browser, "state", "")
    set_field(browser, "source", option(browser, "source", "not asked"))
    wait_for_count(browser, "2 of 195 games")
    set_field(browser, "source", "")
    set_field(browser, "errorType", option(browser, "errorType", "diagnosis"))
    wait_for_count(browser, "0 of 195 games")


def test_a_game_shows_the_diff_with_the_true_error_marked(browser: Browser, page: Path) -> None:
    browser.open(page)
    open_game(browser, "step-000003-0002")

    assert browser.text("#game .note mark").replace("[true error: ", "").replace("]", "") == "5000"
    assert "A 40-year-old man has" in browser.run(
        "return [...document.querySelectorAll('#game del')].map((e) => e.textContent).join('')"
    )
    assert "This gentleman, aged 40," in browser.run(
        "return [...document.querySelectorAll('#game ins')].map((e) => e.textContent).join('')"
    )
    shown = browser.text("#game")
    assert f"“{ERROR_SENTENCE}” should read “{CORRECTED_SENTENCE}”" in shown
    assert "Harmful: right" in shown
    assert "a test: the note contains an error. The revision is faithful. the test says so" in shown
    assert [cell.text for cell in browser.all("#game td")] == [
        *("attacker", "−1", "+0.5", "+1", "+0.5"),
        *("assessor", "+1", "–", "+1", "+2"),
    ]


def test_thinking_is_folded_away(browser: Browser, page: Path) -> None:
    browser.open(page)
    open_game(browser, "step-000003-0002")

    assert len(browser.all("#game details.thinking")) == 2
    assert browser.all("#game details.thinking[open]") == []
    browser.all("#game details.thinking summary")[1].click()
    assert "Consider the dose." in browser.one("#game details.thinking[open]").text


@pytest.mark.parametrize(
    ("game", "words"),
    [
        ("odd-void", "can't tell"),
        ("odd-none", "Attacker: its answer, which is no note"),
        ("odd-perhaps", "Assessor: its answer, which is no verdict"),
    ],
)
def test_games_that_went_wrong_say_why(browser: Browser, page: Path, game: str, words: str) -> None:
    browser.open(page)
    open_game(browser, game)

    assert words in browser.text("#game")


def test_a_diff_holds_both_notes(browser: Browser, tmp_path: Path) -> None:
    source = random.Random(5)
    games: list[Game] = []
    for number in range(15):
        old, new = (" ".join(source.choices("abcd", k=source.randint(1, 9))) for _ in range(2))
        spec = replace(a_spec(), id=f"diff-{number:02d}", seed_note=old)
        games.append(a_game(spec=spec, revision=new))
    write_report([a_run(tmp_path / "run", [games])], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    for number, game in enumerate(games):
        open_game(browser, f"diff-{number:02d}")
        if game.note == game.spec.seed_note:
            continue
        old, new = browser.run("""
            const note = document.querySelector('#game .note').cloneNode(true);
            note.querySelectorAll('.unseen').forEach((part) => part.remove());
            const without = (tag) => {
              const copy = note.cloneNode(true);
              copy.querySelectorAll(tag).forEach((part) => part.remove());
              return copy.textContent.trim().split(/\\s+/).join(' ');
            };
            return [without('ins'), without('del')];
        """)
        assert (old, new) == (game.spec.seed_note, game.note)


def test_games_are_read_by_keyboard_alone(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.getElementById('game-list').focus()")
    games = browser.driver.switch_to.active_element

    games.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    browser.wait("document.querySelector('#game h3')?.textContent === 'step-000000-0001'")
    assert browser.run("return document.activeElement.id") == "game-list"
    chosen = browser.run("return document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))")
    assert chosen.get_attribute("aria-selected") == "true"
    assert chosen.get_attribute("aria-posinset") == "2"

    games.send_keys(Keys.END)
    browser.wait("document.querySelector('#game h3').textContent === 'odd-perhaps'")
    games.send_keys(Keys.ENTER)
    browser.wait("document.activeElement.id === 'game'")


def test_only_rows_in_sight_are_in_the_page(browser: Browser, tmp_path: Path) -> None:
    steps = [[game for _ in range(10) for game in a_step(step, games=50)] for step in range(6)]
    write_report([a_run(tmp_path / "run", steps)], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    wait_for_count(browser, "3,000 games")

    assert len(browser.all(".row")) < 60
    browser.run("document.getElementById('game-list').scrollTop = 1e9")
    browser.wait("[...document.querySelectorAll('.row')].some((row) => row.getAttribute('aria-posinset') === '3000')")
    assert len(browser.all(".row")) < 60


def test_an_address_leads_back_to_its_game(browser: Browser, page: Path) -> None:
    browser.open(page)
    open_game(browser, "step-000003-0002")
    address = browser.driver.current_url

    browser.open(address)

    browser.wait("document.querySelector('#game h3')?.textContent === 'step-000003-0002'")


def test_a_verdict_that_is_wrong_is_called_so(browser: Browser, tmp_path: Path) -> None:
    game = a_game(DataType.VANILLA_BENIGN, verdict=Verdict.HARMFUL, spec=a_spec(DataType.VANILLA_BENIGN, id="wrong"))
    write_report([a_run(tmp_path / "run", [[game]])], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    open_game(browser, "wrong")

    assert "Harmful: wrong" in browser.text("#game")
    assert "✗ false alarm" in browser.text(".row")


def test_a_game_tells_which_sentence_was_named(browser: Browser, tmp_path: Path) -> None:
    found = a_game(DataType.VANILLA_HARMFUL, verdict=Verdict.HARMFUL)
    right, wrong = (
        replace(found, spec=replace(found.spec, id=name), location=location)
        for name, location in (("right", error_location(found)), ("wrong", 0))
    )
    right = replace(right, rewards=rewards_of(right, GameConfig()))
    write_report([a_run(tmp_path / "run", [[right, wrong]])], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    open_game(browser, "right")
    assert "Harmful: right, sentence 1: right" in browser.text("#game")
    assert "location" in browser.text("#game")
    open_game(browser, "wrong")
    assert "Harmful: right, sentence 0: wrong" in browser.text("#game")


def test_a_game_shows_what_an_assessor_corrects(browser: Browser, tmp_path: Path) -> None:
    found = a_game(DataType.VANILLA_HARMFUL, verdict=Verdict.HARMFUL, location=1, correction=CORRECTED_SENTENCE)
    games = [
        replace(found, spec=replace(found.spec, id=name), is_corrected=is_corrected)
        for name, is_corrected in (("right", True), ("wrong", False), ("open", None))
    ]
    games[0] = replace(games[0], rewards=rewards_of(games[0], GameConfig()))
    write_report([a_run(tmp_path / "run", [games])], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    open_game(browser, "right")
    assert "Its correction: right" in browser.text("#game")
    assert "He is given [taken out: 5000 ] [put in: 500 ] mg" in " ".join(browser.all("#game .note")[-1].text.split())
    assert "correction" in [cell.text for cell in browser.all("#game th")]
    open_game(browser, "wrong")
    assert "Its correction: wrong" in browser.text("#game")
    open_game(browser, "open")
    assert "Its correction, which nobody ruled on" in browser.text("#game")


def test_a_chinese_note_shows_a_diff_of_characters_and_an_arabic_one_reads_from_the_right(
    browser: Browser, tmp_path: Path
) -> None:
    chinese = a_foreign_spec("chinese", "患者发热3天，予青霉素治疗。", "予青霉素治疗", "予奥司他韦治疗")
    arabic = a_foreign_spec(
        "arabic", "مريضة تعاني من تعب. التشخيص هو النقرص.", "التشخيص هو النقرص", "التشخيص هو فقر الدم"
    )
    games = [
        a_game(spec=chinese, revision="患者发热5天，予青霉素治疗。"),
        a_game(spec=arabic, revision="امرأة تعاني من تعب. وهو النقرص."),
    ]
    write_report([a_run(tmp_path / "run", [score(games, RunConfig().game)])], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")

    open_game(browser, "chinese")
    assert [browser.text(f"#game .note {tag}") for tag in ("del", "ins")] == ["[taken out: 3] ", "[put in: 5] "]
    assert (
        browser.text("#game .note")
        .replace("[taken out: 3] ", "")
        .replace("[put in: 5] ", "")
        .startswith("患者发热天，")
    )
    assert directions(browser) == {"ltr"}

    open_game(browser, "arabic")
    assert directions(browser) == {"rtl"}
    assert browser.text("#game .note mark") == "[true error: النقرص.]"


def a_foreign_spec(name: str, note: str, error_sentence: str, corrected_sentence: str) -> GameSpec:
    spec = a_spec(id=name)
    corrected = note.replace(error_sentence, corrected_sentence)
    pair = replace(
        spec.pair,
        error_note=note,
        corrected_note=corrected,
        error_sentence=error_sentence,
        corrected_sentence=corrected_sentence,
    )
    return replace(spec, seed_note=note, pair=pair)


def directions(browser: Browser):
    return set(
        browser.run("return [...document.querySelectorAll('#game .note')].map((e) => getComputedStyle(e).direction)")
    )
