"""``medical-team train --engine ...``: self-play on OpenRLHF or the Self-RedTeam fork, launched from here.

Nothing here, nor anything that it imports, needs torch: the engine lives in an environment of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..chat_template import today
from ..config import RunConfig
from ..data.load import load_sets
from ..engines.checkpoint_import import WriteCard, last_resumable_step
from ..engines.launch import (
    Launch,
    check_engine,
    check_judge_of,
    deviations,
    prepare,
    run_engine,
    write_inputs,
)
from ..engines.openrlhf.calls import check_opponent_server
from ..engines.process import advice_for
from ..errors import EngineError, UsageError
from ..report.display import replacement_summary, void_summary
from ..rl.model_card import criteria_table, figures_table, model_card
from ..runs.append import CONFIG_FILE
from ..runs.checkpoints import POLICY_FOLDER
from ..runs.config_file import check_config
from ..runs.folder import RunFolder
from ..runs.info import check_is_free
from ..runs.places import settled
from ..terminal_text import shell_word
from .arguments import remark, say
from .main import EXIT_INTERRUPTED

_SHORT_FORMS = {"--engine": "--engine.kind", "--engine-python": "--engine.python", "--engine_python": "--engine.python"}
_LARGEST_STATUS = 125


def with_engine_spelled_out(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with ``--engine NAME`` as ``--engine.kind NAME``, and ``--engine-python`` likewise."""
    spelled: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        spelled.append(_SHORT_FORMS.get(name, name) + equals + value)
    return spelled


def launch_new(config: RunConfig, path: Path, *, is_dry: bool) -> int:
    """Launch a new run at ``path`` on the engine of ``config``, or print what would be launched. Returns the status.

    Raises:
        MedicalTeamError: something that the user can mend. Before the engine starts nothing is left at ``path``.
    """
    check_config(config)
    config = settled(config.begun_on(today()))
    check_is_free(path)
    launch = prepare(config, path, has_heldout=config.data.heldout is not None)
    for deviation in deviations(launch.config):
        remark(f"note: {deviation}")
    if is_dry:
        return _print_launch(launch)
    records, heldout = load_sets(config)
    found = check_engine(launch, remark)
    check_judge_of(launch.config, records, remark)
    check_opponent_server(launch.config, remark)
    run = RunFolder.create(path, launch.config, records, heldout, found.versions)
    with run.locked():
        write_inputs(run, launch)
        return _run(run, launch)


def launch_again(path: Path, *, is_dry: bool) -> int:
    """Let the engine go on with the run at ``path`` from its own last checkpoint. Returns the exit status.

    Raises:
        MedicalTeamError: something that the user can mend; what was saved stays.
    """
    run = RunFolder.open(path)
    run.check_model()
    if run.final_path.is_dir():
        raise UsageError(f"{path} is complete: its model is in {run.final_path}")
    step = last_resumable_step(run)
    if step is None:
        raise UsageError(f"the engine saved nothing that {path} could be resumed from. {_way_on(run)}")
    launch = prepare(run.config, path, has_heldout=bool(run.heldout_records()), is_resuming=True)
    if is_dry:
        return _print_launch(launch)
    check_engine(launch, remark)
    check_judge_of(launch.config, run.training_records(), remark)
    check_opponent_server(launch.config, remark)
    remark(f"{path} goes on after step {step}")
    with run.locked():
        write_inputs(run, launch, resumed_step=step)
        return _run(run, launch)


def _print_launch(launch: Launch) -> int:
    """Print the command and its environment, after the checks that can be made where the engine is installed."""
    try:
        check_engine(launch, remark)
    except EngineError as error:
        remark(f"not checked by the engine itself: {error}")
    remark("Nothing is started or written. A launch first writes what the engine reads, then runs:")
    say(f"{launch.text}\n")
    return 0


def _run(run: RunFolder, launch: Launch) -> int:
    """Start the engine, say what came of it and how to go on. Returns the exit status."""
    remark(f"Starting the engine; all that it says is kept in {launch.files.log}")
    ending, problems = run_engine(run, launch, sys.stdout, remark, _card_writer(run))
    for problem in problems:
        remark(f"warning: {problem}")
    status, is_stopped = ending.status, ending.is_stopped
    if status == 0 and run.final_path.is_dir() and not is_stopped:
        say(_summary(run, launch))
        return 0
    if is_stopped:
        headline = "The engine was stopped."
    elif status == 0:
        headline = "The engine ended without a model of its last step, though it reported no error."
    else:
        headline = f"The engine ended with {'status' if status > 0 else 'signal'} {abs(status)}."
    sys.stderr.write(f"\n{headline} All that it said is in {launch.files.log}\n")
    sys.stderr.write(_imported_text(run, launch))
    if not is_stopped:
        sys.stderr.writelines(f"What to try: {advice}\n" for advice in advice_for(launch.files.log))
    sys.stderr.write(f"{_way_on(run)}\n")
    if is_stopped:
        return EXIT_INTERRUPTED
    return status if 0 < status <= _LARGEST_STATUS else 1


def _summary(run: RunFolder, launch: Launch) -> str:
    has_games = launch.kind == "openrlhf"
    games = f"\n{void_summary(run.games())}\n" if has_games else ""
    replaced = replacement_summary(line.values for line in run.metrics())
    replacements = f"{replaced}\n" if replaced else ""
    every_game = f"  every game          {run.path / 'games.jsonl'}\n" if has_games else ""
    return (
        f"{games}{replacements}\nDone: {run.total_steps} steps. The run is in {run.path}\n"
        f"  the trained model   {run.final_path}\n"
        f"{every_game}"
        f"  curves              tensorboard --logdir {shell_word(run.tensorboard_path)}\n"
        f"  the engine's log    {launch.files.log}\n"
        f"  the configuration   {run.path / 'config.toml'}\n"
    )


def _imported_text(run: RunFolder, launch: Launch) -> str:
    if launch.kind != "openrlhf":
        return "The fork writes no games; its checkpoints and TensorBoard curves are what there is.\n"
    games = sum(1 for _ in run.games())
    return f"{games} games so far are in {run.path / 'games.jsonl'}.\n"


def _way_on(run: RunFolder) -> str:
    step = last_resumable_step(run)
    if step is not None:
        return f"Go on after step {step} with: medical-team train --resume {shell_word(run.path)}"
    latest = run.checkpoints.latest()
    config = shell_word(run.path / CONFIG_FILE)
    if latest is not None:
        model = run.checkpoints.path_of(latest) / POLICY_FOLDER
        return (
            f"Start a new run from its model after {latest} steps with: medical-team train {config} --policy.model "
            f"{shell_word(model)}\n(With engine.save_optimizer a run can be resumed instead.)"
        )
    return f"No checkpoint was saved yet. Start again with: medical-team train {config}"


def _card_writer(run: RunFolder) -> WriteCard:
    records = run.training_records()

    def write_card(folder: Path, completed_steps: int) -> None:
        tables = [figures_table([metrics.values for metrics in run.metrics()])]
        if completed_steps == run.total_steps:
            tables.append(criteria_table(run))
        sources = {record.source for record in records}
        card = model_card(run.config, completed_steps, sources=sources, tables=tables)
        (folder / "README.md").write_text(card, encoding="utf-8")

    return write_card
