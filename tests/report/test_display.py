import io
import sys

import pytest

from builders import a_game
from medical_team.records import DataType, GameState
from medical_team.report.display import (
    LiveDisplay,
    PlainDisplay,
    duration_text,
    make_display,
    replacement_summary,
    void_summary,
)

METRICS = {
    "rewards/attacker/total": -0.001,
    "rewards/assessor/total": 0.25,
    "win_rate/attacker": 0.4,
    "win_rate/assessor": 0.6,
    "void_share/attacker": 0.125,
    "void_share/assessor": 0.1,
    "policy/kl": 0.0123,
    "speed/tokens_per_second": 311.8,
    "memory/peak_gib": 3.14,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def terminal_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "90")


def test_a_file_gets_one_line_a_step() -> None:
    output, errors, clock = io.StringIO(), io.StringIO(), Clock()
    with make_display(output, errors, clock) as display:
        display.start(total_steps=4, first_step=1)
        display.phase("play", "3/16 games")
        clock.now = 60.0
        display.step_ended(1, [], METRICS)
        clock.now = 100.0
        display.step_ended(2, [], {"policy/demonstration_loss": 0.5175, "memory/peak_gib": 0.6})

    first, second = output.getvalue().splitlines()
    assert first == (
        "step 2 of 4, 0:02:00 left; attacker: reward +0.00, win rate 40%, void 12%; assessor: reward +0.25, "
        "win rate 60%, void 10%; KL 0.0123 nats a token, 312 tokens a second, peak memory 3.1 GiB"
    )
    assert second == ("step 3 of 4, 0:00:50 left; loss on demonstrations 0.517 nats a token, peak memory 0.6 GiB")
    assert errors.getvalue() == ""


def test_warnings_go_to_standard_error() -> None:
    output, errors = io.StringIO(), io.StringIO()
    with make_display(output, errors) as display:
        display.notice("the run lies in runs/1")
        display.warn("little memory")

    assert output.getvalue() == "the run lies in runs/1\n"
    assert errors.getvalue() == "warning: little memory\n"


def test_text_can_not_drive_the_terminal_nor_stop_an_ascii_stream() -> None:
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="ascii")
    with make_display(output, io.StringIO()) as display:
        display.notice("µ \x1b[31m [red]x[/red] \u202e")

    assert raw.getvalue() == b"\\xb5 \\x1b[31m [red]x[/red] \\u202e\n"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_lines_without_colour_where_no_colour_is_wanted(
    terminal_environment: None, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    assert isinstance(make_display(Terminal(), io.StringIO()), LiveDisplay)
    monkeypatch.setenv(variable, value)
    assert isinstance(make_display(Terminal(), io.StringIO()), PlainDisplay)


def test_without_redrawing_each_number_stands_beside_its_name_in_lines_that_fit(
    terminal_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "60")
    terminal, clock = Terminal(), Clock()
    with make_display(terminal, io.StringIO(), clock) as display:
        display.start(total_steps=4)
        clock.now = 60.0
        display.step_ended(0, [], METRICS)
        display.step_ended(1, [], {})

    assert terminal.getvalue().splitlines() == [
        "step 1 of 4, 0:03:00 left",
        "  attacker: reward +0.00, win rate 40%, void 12%",
        "  assessor: reward +0.25, win rate 60%, void 10%",
        "  KL 0.0123 nats a token, 312 tokens a second, peak memory",
        "    3.1 GiB",
        "step 2 of 4, 0:01:00 left",
    ]


def test_a_terminal_gets_a_live_view(terminal_environment: None) -> None:
    terminal, errors, clock = Terminal(), Terminal(), Clock()
    with make_display(terminal, errors, clock) as display:
        display.start(total_steps=4)
        display.notice("[bold]the run\x1b[2J")
        display.phase("play", "3/16 games")
        clock.now = 60.0
        display.step_ended(0, [], METRICS)
        display.warn("little memory")

    shown = terminal.getvalue()
    last_view = shown[shown.rindex("step 1/4") :]
    assert "[bold]the run\\x1b[2J" in shown
    assert "0:01:00 gone, 0:03:00 left" in last_view
    assert "now: stopped" in last_view
    assert "+0.25" in last_view
    assert "KL 0.0123 nats a token, 312 tokens a second, peak memory 3.1 GiB" in last_view
    assert "warning: little memory" in shown
    assert errors.getvalue() == ""


def test_an_error_closes_the_live_view_and_gives_the_streams_back(terminal_environment: None) -> None:
    terminal = Terminal()
    stdout = sys.stdout

    def fail() -> None:
        with make_display(terminal, Terminal()) as display:
            display.start(total_steps=4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert sys.stdout is stdout
    assert terminal.getvalue().endswith("\x1b[?25h")


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (61.4, "0:01:01"), (1e30, "years"), (float("inf"), "years")]
)
def test_a_time_of_any_length_has_a_text(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def games(data_type: DataType, *states: GameState):
    return [a_game(data_type, state=state) for state in states]


def test_shares_are_told_by_role_and_category_with_their_counts() -> None:
    played = [
        *games(DataType.VANILLA_HARMFUL, GameState.DECIDED, GameState.DECIDED),
        *games(DataType.ADVERSARIAL_BENIGN, GameState.DECIDED, GameState.VOID, GameState.NO_REVISION),
    ]

    summary = void_summary(iter(played))

    assert "attacker 50% of 2, assessor 25% of 4" in summary
    assert "vanilla_harmful 0% of 2, adversarial_benign 50% of 2" in summary
    assert "model judge" not in summary


def test_above_one_half_a_model_judge_is_advised() -> None:
    played = [
        *games(DataType.VANILLA_HARMFUL, GameState.DECIDED, GameState.DECIDED),
        *games(DataType.ADVERSARIAL_HARMFUL, GameState.VOID),
    ]

    assert "use a model judge" in void_summary(played)


def test_a_run_without_rulings_says_so() -> None:
    assert "no game" in void_summary(games(DataType.ADVERSARIAL_HARMFUL, GameState.NO_REVISION))


def test_games_in_the_place_of_others_are_told_by_category() -> None:
    metrics = [
        {"games/all": 8.0},
        {"replacements/vanilla_harmful": 2.0, "replacements/adversarial_benign": 1.0},
        {"replacements/vanilla_harmful": 1.0},
    ]

    told = replacement_summary(metrics)

    assert told is not None
    assert told.endswith(": 4 (vanilla_harmful 3, adversarial_benign 1)")
    assert replacement_summary(metrics[:1]) is None
