"""The numbers of one step, under stable names. A rate that has no cases is left out: it is neither 0 nor NaN.

| name | meaning |
|---|---|
| rewards/ROLE/total, core, ... | mean reward and its terms over the trained turns of the role |
| rewards/core_sum | sum of all cores of decided adversarial games in which both players learn: always 0 |
| win_rate/ROLE | share of the decided adversarial games that the role won; the two add up to 1 |
| attacker_success/CATEGORY | share of the category's decided games in which the verdict was wrong |
| assessor_accuracy/CATEGORY, all | share of the decided games in which the verdict was right |
| verdicts/detection_rate | of the notes with an error, the share called Harmful |
| verdicts/false_alarm_rate | of the notes without one, the share called Harmful |
| verdicts/located_share | of the errors found by an assessor that says where, the share whose sentence it names |
| verdicts/corrected_share | of those that it corrects and the judge can tell, the share that is put right |
| verdicts/harmful_share | of all verdicts, the share that says Harmful |
| revisions/faithful_share | of the attacker's decided games, the share whose note is what the category asks for |
| revisions/unfaithful_win_share | of the attacker's wins, the share won by a note that is not |
| revisions/copy_share | of the attacker's notes, the share that says the same words as the seed note |
| revisions/near_duplicate_share | of the same, the share that nearly repeats another of its step |
| revisions/length_kept_share, words_kept_share | of the same, the share that keeps its seed note's length, its words |
| revisions/decided_share | of the adversarial games, the share whose changed note the judge ruled on |
| revisions/decided_at_stake_share | the share in which, besides, the sentence at stake was changed |
| format_violations/ROLE | share of the role's replies that break the thinking format |
| cut_replies/ROLE | share of the role's replies that ran into the token limit |
| reply_tokens/ROLE | mean length of the role's replies, tokens |
| void_share/ROLE, CATEGORY, all | of the games the judge was asked about, the share that it left void |
| undecidable_share/attacker, CATEGORY | of the revisions that the judge was asked about, those it can't decide |
| opponent_wins/ROLE/VERSION | of the games that this opponent won or lost in the role, the share it won |
| opponent_games/ROLE/VERSION | their number; SELF, of attackers, are the games that the policy plays with itself |
| samples/ROLE | rewarded turns, also those that `training.assessor_samples_per_step` leaves out of learning |
| tokens/generated, assessor_samples | tokens that all players wrote; those of the assessor's rewarded turns |
| judge_source/SOURCE | share of the rulings that this source of rulings gave |
| games/all, decided, undecidable, void, no_revision | counts |
| games/no_verdict, ties | counts; a tie is an adversarial game without a verdict |
| policy/... | what the update reports (:class:`..records.Update`); zero_variance_roles is their number |
| rollout/mismatch_max, mismatch_mean | difference of the engine's log-probs and the learner's own, nats |
| rollout/mismatch_kl | divergence of the two from these (k3), nats a token |
| rollout/mismatch_bound | the mean that rounding explains at the precisions in force |
| rollout/truncated_share | share of the tokens whose correction was cut, where rollout.correction is truncated |
| policy/kl/ROLE | the KL over the role's tokens alone, against the reference of the role's policy |
| policy/demonstration_loss | mean over demonstrations of their replies' mean cross-entropy, nats |
| seconds/PHASE, total | wall-clock time |
| speed/tokens_per_second | generated tokens by seconds of play |
| speed/reads_per_token | tokens that went through the model to draw replies, by those of prompts and replies: about 1 |
| rollout_path/PATH | share of the replies drawn so: full, drained, reread |
| memory/peak_gib | peak memory, GiB |
| memory/gpu_share | share of the GPU's memory needed at the peak, by this run and by whatever else is there |
| disk/free_gib, checkpoint_gib | free space where the run lies; what its latest checkpoint takes |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from statistics import fmean

from ..game.opponents import opponent_has_won, opponent_of
from ..records import DataType, Game, GameState, Labels, Role, Turn, Verdict
from ..rewards import is_faithful_revision, is_verdict_right
from ..samples import Update
from ..sentences import is_located
from .revisions import is_at_stake_changed, is_decided_revision, revision_figures

BALANCED_ACCURACY = "heldout/balanced_accuracy"
"""The metric of held-out notes by which the best checkpoint is chosen."""

PLAY_PHASE = "play"
"""The phase of ``seconds`` in which tokens are generated."""

BYTES_PER_GIB = 2**30

SELF = "itself"
"""Against whom the policy plays where it plays both sides, among the opponents of ``opponent_wins``."""

REWARD_TERMS = ("core", "revision", "format", "location", "correction")
"""What a reward is the sum of, in the order in which the report shows it."""

ASKED_STATES = (GameState.DECIDED, GameState.UNDECIDABLE, GameState.VOID)
"""How games stand that the judge was asked about."""


def step_metrics(games: Sequence[Game], update: Update | None, seconds: Mapping[str, float]) -> dict[str, float]:
    """All numbers of one step that games and learning give, as the table above names them.

    Args:
        games: the step's games, ruled on and scored; none in a warm start.
        update: what learning did; None where nothing was learned, as in an evaluation.
        seconds: wall-clock seconds by phase.
    """
    metrics = game_metrics(games) if games else {}
    if update is not None:
        metrics |= _learning_metrics(update, has_games=bool(games))
    return metrics | _speed_metrics(seconds, generated_tokens(games))


def generated_tokens(games: Iterable[Game]) -> int:
    """Tokens that the players of ``games`` wrote."""
    return sum(len(turn.token_ids) for game in games for turn in game.turns)


def game_metrics(games: Sequence[Game]) -> dict[str, float]:
    """The numbers that follow from the games alone, of training or of an evaluation."""
    return {
        **_reward_metrics(games),
        **_outcome_metrics(games),
        **_verdict_metrics(games),
        **_revision_metrics(games),
        **_judge_metrics(games),
        **_reply_metrics(games),
        **{f"void_share/{name}": voids / asked for name, (voids, asked) in void_counts(games).items()},
        **_undecidable_shares(games),
        **_opponent_metrics(games),
        **_sample_counts(games),
        **_counts(games),
    }


def void_counts(games: Iterable[Game], state: GameState = GameState.VOID) -> dict[str, tuple[int, int]]:
    """Void games, and games that the judge was asked about: in all, of each role, and of each category.

    The attacker's are the adversarial games. A name under which the judge was asked about nothing is left out. A share
    that differs between categories biases what is learned.

    Args:
        state: to count games of another state than void.
    """
    found, asked = Counter[str](), Counter[str]()
    for game in games:
        if game.state not in ASKED_STATES:
            continue
        belongs_to = ["all", Role.ASSESSOR.value, game.spec.data_type.value]
        if game.spec.data_type.is_adversarial:
            belongs_to.append(Role.ATTACKER.value)
        asked.update(belongs_to)
        if game.state is state:
            found.update(belongs_to)
    names = ["all", *(role.value for role in Role), *(data_type.value for data_type in DataType)]
    return {name: (found[name], asked[name]) for name in names if asked[name]}


def _undecidable_shares(games: Iterable[Game]) -> dict[str, float]:
    counts = void_counts(games, GameState.UNDECIDABLE)
    names = [Role.ATTACKER.value, *(data_type.value for data_type in DataType if data_type.is_adversarial)]
    return {f"undecidable_share/{name}": counts[name][0] / counts[name][1] for name in names if name in counts}


def _means(values: Mapping[str, Iterable[float]]) -> dict[str, float]:
    """The mean of each series that has any values."""
    lists = {name: list(series) for name, series in values.items()}
    return {name: fmean(series) for name, series in lists.items() if series}


def _reward_metrics(games: Sequence[Game]) -> dict[str, float]:
    terms: dict[str, list[float]] = {}
    for reward in (reward for game in games for reward in game.rewards):
        for term in ("total", *REWARD_TERMS):
            value = getattr(reward, term)
            if value is not None:
                terms.setdefault(f"rewards/{reward.role.value}/{term}", []).append(value)
    metrics = _means(terms)
    pairs = [game.rewards for game in games if _is_contest(game) and len(game.rewards) == len(Role)]
    if pairs:
        metrics["rewards/core_sum"] = fsum(reward.core for pair in pairs for reward in pair)
    return metrics


def _is_contest(game: Game) -> bool:
    return game.state is GameState.DECIDED and game.spec.data_type.is_adversarial


def is_assessor_right(game: Game) -> bool:
    """Whether the verdict is the truth; without a verdict: no."""
    return isinstance(game.ruling, Labels) and is_verdict_right(game.ruling)


def _outcome_metrics(games: Sequence[Game]) -> dict[str, float]:
    decided = [game for game in games if game.state is GameState.DECIDED]
    contests = [game for game in decided if _is_contest(game)]
    outcomes: dict[str, Iterable[float]] = {
        f"win_rate/{Role.ATTACKER.value}": [not is_assessor_right(game) for game in contests],
        f"win_rate/{Role.ASSESSOR.value}": [is_assessor_right(game) for game in contests],
        "assessor_accuracy/all": [is_assessor_right(game) for game in decided],
    }
    for data_type in DataType:
        of_type = [is_assessor_right(game) for game in decided if game.spec.data_type is data_type]
        outcomes[f"assessor_accuracy/{data_type.value}"] = of_type
        if data_type.is_adversarial:
            outcomes[f"attacker_success/{data_type.value}"] = [not is_right for is_right in of_type]
    return _means(outcomes)


def _verdict_metrics(games: Sequence[Game]) -> dict[str, float]:
    labels = [game.ruling for game in games if isinstance(game.ruling, Labels)]
    return _means(
        {
            "verdicts/detection_rate": [bool(label.error_detected) for label in labels if label.error_present],
            "verdicts/false_alarm_rate": [bool(label.error_detected) for label in labels if not label.error_present],
            "verdicts/located_share": [is_named for game in games if (is_named := is_located(game)) is not None],
            "verdicts/corrected_share": [game.is_corrected for game in games if game.is_corrected is not None],
            "verdicts/harmful_share": [game.verdict is Verdict.HARMFUL for game in games if game.verdict is not None],
        }
    )


def _revision_metrics(games: Sequence[Game]) -> dict[str, float]:
    faithful = [(game, is_faithful) for game in games if (is_faithful := is_faithful_revision(game)) is not None]
    attacked = [game for game in games if game.spec.data_type.is_adversarial]
    decided = [is_decided_revision(game) for game in attacked]
    metrics = _means(
        {
            "revisions/decided_share": decided,
            "revisions/decided_at_stake_share": [
                is_decided and is_at_stake_changed(game) for is_decided, game in zip(decided, attacked, strict=True)
            ],
            "revisions/faithful_share": [is_faithful for _, is_faithful in faithful],
            "revisions/unfaithful_win_share": [
                not is_faithful for game, is_faithful in faithful if _is_contest(game) and not is_assessor_right(game)
            ],
        }
    )
    figures = revision_figures(games)
    if figures.notes:
        metrics["revisions/copy_share"] = figures.copies / figures.notes
        metrics["revisions/near_duplicate_share"] = figures.near_duplicates / figures.notes
        metrics["revisions/length_kept_share"] = figures.length_kept / figures.notes
        metrics["revisions/words_kept_share"] = figures.words_kept / figures.notes
    return metrics


def _opponent_metrics(games: Sequence[Game]) -> dict[str, float]:
    """Who won how often against whom; nothing where nobody but the policy itself plays."""
    wins: dict[str, list[bool]] = {}
    for game in games:
        opponent, has_won = opponent_of(game), opponent_has_won(game)
        if opponent is not None and has_won is not None:
            wins.setdefault(f"{opponent.role.value}/{opponent.version}", []).append(has_won)
    if not wins:
        return {}
    own = [game for game in games if _is_contest(game) and opponent_of(game) is None]
    if own:
        wins[f"{Role.ATTACKER.value}/{SELF}"] = [not is_assessor_right(game) for game in own]
    return {f"opponent_wins/{name}": fmean(won) for name, won in wins.items()} | {
        f"opponent_games/{name}": len(won) for name, won in wins.items()
    }


def _sample_counts(games: Sequence[Game]) -> dict[str, float]:
    learnt = [turn for game in games for turn in game.turns if game.reward_of(turn.role) is not None]
    counts = {f"samples/{role.value}": float(sum(turn.role is role for turn in learnt)) for role in Role}
    assessors = sum(len(turn.token_ids) for turn in learnt if turn.role is Role.ASSESSOR)
    return counts | {"tokens/generated": generated_tokens(games), "tokens/assessor_samples": assessors}


def _judge_metrics(games: Sequence[Game]) -> dict[str, float]:
    sources = Counter(game.ruling.source for game in games if game.ruling is not None)
    return {f"judge_source/{source}": count / sources.total() for source, count in sorted(sources.items())}


def _reply_metrics(games: Sequence[Game]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for role in Role:
        turns = [turn for game in games for turn in game.turns if turn.role is role]
        metrics |= _means(
            {
                f"format_violations/{role.value}": _format_violations(turns),
                f"cut_replies/{role.value}": [not turn.is_finished for turn in turns],
                f"reply_tokens/{role.value}": [len(turn.token_ids) for turn in turns],
            }
        )
    return metrics


def _format_violations(turns: Sequence[Turn]) -> list[float]:
    return [not turn.is_format_kept for turn in turns if turn.is_format_kept is not None]


def _counts(games: Sequence[Game]) -> dict[str, float]:
    states = (*ASKED_STATES, GameState.NO_REVISION, GameState.NO_VERDICT)
    counts = {f"games/{state.value}": sum(game.state is state for game in games) for state in states}
    ties = sum(game.state is GameState.NO_VERDICT and game.spec.data_type.is_adversarial for game in games)
    return {"games/all": len(games), **counts, "games/ties": ties}


def _learning_metrics(update: Update, *, has_games: bool) -> dict[str, float]:
    metrics = {"policy/gradient_norm": update.gradient_norm, "policy/learning_rate": update.learning_rate}
    if update.demonstration_loss is not None:
        metrics["policy/demonstration_loss"] = update.demonstration_loss
    if has_games:
        metrics |= {
            "policy/loss": update.loss,
            "policy/kl": update.kl,
            **{f"policy/kl/{role.value}": kl for role, kl in _role_kl(update).items()},
            "policy/entropy": update.entropy,
            "policy/clip_fraction": update.clip_fraction,
            "policy/samples": update.samples,
            "policy/action_tokens": update.action_tokens,
            "policy/zero_variance_roles": len(update.zero_variance_roles),
        }
    if (mismatch := update.mismatch) is not None:
        metrics |= {
            "rollout/mismatch_max": mismatch.largest,
            "rollout/mismatch_mean": mismatch.mean,
            "rollout/mismatch_kl": mismatch.kl,
            "rollout/mismatch_bound": mismatch.bound,
        }
        if mismatch.truncated_share is not None:
            metrics["rollout/truncated_share"] = mismatch.truncated_share
    return metrics


def _role_kl(update: Update) -> dict[Role, float]:
    by_role = {Role.ATTACKER: update.attacker_kl, Role.ASSESSOR: update.assessor_kl}
    return {role: kl for role, kl in by_role.items() if kl is not None}


def _speed_metrics(seconds: Mapping[str, float], tokens: int) -> dict[str, float]:
    metrics = {f"seconds/{phase}": duration for phase, duration in seconds.items()}
    metrics["seconds/total"] = fsum(seconds.values())
    if seconds.get(PLAY_PHASE):
        metrics["speed/tokens_per_second"] = tokens / seconds[PLAY_PHASE]
    return metrics
