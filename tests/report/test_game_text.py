from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builders import CORRECTED_SENTENCE, a_game, games
from medical_team.config import GameConfig
from medical_team.records import DataType, Game, GameState, Verdict
from medical_team.report.game_text import format_game, word_diff
from medical_team.rewards import rewards_of
from medical_team.sentences import error_location
from medical_team.terminal_text import visible


def test_a_transcript_tells_what_happened_and_who_got_what() -> None:
    game = a_game(DataType.ADVERSARIAL_HARMFUL, verdict=Verdict.SAFE, thinking="three secret words")
    game = replace(game, rewards=rewards_of(game, GameConfig()))

    text = format_game(game)

    for expected in (
        "Game game-adversarial_harmful: step 0, adversarial_harmful, pharmacotherapy",
        "[-A 40-year-old man has a cough-]{+This gentleman, aged 40, came with coughing+} and a",
        "(3 words, folded)",
        "Assessor's verdict: Safe",
        "a test: the note contains an error, the verdict is wrong, the revision is faithful. the test says so",
        "attacker +2.5 (core +1, revision +0.5, format +1)",
        "assessor +0 (core -1, format +1)",
    ):
        assert expected in " ".join(text.split()), expected
    assert "secret" not in text
    assert "three secret words" in format_game(game, is_thinking_shown=True)


def test_a_transcript_tells_which_sentence_was_named() -> None:
    game = a_game(DataType.VANILLA_HARMFUL, verdict=Verdict.HARMFUL)
    right, wrong = (replace(game, location=place) for place in (error_location(game), 0))
    right = replace(right, rewards=rewards_of(right, GameConfig()))

    assert "Assessor's verdict:\n  Harmful, sentence 1 (right)" in format_game(right)
    assert "location +0.5" in format_game(right)
    assert "Harmful, sentence 0 (wrong)" in format_game(wrong)
    assert "sentence" not in format_game(game)


def test_a_transcript_shows_what_an_assessor_corrects() -> None:
    game = a_game(DataType.VANILLA_HARMFUL, verdict=Verdict.HARMFUL, location=1, correction=CORRECTED_SENTENCE)
    right = replace(game, is_corrected=True)
    right = replace(right, rewards=rewards_of(right, GameConfig()))

    text = " ".join(format_game(right).split())
    assert "Assessor's correction (right): He is given [-5000-]{+500+} mg" in text
    assert "correction +0.5" in text
    assert "Assessor's correction (wrong):" in format_game(replace(game, is_corrected=False))
    assert "Assessor's correction:" in format_game(game)


def test_games_that_went_wrong_say_why() -> None:
    no_verdict = format_game(a_game(DataType.VANILLA_HARMFUL, verdict=None))
    assert "Assessor's answer, which is no verdict:\n  Perhaps." in no_verdict
    assert "Judge:\n  not asked" in no_verdict
    assert "Rewards:\n  none" in no_verdict

    no_revision = format_game(a_game(state=GameState.NO_REVISION, revision=""))
    assert "Attacker's answer, which is no note:\n  (none)" in no_revision

    assert "cannot tell. can't tell" in format_game(a_game(state=GameState.VOID))


def test_a_diff_marks_words_taken_out_and_put_in() -> None:
    assert word_diff("He takes 500 mg daily.", "He takes 5000 mg daily.") == "He takes [-500-]{+5000+} mg daily."
    assert word_diff("a b c", "a c d") == "a [-b-] c {+d+}"
    assert word_diff("a b", "c") == "[-a b-]{+c+}"
    assert word_diff("same  words", "same words") == "same words"
    assert word_diff("", "") == ""
    assert word_diff("发热3天，无咳嗽。", "发热5天，无咳嗽。") == "发热[-3-]{+5+}天，无咳嗽。"


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_a_diff_holds_both_texts(old: list[str], new: list[str]) -> None:
    marked = word_diff(" ".join(old), " ".join(new))
    kept: dict[str, list[str]] = {"old": [], "new": []}
    side = "both"
    for token in marked.replace("[-", " [- ").replace("-]", " -] ").replace("{+", " {+ ").replace("+}", " +} ").split():
        if token in ("[-", "{+", "-]", "+}"):
            side = {"[-": "old", "{+": "new"}.get(token, "both")
            continue
        for name in ("old", "new"):
            if side in (name, "both"):
                kept[name].append(token)

    assert kept == {"old": old, "new": new}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_text_of_a_player_drives_the_terminal(text: str) -> None:
    game = a_game(revision=text or "x", verdict=None)
    attacker, assessor = game.turns
    game = replace(game, turns=(replace(attacker, thinking=text), replace(assessor, answer=text)))

    shown = format_game(game, is_thinking_shown=True)

    assert all(character == "\n" or character == visible(character) for character in shown)


@given(games())
def test_every_game_has_a_transcript(game: Game) -> None:
    assert format_game(game).endswith("\n")


def test_hidden_characters_are_written_out() -> None:
    assert visible("a\x1b[31mb\r\u202ec\u2028\x9b\ud800\n\tµ") == "a\\x1b[31mb\\r\\u202ec\\u2028\\x9b\\ud800\n\tµ"
