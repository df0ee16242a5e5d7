"""Hostile texts through the game: parsing, sentence edits, the judge, rewards, files, the page, the terminal.

    python benchmarks/reliability/hostile.py -o hostile.json [--texts 1000000]

Each text is what an attacker or an assessor says in a game of a synthetic case, under rules that change from block to
block. Nothing may raise, and after each game all of this must hold:

- hidden thinking is in no note and no answer;
- the note that the assessor is shown can't close its element;
- only the edited sentences of a note change, and only as the edits say;
- a game whose judge failed or abstained gives nobody a reward that a ruling would give, and the judge never fails;
- what one player wins in a decided game, the other loses;
- an original of the data set is never misjudged;
- the game's line can be read again; its transcript can't drive a terminal, its CSV row is one row without formulas, and
  its part of the page can't end its element.

A block of texts is drawn from the seed and its number; a campaign that is cut off goes on at the next block.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TypeVar

from campaign import Progress, chance_of, end, parser_of, save, saved
from hostile_texts import edits_of, hostile_text, wrapped

from medical_team.config import RolloutConfig
from medical_team.data.synthetic.demo_world import played_records
from medical_team.game.play import TurnRules, opened, score
from medical_team.game.rollout import Reply
from medical_team.game_config import GameConfig
from medical_team.jsonl import from_line, to_line
from medical_team.judge.protocol import rule_games
from medical_team.judging import reference_judge
from medical_team.records import DataType, Game, GameSpec, GameState, JudgeFailure, Labels, Role, TrainingRecord
from medical_team.report.game_export import COLUMNS, csv_parts, game_row
from medical_team.report.game_text import format_game
from medical_team.report.page_file import GameArchive, data_element
from medical_team.rewards import is_verdict_right
from medical_team.sentences import NumberedNote, read_edits

Result = TypeVar("Result")

BLOCK = 2000
SECRET = "qzxsecretqzx"
SHOWN_SHARE = 0.1
"""The share of games that are also written for people to read, which takes longest."""

NOTE_ELEMENT = re.compile(r"<\s*/?\s*note\b", re.IGNORECASE)
RULES = [
    GameConfig(revision=revision, assessor=assessor, thinking=thinking, prompt_style="short", max_edits=3)
    for revision in ("note", "sentences")
    for assessor in ("verdict", "locate")
    for thinking in (False, True)
]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--texts", type=int, default=1_000_000)
    chosen = parser.parse_args()
    result = saved(chosen.output, {"seed": chosen.seed})
    counts = Counter[str](result.get("counts", {}))
    faults: list[str] = result.setdefault("faults", [])
    progress = Progress(chosen.texts, "texts")
    while (done := counts["texts"]) < chosen.texts:
        play_block(chosen.seed, done // BLOCK, min(BLOCK, chosen.texts - done), counts, faults)
        result["counts"] = dict(counts)
        save(chosen.output, result)
        progress.show(counts["texts"], f"{len(faults)} faults")
    print(result["counts"])
    end(faults)


def play_block(seed: int, number: int, texts: int, counts: Counter[str], faults: list[str]) -> None:
    """Play games until so many texts were said."""
    chance = chance_of(seed, "block", number)
    records = case_records()
    judge = reference_judge(record.pair for record in records)
    config = RULES[number % len(RULES)]
    rules = TurnRules(config, RolloutConfig(), seed=seed)
    games: list[Game] = []
    for index in range(texts // 2 + texts % 2):
        spec = spec_of(chance.choice(records), f"{number}-{index}", chance)
        said = (hostile_text(chance, spec.seed_note), hostile_text(chance, spec.seed_note))
        if (game := guarded(partial(played, rules, config, spec, said, chance), said, faults)) is not None:
            games.append(game)
    ruled = guarded(lambda: score(rule_games(games, judge, config.undecidable), config), f"block {number}", faults)
    archive = GameArchive()
    for game in ruled or []:
        counts[game.state.value] += 1
        is_shown = chance.random() < SHOWN_SHARE
        guarded(partial(check_game, game, config, archive, is_shown=is_shown), game, faults)
    guarded(lambda: check_page(archive), f"block {number}", faults)
    counts["texts"] += texts


def guarded(call: Callable[[], Result], what: object, faults: list[str]) -> Result | None:
    """What ``call`` gives; where it raises, a fault that says of what."""
    try:
        return call()
    except Exception:  # noqa: BLE001 - whatever is raised is a fault
        faults.append(f"{what!r}: {traceback.format_exc(limit=-3)}")
        return None


@cache
def case_records() -> Sequence[TrainingRecord]:
    return played_records(40, 5)


def spec_of(record: TrainingRecord, name: str, chance: random.Random) -> GameSpec:
    kind = chance.choice((DataType.ADVERSARIAL_HARMFUL, DataType.ADVERSARIAL_BENIGN))
    pair = record.pair
    note = pair.error_note if kind.is_harmful else pair.corrected_note
    return GameSpec(name, 0, record.id, kind, note, pair)


def played(rules: TurnRules, config: GameConfig, spec: GameSpec, said: tuple[str, str], chance: random.Random) -> Game:
    """The game in which the attacker and the assessor say these texts, or one of them something that can be read."""
    attack = edits_of(chance, said[0]) if config.revision == "sentences" and chance.random() < 0.8 else said[0]
    verdict = said[1] if chance.random() < 0.5 else chance.choice(("Safe", "Harmful", "Harmful 0", "Harmful 2"))
    if chance.random() < 0.2:
        attack, verdict = known_revision(spec, config), said[1] if chance.random() < 0.5 else verdict
    if config.thinking:
        attack, verdict = (wrapped(chance, text, SECRET) for text in (attack, verdict))
    game = opened(spec)
    game = rules.attacked(game, rules.attacker_request(game), a_reply(attack, chance))
    check_edits(game, config)
    if game.state is not GameState.AWAITING_RULING:
        return game
    request = rules.assessor_request(game)
    note = request.prompt.split("<note>\n", 1)[1].rsplit("\n</note>", 1)[0]
    expect(not NOTE_ELEMENT.search(unicodedata.normalize("NFKC", note)), "the note closes its element")
    expect(SECRET not in request.prompt, "the assessor is shown the attacker's thinking")
    return rules.assessed(game, request, a_reply(verdict, chance))


def known_revision(spec: GameSpec, config: GameConfig) -> str:
    """What the judge can rule on: the other note of the case, whole or as an edit."""
    pair = spec.pair
    other, sentence = (
        (pair.corrected_note, pair.corrected_sentence)
        if spec.data_type.is_harmful
        else (pair.error_note, pair.error_sentence)
    )
    if config.revision == "note":
        return other
    number = NumberedNote(spec.seed_note).number_of(
        pair.error_sentence if spec.data_type.is_harmful else pair.corrected_sentence
    )
    return f"{number}: {sentence}"


def a_reply(text: str, chance: random.Random) -> Reply:
    return Reply(text, (1,), (2, 0), (-1.0, -1.0), is_finished=chance.random() < 0.9)


def check_edits(game: Game, config: GameConfig) -> None:
    """Only the edited sentences changed."""
    if config.revision != "sentences" or game.note is None:
        return
    seed = NumberedNote(game.spec.seed_note)
    edits = read_edits(game.turns[0].answer, seed, config.max_edits)
    expect(not isinstance(edits, str), "a note without edits")
    assert not isinstance(edits, str)
    after = NumberedNote(game.note, game.sentence_starts).sentences
    wanted = [edits.get(number, sentence) for number, sentence in enumerate(seed.sentences)]
    expect(after == wanted, "edits changed other sentences")


def check_game(game: Game, config: GameConfig, archive: GameArchive, *, is_shown: bool) -> None:
    """All that must hold of a game that is over."""
    ruling = game.ruling
    for turn in game.turns:
        expect(SECRET not in turn.answer, "thinking is in an answer")
    expect(SECRET not in (game.note or ""), "thinking is in a note")
    expect(game.state is not GameState.VOID, f"the judge failed: {game.reason}")
    expect((game.state is GameState.DECIDED) == isinstance(ruling, Labels), "decided without labels")
    if isinstance(ruling, JudgeFailure):
        expect(ruling.is_abstention and game.state is GameState.UNDECIDABLE, "a failure that is none")
        expect(game.reward_of(Role.ASSESSOR) is None, "a verdict on what nobody can decide was rewarded")
    if isinstance(ruling, Labels):
        cores = [reward.core for reward in game.rewards]
        expect(len(cores) == 2 and sum(cores) == 0, f"the core is not zero-sum: {cores}")
        assessor = game.reward_of(Role.ASSESSOR)
        expect(assessor is not None and (assessor.core > 0) == is_verdict_right(ruling), "the wrong one was rewarded")
        pair = game.spec.pair
        for original, is_present in ((pair.error_note, True), (pair.corrected_note, False)):
            expect(game.note != original or ruling.error_present is is_present, "an original was misjudged")
    line = to_line(game)
    again = from_line(line.encode(errors="replace"), Game)
    expect(len(again.turns) == len(game.turns) and again.state is game.state, "the line says something else")
    archive.add(game)
    if is_shown:
        check_shown(game)


def check_shown(game: Game) -> None:
    """What people read of the game is harmless."""
    for character in format_game(game, is_thinking_shown=True):
        expect(character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), "a control")
    rows = list(csv.reader(io.StringIO("".join(csv_parts([game_row(game, is_heldout=False)])), newline="")))
    expect([len(row) for row in rows] == [len(COLUMNS)] * 2, f"{len(rows)} rows")
    numbers = re.compile(r"-?[\d.]+")
    for cell in rows[1]:
        expect(not cell.startswith(("=", "+", "-", "@")) or numbers.fullmatch(cell) is not None, f"a formula: {cell}")


def check_page(archive: GameArchive) -> None:
    """The page's tables are whole, and no text in them ends its element."""
    rows = [row for start in range(0, len(archive.texts), 500) for row in archive.texts.rows_from(start)]
    element = data_element("texts", rows)
    body = element.removesuffix("</script>\n").partition(">")[2]
    expect("<" not in body, "a text ends its element")
    # Two halves of a pair that stood side by side are one character in JSON.
    expect(json.loads(body) == json.loads(json.dumps(rows)), "the page's texts are others")


def expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise ValueError(otherwise)


if __name__ == "__main__":
    main()
