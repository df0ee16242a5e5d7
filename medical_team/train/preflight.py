"""What is checked before the first game is played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from ..config import RunConfig
from ..demonstrations.draw import Demonstration, DemonstrationDraw, NothingToShowError
from ..errors import RunFolderError, UsageError
from ..game.draw import playable_records
from ..game.play import assessment_request, revision_request
from ..policy.chat import encode_prompt
from ..policy.policy import Policy
from ..prompts import reply_prefix
from ..records import Role, TrainingRecord
from ..rl.batch import TooLongDemonstrationError, tokenized
from ..runs.folder import RunFolder
from ..sentences import NumberedNote
from ..terminal_text import shell_word

_LONGEST_CHECKED = 64
_LONGEST_SHOWN = 5
_DEMONSTRATIONS_CHECKED = 64


def check_folders(run: RunFolder) -> None:
    """Check that nothing stands where a run that goes on will need a folder: it would be found when that is written.

    Raises:
        RunFolderError: a file does, or a link that leads nowhere.
    """
    places = (run.checkpoints.folder, run.opponents_path, run.final_path, run.tensorboard_path, run.abandoned_path)
    taken = [path for path in places if not path.is_dir() and (path.exists() or path.is_symlink())]
    if taken:
        raise RunFolderError(
            f"{' and '.join(map(str, taken))} should be {'a folder' if len(taken) == 1 else 'folders'} of the run, and "
            "there is something else in that place: move it away, then resume."
        )


def beginning_again(run: RunFolder) -> str | None:
    """What to tell before a resumed run starts again from its first step; None where there is a checkpoint.

    Raises:
        RunFolderError: it has no checkpoint and is done, so that nothing is left to go on from.
    """
    if run.checkpoints.latest() is not None or run.checkpoints.incomplete_after(0):
        return None
    if run.final_path.is_dir():
        raise RunFolderError(
            f"{run.path} has a trained model and no checkpoint, so there is nothing to go on from, and its games and "
            f"its model would be replaced. Bring {run.checkpoints.folder} back; or train on from the model in a new "
            f"run: medical-team train {shell_word(run.path / 'config.toml')} --policy.model "
            f"{shell_word(run.final_path)} --run NEW"
        )
    return (
        f"{run.path} has no checkpoint: the run starts again from its first step. What was recorded so far, if "
        f"anything, is moved to {run.abandoned_path}."
    )


def check_data_fits(
    records: Sequence[TrainingRecord],
    heldout: Sequence[TrainingRecord],
    policy: Policy,
    config: RunConfig,
    *,
    demonstrates: bool,
) -> None:
    """What `train` refuses at its start and `doctor` tells before: prompts or demonstrations that don't fit.

    Args:
        demonstrates: whether the run learns from demonstrations.

    Raises:
        UsageError: as :func:`check_prompts_fit` and :func:`check_demonstrations_fit`.
    """
    check_prompts_fit([*playable_records(records, config.game), *heldout], policy, config)
    if demonstrates:
        check_demonstrations_fit(records, policy, config)


def check_prompts_fit(records: Sequence[TrainingRecord], policy: Policy, config: RunConfig) -> None:
    """Check that the longest seed notes fit into a prompt, and prompt and reply into the model's context window.

    Raises:
        UsageError: they don't; it names the option and a value that does.
    """
    tokens = {record.id: _prompt_tokens(record, policy, config) for record in _longest(records)}
    longest = max(tokens.values())
    rollout = config.rollout
    limits = {
        "rollout.max_revision_tokens": rollout.max_revision_tokens,
        "rollout.max_verdict_tokens": rollout.max_verdict_tokens,
    }
    reply = max(limits.values())
    window = policy.context_window
    if window is not None and longest + reply > window:
        options = " and ".join(option for option, limit in limits.items() if longest + limit > window)
        # Where the prompt fills the window no reply is short enough: to lower its limit would only lead here again.
        lower = f"Lower {options} to at most {window - longest}, take" if longest < window else "Take"
        raise UsageError(
            f"the longest prompt ({longest} tokens) and the longest reply ({reply}) need {longest + reply} tokens, the "
            f"context window of {config.policy.model} is {window}. {lower} another model, or leave out "
            f"{_named(tokens, window - reply)}."
        )
    if longest > rollout.max_prompt_tokens:
        raise UsageError(
            f"the longest prompt of the training data has {longest} tokens, more than rollout.max_prompt_tokens "
            f"({rollout.max_prompt_tokens}). Set it to at least {longest}, or leave out "
            f"{_named(tokens, rollout.max_prompt_tokens)}."
        )


def _named(tokens: Mapping[str, int], limit: int) -> str:
    """The records whose prompts have more tokens than ``limit``."""
    ids = [record_id for record_id, count in tokens.items() if count > limit]
    shown = ", ".join(ids[:_LONGEST_SHOWN])
    if len(ids) <= _LONGEST_SHOWN:
        return f"the record{'' if len(ids) == 1 else 's'} {shown}"
    at_least = "at least " if len(ids) == _LONGEST_CHECKED else ""
    return f"{at_least}{len(ids)} records, the longest of which are {shown}"


def check_demonstrations_fit(records: Sequence[TrainingRecord], policy: Policy, config: RunConfig) -> None:
    """Check that there is something to demonstrate, and that the longest replies stay within the limits on replies.

    A run that met one that doesn't could never be finished: its configuration stays.

    Raises:
        UsageError: one doesn't, or there is nothing to demonstrate; it names the options and values that do.
    """
    too_long: dict[str, TooLongDemonstrationError] = {}
    for demonstration in _demonstrations_checked(records, config):
        try:
            tokenized(demonstration, policy, config)
        except TooLongDemonstrationError as error:
            if error.option not in too_long or too_long[error.option].tokens < error.tokens:
                too_long[error.option] = error
    if too_long:
        raise UsageError(" And ".join(map(str, too_long.values())))


def _demonstrations_checked(records: Sequence[TrainingRecord], config: RunConfig) -> Iterator[Demonstration]:
    """Some of all notes, and those that should have the longest replies."""
    seed, share = config.training.seed, config.warmstart.attacker_share
    draw = DemonstrationDraw(records, config.game, seed=seed, attacker_share=share)
    yield from draw.demonstrations(0, _DEMONSTRATIONS_CHECKED)
    told = sorted(records, key=lambda record: len(record.error_sentence + record.corrected_sentence), reverse=True)
    yield from filter(None, map(draw.verdict_of, told[:_LONGEST_CHECKED]))
    sides = [[record for record in records if record.data_type.is_harmful is side] for side in (True, False)]
    longest = [record for side in sides for record in _with_longest_revisions(side, config)]
    with suppress(NothingToShowError):
        of_longest = DemonstrationDraw(longest, config.game, seed=seed, attacker_share=1.0 if share else 0.0)
        yield from of_longest.demonstrations(0, _DEMONSTRATIONS_CHECKED)


def _with_longest_revisions(records: Sequence[TrainingRecord], config: RunConfig) -> Sequence[TrainingRecord]:
    if config.game.revision == "note":
        return _longest(records)

    def longest_sentence(record: TrainingRecord) -> int:
        return max(map(len, NumberedNote(record.note, record.sentence_starts).sentences), default=0)

    return sorted(records, key=longest_sentence, reverse=True)[:_LONGEST_CHECKED]


def _longest(records: Sequence[TrainingRecord]) -> Sequence[TrainingRecord]:
    # Tokenising all of a large data set would take minutes; the longest texts have the most tokens, nearly.
    return sorted(records, key=lambda record: len(record.note), reverse=True)[:_LONGEST_CHECKED]


def _prompt_tokens(record: TrainingRecord, policy: Policy, config: RunConfig) -> int:
    is_thinking = config.game.thinking
    style = config.game.prompt_style
    seed = NumberedNote(record.note, record.sentence_starts)
    requests = {Role.ASSESSOR: assessment_request(seed, config.game)}
    if record.data_type.is_adversarial and not config.game.no_attacker_turn:
        at_stake = record.pair.sentence_at_stake(is_harmful=record.data_type.is_harmful)
        requests[Role.ATTACKER] = revision_request(seed, record.data_type, config.game, at_stake=at_stake)
    return max(
        len(encode_prompt(policy.tokenizer, prompt, prefix, policy.day))
        for role, prompt in requests.items()
        for prefix in [reply_prefix(role, style=style, is_thinking=is_thinking)]
    )
