"""How fast the reference judge rules, and what it says of MEDEC's notes rewritten in ways whose truth is known.

    python benchmarks/reference_judge.py MEDEC.csv [--seconds 3] [--seed 1]

The second table counts present / absent / can't tell. "Wrong" is a ruling against the truth, or any ruling where the
rewrite makes the truth unknowable: it must be zero everywhere.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from medical_team.data.medec import read_medec  # noqa: E402
from medical_team.data.pairs import make_pair  # noqa: E402
from medical_team.data.reading_log import ReadingLog  # noqa: E402
from medical_team.judge.protocol import JudgeQuery  # noqa: E402
from medical_team.judging import reference_judge  # noqa: E402
from medical_team.records import NotePair, Verdict  # noqa: E402

Rewrite = Callable[[str, NotePair, random.Random], "tuple[str, bool | None]"]
"""The rewritten note and its truth; the truth of the given note is whether it is the pair's error note."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, help="a MEDEC CSV")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to measure each speed")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    pairs = [
        make_pair(note, note.text_id, Counter()) for note in read_medec(chosen.csv, ReadingLog()) if note.has_error
    ]
    print_speeds(pairs, chosen.seconds, chosen.seed)
    print_confusion(pairs, chosen.seed)


def print_speeds(pairs: Sequence[NotePair], seconds: float, seed: int) -> None:
    print("| queries | rulings a second of processor time |\n|---|---|")
    chance = random.Random(seed)
    unchanged = [(note, pair) for pair in pairs for note in (pair.error_note, pair.corrected_note)]
    changed = [(change_number(note, pair, chance)[0], pair) for note, pair in unchanged]
    for name, notes, has_pair in (
        ("unchanged notes with their pair", unchanged, True),
        ("changed notes with their pair", changed, True),
        ("unchanged notes, text alone", unchanged, False),
        ("changed notes, text alone", changed, False),
    ):
        queries = [
            JudgeQuery(str(number), note, Verdict.SAFE, pair if has_pair else None)
            for number, (note, pair) in enumerate(notes)
        ]
        print(f"| {name} | {speed(queries, pairs, seconds):,.0f} |")


def speed(queries: Sequence[JudgeQuery], pairs: Sequence[NotePair], seconds: float) -> float:
    judge = reference_judge(pairs)
    judge.rule(queries)
    count, started = 0, time.process_time()
    for query in cycle(queries):
        judge.rule([query])
        count += 1
        if count % 50 == 0 and time.process_time() - started > seconds:
            break
    return count / (time.process_time() - started)


def print_confusion(pairs: Sequence[NotePair], seed: int) -> None:
    judge = reference_judge()
    print("\n| rewrite | truth | notes | present | absent | can't tell | wrong |\n|---|---|---|---|---|---|---|")
    for rewrite in REWRITES:
        chance = random.Random(seed)
        counts: dict[bool | None, Counter[bool | None]] = {}
        for pair in pairs:
            for note in (pair.error_note, pair.corrected_note):
                rewritten, truth = rewrite(note, pair, chance)
                if rewritten != note or rewrite is identity:
                    counts.setdefault(truth, Counter())[judge.find(rewritten, pair).error_present] += 1
        for truth, count in counts.items():
            wrong = sum(number for ruling, number in count.items() if ruling is not None and ruling is not truth)
            name = rewrite.__name__.replace("_", " ")
            told = " | ".join(str(count[ruling]) for ruling in (True, False, None))
            print(f"| {name} | {TRUTH_NAMES[truth]} | {count.total()} | {told} | {wrong} |")


TRUTH_NAMES = {True: "present", False: "absent", None: "unknowable"}


def truth_of(note: str, pair: NotePair) -> bool:
    return note == pair.error_note


def sentence_of(note: str, pair: NotePair) -> str:
    return pair.error_sentence if truth_of(note, pair) else pair.corrected_sentence


def identity(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    return note, truth_of(note, pair)


def case_and_layout(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    return "\n".join(note.upper().split(" ")), truth_of(note, pair)


def exchange_of_the_sentence(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    is_error = truth_of(note, pair)
    return (pair.corrected_note if is_error else pair.error_note).swapcase(), not is_error


def neutral_synonyms(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    target = sentence_of(note, pair)
    before, found, after = note.partition(target)
    for old, new in SYNONYMS:
        if chance.random() < 0.7:
            before, after = re.sub(old, new, before), re.sub(old, new, after)
    return before + found + after, truth_of(note, pair)


SYNONYMS = (
    (r"\bphysician\b", "doctor"),
    (r"\bcomes to\b", "presents to"),
    (r"\bbecause of\b", "due to"),
    (r"\bblood pressure\b", "BP"),
    (r"\bis (?=\d)", "was "),
    (r"\bshows\b", "reveals"),
    (r"\bemergency department\b", "emergency room"),
    (r"\bfor the past\b", "over the last"),
    (r"/min\b", " per minute"),
    (r"\bman\b", "male"),
)


def one_neutral_sentence_moved(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    sentences = re.split(r"(?<=[.]) +", note)
    place = chance.randrange(1, len(sentences) - 1) if len(sentences) > 2 else 0
    sentences[place : place + 2] = reversed(sentences[place : place + 2])
    return " ".join(sentences), truth_of(note, pair)


def sentences_shuffled(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    first, *others = re.split(r"(?<=[.]) +", note)
    chance.shuffle(others)
    return " ".join([first, *others]), truth_of(note, pair)


def change_number(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    digits = [match.start() for match in re.finditer(r"\d", note)]
    if not digits:
        return note, None
    place = chance.choice(digits)
    return f"{note[:place]}{(int(note[place]) + chance.randint(1, 9)) % 10}{note[place + 1 :]}", None


def change_drug(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    drugs = list(DRUG.finditer(note))
    if not drugs:
        return note, None
    drug = chance.choice(drugs)
    other = chance.choice([name for name in DRUGS if name != drug.group().casefold()])
    return note[: drug.start()] + other + note[drug.end() :], None


# A list of some, and the endings of generic names: enough to find many.
DRUG = re.compile(
    r"\b(?:aspirin|heparin|insulin|lithium|metformin|morphine|prednisone|warfarin|[a-z]{2,}(?:cillin|mycin|oxacin|cycline"
    r"|azole|olol|pril|sartan|statin|azepam|zolam|vir|dipine|prazole|triptan|oxetine|thiazide|semide|penem|caine))\b",
    re.IGNORECASE,
)
DRUGS = ("warfarin", "digoxin", "lithium", "methotrexate", "phenytoin", "gentamicin")


def insert_negation(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    words = note.split(" ")
    words.insert(chance.randrange(len(words)), chance.choice(("not", "no", "never", "without")))
    return " ".join(words), None


def deny_the_sentence(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    sentence = sentence_of(note, pair)
    return note.replace(sentence, f"It is not true that {sentence}"), None


def take_the_sentence_back(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    other = pair.corrected_sentence if truth_of(note, pair) else pair.error_sentence
    return f"{note} Correction: {other}", None


def paraphrase_the_error(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    sentence = sentence_of(note, pair)
    old = pair.corrected_sentence if sentence == pair.error_sentence else pair.error_sentence
    kept = set(re.findall(r"\w+", old.casefold()))
    changed = [word for word in re.findall(r"\w+", sentence) if word.casefold() not in kept]
    return (note.replace(sentence, sentence.replace(changed[-1], "condition X")), None) if changed else (note, None)


def drop_a_sentence(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    sentences = re.split(r"(?<=[.]) +", note)
    place = chance.randrange(len(sentences))
    is_picture = re.search(r"\b(?:is|are) shown\b", sentences[place]) is not None
    del sentences[place]
    return " ".join(sentences), (truth_of(note, pair) if is_picture else None)


def add_history(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    return f"{note} {chance.choice(HISTORIES)}", None


HISTORIES = ("The patient is allergic to it.", "This was her sister's result.", "The diagnosis was then revised.")


def both_versions(note: str, pair: NotePair, chance: random.Random) -> tuple[str, bool | None]:
    return f"{pair.corrected_note}\n{note}", None


REWRITES: tuple[Rewrite, ...] = (
    identity,
    case_and_layout,
    exchange_of_the_sentence,
    neutral_synonyms,
    one_neutral_sentence_moved,
    sentences_shuffled,
    change_number,
    change_drug,
    insert_negation,
    deny_the_sentence,
    take_the_sentence_back,
    paraphrase_the_error,
    drop_a_sentence,
    add_history,
    both_versions,
)

if __name__ == "__main__":
    main()
