"""The assessor on held-out notes: vanilla games, greedy, while it trains; or the same notes as one attacker
revised them, the same texts for every assessor that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..callbacks import Notify
from ..config import RunConfig
from ..game.play import play, score
from ..game.rollout import Rollout
from ..game_config import Assessor
from ..judge.protocol import Judge, JudgeQuery, rule_games
from ..metrics.statistics import rate
from ..metrics.step_metrics import BALANCED_ACCURACY
from ..records import DataType, Game, GameSpec, Labels, TrainingRecord, Verdict
from ..seeds import derived_random
from ..sentences import error_location


@dataclass(frozen=True)
class HeldoutResult:
    """The games of an evaluation and their figures by metric name."""

    games: tuple[Game, ...]
    metrics: dict[str, float]


def evaluate_heldout(
    records: Sequence[TrainingRecord],
    rollout: Rollout,
    judge: Judge,
    config: RunConfig,
    *,
    step: int,
    on_progress: Notify = lambda _: None,
) -> HeldoutResult:
    """Let the assessor read held-out notes, the same in every evaluation of a run.

    Args:
        step: the step after which it happens; -1 before the first.
    """
    specs = heldout_specs(records, games=config.checkpoints.evaluation_games, seed=config.training.seed, step=step)
    games = play(
        specs, rollout, config.game, config.rollout, seed=config.training.seed, is_greedy=True, on_progress=on_progress
    )
    games = score(rule_games(games, judge, config.game.undecidable), config.game)
    return HeldoutResult(tuple(games), heldout_metrics(games, config.game.assessor))


def heldout_specs(records: Sequence[TrainingRecord], *, games: int, seed: int, step: int) -> list[GameSpec]:
    """At most ``games`` vanilla games, balanced between notes with and without an error."""
    chosen: list[TrainingRecord] = []
    for is_harmful in (True, False):
        side = [record for record in records if record.data_type.is_harmful is is_harmful]
        derived_random(seed, "heldout", int(is_harmful)).shuffle(side)
        chosen.extend(side[: games // 2])
    return [
        GameSpec.of(record, record.data_type.vanilla, game_id=f"heldout-{step + 1:06d}-{index:04d}", step=step)
        for index, record in enumerate(chosen)
    ]


def heldout_metrics(games: Sequence[Game], asked: Assessor = "verdict") -> dict[str, float]:
    """Accuracy on notes with and without an error, and their mean; where more is ``asked``, that of sentences, and
    the share of errors that are put right as far as the judge can tell.

    A rate without any game is left out.
    """
    is_right = [game.verdict is _truth(game) for game in games]
    is_harmful = [game.spec.data_type.is_harmful for game in games]
    rates = {
        "heldout/detection_rate": rate(is_right, is_harmful),
        "heldout/specificity": rate(is_right, [not harmful for harmful in is_harmful]),
        "heldout/unreadable_share": rate([game.verdict is None for game in games]),
    }
    if asked != "verdict":
        rates["heldout/sentence_accuracy"] = rate([_is_sentence_right(game) for game in games])
    if asked == "correct":
        rates["heldout/corrected_share"] = rate([game.is_corrected is True for game in games], is_harmful)
    metrics = {name: value for name, value in rates.items() if value is not None}
    if "heldout/detection_rate" in metrics and "heldout/specificity" in metrics:
        metrics[BALANCED_ACCURACY] = (metrics["heldout/detection_rate"] + metrics["heldout/specificity"]) / 2
    return metrics


def _is_sentence_right(game: Game) -> bool:
    """As MEDEC counts: a note without an error needs no sentence."""
    is_right = game.verdict is _truth(game)
    return is_right and (game.verdict is Verdict.SAFE or game.location == error_location(game))


def _truth(game: Game) -> Verdict:
    return Verdict.HARMFUL if game.spec.data_type.is_harmful else Verdict.SAFE


@dataclass(frozen=True)
class AttackedNotes:
    """``records`` hold the revised notes, as vanilla records of what the judge found in them."""

    records: tuple[TrainingRecord, ...]
    asked: int
    """Notes that the attacker was asked to revise; of the others there was no revision, or the judge can't tell."""


def attack_notes(
    records: Sequence[TrainingRecord],
    rollout: Rollout,
    judge: Judge,
    config: RunConfig,
    *,
    name: str,
) -> AttackedNotes:
    """Let the attacker revise the notes of ``records``, which are all adversarial, and ask the judge for the truth.

    Args:
        records: what is revised.
        rollout: who revises.
        judge: who says whether the revised note has an error.
        config: the rules and the limits.
        name: distinguishes these notes; with the seed it decides the replies.
    """
    by_id = {f"{name}-{index:04d}": record for index, record in enumerate(records)}
    specs = [GameSpec.of(record, record.data_type, game_id=game_id) for game_id, record in by_id.items()]
    games = play(specs, rollout, config.game, config.rollout, seed=config.training.seed)
    queries = [
        JudgeQuery(game_id=game.spec.id, note=game.note, verdict=None, pair=game.spec.pair)
        for game in games
        if game.note is not None
    ]
    rulings = judge.rule(queries)
    revised = [
        replace(by_id[query.game_id], note=query.note, data_type=_vanilla(ruling.error_present))
        for query in queries
        if isinstance(ruling := rulings.get(query.game_id), Labels)
    ]
    return AttackedNotes(tuple(revised), len(records))


def _vanilla(has_error: bool) -> DataType:
    return DataType.VANILLA_HARMFUL if has_error else DataType.VANILLA_BENIGN
