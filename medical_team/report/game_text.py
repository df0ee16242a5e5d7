"""One game as text for a terminal: what was changed, what was said, who was right, who got what.

The text is plain: print it as it is, without any markup being interpreted.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from rapidfuzz.distance import Indel

from ..metrics.step_metrics import REWARD_TERMS
from ..records import Game, JudgeFailure, Labels, Reward, Role, Turn
from ..rewards import is_faithful_revision, is_verdict_right
from ..sentences import is_located, note_read
from ..terminal_text import visible
from ..words import count_words, joined, words_of

WIDTH = 100
_INDENT = "  "


def format_game(game: Game, *, is_thinking_shown: bool = False, width: int = WIDTH) -> str:
    """The transcript of ``game``, ending with a newline. Control characters of the players' text are escaped.

    Args:
        game: in any state.
        is_thinking_shown: write the players' hidden thinking out; else only its length is told.
        width: of the longest line.
    """
    wrapper = textwrap.TextWrapper(width, subsequent_indent=_INDENT, break_on_hyphens=False)
    lines = [wrapped for line in _lines(game, is_thinking_shown) for wrapped in wrapper.wrap(line) or [""]]
    return "\n".join(lines) + "\n"


def word_diff(old: str, new: str) -> str:
    """``new`` with its differences from ``old`` marked word by word: ``[-taken out-]{+put in+}``."""
    old_words, new_words = words_of(old), words_of(new)
    marked: list[str] = []
    for removed, added, kept in _changes(old_words, new_words):
        marks = (f"[-{joined(removed)}-]" if removed else "") + (f"{{+{joined(added)}+}}" if added else "")
        marked.extend([*([marks] if marks else []), *kept])
    return joined(marked)


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Runs of words: those taken out, those put in their place, and those that follow unchanged."""
    removed: list[str] = []
    added: list[str] = []
    for operation in Indel.opcodes(old, new):
        if operation.tag == "equal":
            yield removed, added, new[operation.dest_start : operation.dest_end]
            removed, added = [], []
        else:
            removed = removed + old[operation.src_start : operation.src_end]
            added = added + new[operation.dest_start : operation.dest_end]
    yield removed, added, []


def _lines(game: Game, is_thinking_shown: bool) -> Iterator[str]:
    spec = game.spec
    yield visible(f"Game {spec.id}: step {spec.step}, {spec.data_type.value}, {spec.pair.error_type}")
    yield from _block("Seed note", spec.seed_note)
    attacker, assessor = game.turn_of(Role.ATTACKER), game.turn_of(Role.ASSESSOR)
    if attacker is not None:
        yield from _attacker_lines(game, attacker, is_thinking_shown)
    if assessor is not None:
        yield from _assessor_lines(game, assessor, is_thinking_shown)
    yield from _block("Judge", _ruling(game))
    yield from _block("State", f"{game.state.value}: {game.reason}" if game.reason else game.state.value)
    yield from _block("Rewards", "\n".join(map(_reward, game.rewards)) or "none")


def _block(title: str, text: str) -> Iterator[str]:
    yield f"{title}:"
    for paragraph in visible(text).expandtabs(4).split("\n"):
        yield _INDENT + paragraph


def _attacker_lines(game: Game, turn: Turn, is_thinking_shown: bool) -> Iterator[str]:
    yield from _thinking_lines("Attacker's thinking", turn, is_thinking_shown)
    if game.note is None:
        yield from _block("Attacker's answer, which is no note", turn.answer or "(none)")
    elif game.note == game.spec.seed_note:
        yield from _block("Attacker's note", "(the seed note, unchanged)")
    else:
        diff = word_diff(game.spec.seed_note, game.note)
        yield from _block("Attacker's note, with [-taken out-] and {+put in+}", diff)


def _assessor_lines(game: Game, turn: Turn, is_thinking_shown: bool) -> Iterator[str]:
    yield from _thinking_lines("Assessor's thinking", turn, is_thinking_shown)
    if game.verdict is None:
        yield from _block("Assessor's answer, which is no verdict", turn.answer or "(none)")
    else:
        where = "" if game.location is None else f", sentence {game.location}{_rightness(is_located(game))}"
        yield from _block("Assessor's verdict", f"{game.verdict.value}{where}")
    if game.location is not None and game.correction is not None:
        diff = word_diff(note_read(game).sentences[game.location], game.correction)
        yield from _block(f"Assessor's correction{_rightness(game.is_corrected)}", diff)


def _rightness(is_right: bool | None) -> str:
    return "" if is_right is None else " (right)" if is_right else " (wrong)"


def _thinking_lines(title: str, turn: Turn, is_shown: bool) -> Iterator[str]:
    if not turn.thinking:
        return
    words = count_words(turn.thinking)
    yield from _block(title, turn.thinking if is_shown else f"({words} word{'s' if words != 1 else ''}, folded)")


def _ruling(game: Game) -> str:
    ruling = game.ruling
    if isinstance(ruling, Labels):
        note = "contains an error" if ruling.error_present else "contains no error"
        verdict = "right" if is_verdict_right(ruling) else "wrong"
        faithful = is_faithful_revision(game)
        revision = {True: ", the revision is faithful", False: ", the revision is unfaithful", None: ""}[faithful]
        return f"{ruling.source}: the note {note}, the verdict is {verdict}{revision}. {ruling.reason}"
    if isinstance(ruling, JudgeFailure):
        return f"{ruling.source}: {'cannot tell' if ruling.is_abstention else 'failed'}. {ruling.reason}"
    return "not asked"


def _reward(reward: Reward) -> str:
    terms = [(name, getattr(reward, name)) for name in REWARD_TERMS]
    shown = ", ".join(f"{name} {value:+g}" for name, value in terms if value is not None)
    return f"{reward.role.value} {reward.total:+g} ({shown})"
