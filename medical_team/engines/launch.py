"""Launching an engine: its command, what is checked before it starts, following it, and bringing home what it made.

prepare         the command and how it is started; every contradiction is found here
check_engine    the engine is installed, and its own parser takes the command
check_judge_of  the judge rules rightly on notes whose truth is known
write_inputs    the engine's files, into a run folder
run_engine      start, follow, import games and models
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..callbacks import Notify
from ..config import EngineKind, RunConfig
from ..errors import ConfigError, EngineError, JudgeError, MedicalTeamError
from ..files import atomic_text
from ..judge.protocol import JudgeQuery
from ..judging import make_judge
from ..network.proxies import is_address, is_on_this_machine
from ..records import DataType, JudgeFailure, NotePair, Ruling, TrainingRecord, Verdict
from ..runs.folder import RunFolder
from .checkpoint_import import WriteCard, import_models
from .command import EngineCommand, EngineFiles, shell_text
from .installed import (
    EnginePython,
    check_with_parser,
    copy_problems,
    engine_executable,
    engine_paths,
    engine_warnings,
    import_problems,
    inspect_engine,
    missing_engine,
    playing_problem,
)
from .openrlhf.command import openrlhf_command, openrlhf_deviations, openrlhf_problems
from .openrlhf.dataset import resume_at, write_prompt_dataset
from .openrlhf.game_import import GameImport
from .process import (
    Ending,
    Submission,
    direct_submission,
    follow,
    job_word_problems,
    missing_program,
    ray_job_submission,
    wait_for_leftovers,
)
from .red_team_fork.command import (
    red_team_fork_command,
    red_team_fork_deviations,
    red_team_fork_problems,
    write_fork_dataset,
)

_SPLITTING_CHARACTERS = ",@"
"""The engines take a data file's path apart at these."""

_JOB_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9_-]+")
_STATUS_SECONDS = 15.0
# The words of `ray job status`.
_UNFINISHED = re.compile(r"Status for job .*: (?:PENDING|RUNNING)")
_SUCCEEDED = re.compile(r"Job .* succeeded")


@dataclass(frozen=True)
class Launch:
    """An engine that is ready to be started."""

    config: RunConfig
    files: EngineFiles
    python: str
    command: EngineCommand
    submission: Submission

    @property
    def kind(self) -> EngineKind:
        """Which engine."""
        return self.config.engine.kind

    @property
    def text(self) -> str:
        """What is started, as a person can paste it into a shell."""
        words = self.submission.words
        count = len(self.command.arguments)
        return shell_text(words[: len(words) - count], self.command.options, self.submission.environment)


def prepare(config: RunConfig, path: Path, *, has_heldout: bool, is_resuming: bool = False) -> Launch:
    """The launch of ``config`` for a run at ``path``. Nothing is started, and nothing written.

    Raises:
        ConfigError: the configuration contradicts itself or the engine: all problems are named.
    """
    config = config.resolved
    files = EngineFiles(path)
    if problems := [*_engine_problems(config), *_launch_problems(config, files)]:
        raise ConfigError(f"The run can't be launched on {_name(config.engine.kind)}:", problems)
    python = _engine_python(config)
    command = _command(config, files, has_heldout=has_heldout, is_resuming=is_resuming)
    if config.engine.submission == "direct":
        return Launch(config, files, python, command, direct_submission(command, python, files))
    if problems := list(job_word_problems(command.words(python))):
        raise ConfigError(f"The run can't be submitted to {config.engine.ray_address}:", problems)
    job = f"medical-team-{_JOB_NAME_CHARACTERS.sub('-', path.name)}-{time.strftime('%Y%m%d-%H%M%S')}"
    submission = ray_job_submission(command, python, files, config.engine, job)
    return Launch(config, files, python, command, submission)


def deviations(config: RunConfig) -> list[str]:
    """Where the engine of ``config`` does something else than the local trainer does."""
    is_upstream = config.engine.kind == "openrlhf"
    return openrlhf_deviations(config) if is_upstream else red_team_fork_deviations(config)


def check_engine(launch: Launch, notify: Notify) -> EnginePython:
    """Check that the engine is installed and that its own parser takes the command. Nothing of it is started.

    Raises:
        EngineError: it isn't, or doesn't.
    """
    found = inspect_engine(launch.config.engine)
    problems = [missing_engine(found, launch.kind), missing_program(launch.submission, launch.python)]
    if launch.kind == "openrlhf":
        problems.append(playing_problem(found))
    elif found.is_fork and found.folder is not None:
        fork = Path(found.folder).parent
        problems.extend(copy_problems(fork) or import_problems(fork, launch.python))
    if told := [problem for problem in problems if problem is not None]:
        raise EngineError("; ".join(told))
    for warning in engine_warnings(found, launch.kind):
        notify(f"warning: {warning}")
    paths = engine_paths(launch.config.engine)
    verdict = check_with_parser(launch.python, launch.command.arguments, paths)
    if not verdict.is_accepted:
        raise EngineError(
            f"the engine's own parser refuses the command: {verdict.problem}. Where engine.extra_arguments are not to "
            f"blame, the engine may be of another version ({found.distributions.get('openrlhf')})"
        )
    for remark in verdict.remarks:
        notify(f"the engine's parser says: {remark}")
    notify(f"the engine's own parser takes the command ({_name(launch.kind)} in {launch.python})")
    return found


CASES_ASKED = 4
"""Cases of the data that the judge is asked about, each with its error and without."""


def check_judge_of(config: RunConfig, records: Sequence[TrainingRecord], notify: Notify) -> None:
    """Check that the judge rules rightly on notes whose truth is known, asked as the engine will ask it.

    Raises:
        JudgeError: it doesn't, or can't be reached.
    """
    # The fork sends no cases, only texts of notes.
    knows_case = config.engine.kind == "openrlhf"
    pairs = list(dict.fromkeys(record.pair for record in records))
    queries = [
        _query(pair, is_harmful, knows_case=knows_case) for pair in pairs[:CASES_ASKED] for is_harmful in (True, False)
    ]
    judge = make_judge(config.judge, pairs, notify)
    started = time.monotonic()
    rulings = judge.rule(queries)
    seconds = time.monotonic() - started
    problems = [problem for query in queries if (problem := _problem(rulings.get(query.game_id), query))]
    right = len(queries) - len(problems)
    # A model may miss an error or two; one that is right no more often than a coin trains nobody.
    if 2 * right <= len(queries):
        advice = ". The fork sends notes without their cases: serve the judge with --references train.jsonl"
        raise JudgeError(
            f"the judge is right on {right} of {len(queries)} notes of the data whose truth is known, so training with "
            f"it would teach nothing; of the first it fails at: {problems[0]}{'' if knows_case else advice}"
        )
    notify(f"the judge is right on {right} of {len(queries)} known notes ({seconds:.2f} s)")


def _query(pair: NotePair, is_harmful: bool, *, knows_case: bool) -> JudgeQuery:
    verdict = Verdict.HARMFUL if is_harmful else Verdict.SAFE
    return JudgeQuery(
        game_id=f"{pair.case_id}-{verdict.value}",
        note=pair.error_note if is_harmful else pair.corrected_note,
        verdict=verdict,
        pair=pair if knows_case else None,
        data_type=(DataType.VANILLA_HARMFUL if is_harmful else DataType.VANILLA_BENIGN) if knows_case else None,
    )


def _problem(ruling: Ruling | None, query: JudgeQuery) -> str | None:
    is_harmful = query.verdict is Verdict.HARMFUL
    if ruling is None:
        return "it doesn't answer"
    if isinstance(ruling, JudgeFailure):
        return ruling.reason
    if ruling.error_detected is not is_harmful:
        return f"it takes the verdict {query.verdict} for another"
    if ruling.error_present is not is_harmful:
        return "it finds no error where one is" if is_harmful else "it finds an error where none is"
    return None


def write_inputs(run: RunFolder, launch: Launch, *, resumed_step: int | None = None) -> None:
    """Write what the engine reads, and the command as it is started. The caller holds the run's lock.

    Raises:
        MedicalTeamError: the configuration can't be played, or a file can't be written.
    """
    launch.files.job.mkdir(parents=True, exist_ok=True)
    if launch.kind == "openrlhf":
        write_prompt_dataset(run)
        if resumed_step is not None:
            resume_at(run, resumed_step)
    else:
        write_fork_dataset(run)
    with atomic_text(launch.files.command) as file:
        file.write(f"{launch.text}\n")


def run_engine(
    run: RunFolder, launch: Launch, stream: IO[str], notify: Notify, write_card: WriteCard
) -> tuple[Ending, list[str]]:
    """Start the engine, follow it to its end, and bring its games and models into ``run``, however it ended.

    The caller holds the run's lock, and has written the inputs.

    Returns:
        How it ended; and which models are not whole, and why.

    Raises:
        EngineError: it can't be started.
        MedicalTeamError: what it left can't be imported; it stays where it is.
    """
    games = GameImport(run) if launch.kind == "openrlhf" else None
    is_failing = False

    def import_now() -> None:
        nonlocal is_failing
        if is_failing:
            return
        try:
            if games is not None:
                games.bring()
            import_models(run, write_card, is_over=False)
        except (MedicalTeamError, OSError) as error:
            # The engine goes on; at its end the same problem is raised.
            is_failing = True
            notify(f"warning: games and checkpoints can't be imported now: {error}")

    ending = follow(launch.submission, launch.files.log, stream, notify, import_now)
    if ending.status != 0 and not ending.is_stopped:
        ending = _ending_of_job(ending, launch.submission, notify, import_now)
    if launch.config.engine.submission == "direct":
        wait_for_leftovers(launch.files.run, notify)
    try:
        problems = import_models(run, write_card)
    finally:
        # Games come home also where models can't.
        if games is not None:
            games.bring(is_over=True)
    return ending, problems


def _engine_problems(config: RunConfig) -> Iterator[str]:
    if config.engine.kind == "openrlhf":
        yield from openrlhf_problems(config)
        return
    yield from red_team_fork_problems(config)
    if config.judge.kind != "remote":
        yield (
            f'judge.kind is "{config.judge.kind}", and the fork asks its judge over HTTP: start `medical-team judge '
            "serve`, and name it with --judge http://127.0.0.1:8000"
        )
    elif os.environ.get(config.judge.token_variable, "").strip():
        yield (
            f"{config.judge.token_variable} is set, and the fork can't send a token to its judge: unset it, and serve "
            "the judge without one where nobody else can reach it"
        )


def _launch_problems(config: RunConfig, files: EngineFiles) -> Iterator[str]:
    engine = config.engine
    if any(character in str(files.run) for character in _SPLITTING_CHARACTERS):
        yield f"the run's folder {files.run} has a comma or @ in its path, where the engines would cut it: rename it"
    if engine.submission == "ray-job" and not is_address(engine.ray_address):
        yield (
            f"engine.ray_address is {engine.ray_address!r}, which nothing can be sent to: give the dashboard's "
            "address, such as http://127.0.0.1:8265, or http://[::1]:8265 with the brackets of IPv6"
        )
    if engine.nodes > 1 and engine.submission == "direct":
        yield (
            f"engine.nodes is {engine.nodes}, and engine.submission direct uses only this machine: start Ray on all "
            "machines (docs/launch.md), and set engine.submission to ray-job"
        )
    for option, url in (("opponents.url", config.opponents.url), ("judge.url", config.judge.url)):
        if engine.nodes > 1 and url is not None and is_on_this_machine(url):
            yield (
                f"{option} is {url}, which the other machines of engine.nodes can't reach: serve what is there with "
                "--host 0.0.0.0 and a token, and name this machine's address"
            )


def _command(config: RunConfig, files: EngineFiles, *, has_heldout: bool, is_resuming: bool) -> EngineCommand:
    if config.engine.kind == "openrlhf":
        return openrlhf_command(config, files, has_heldout=has_heldout, is_resuming=is_resuming)
    return red_team_fork_command(config, files, judge_url=config.judge.url or "", is_resuming=is_resuming)


def _engine_python(config: RunConfig) -> str:
    """The engine's Python; as it was named where it is not on this machine, which :func:`check_engine` then says."""
    try:
        return engine_executable(config.engine)
    except EngineError:
        return config.engine.python or ""


def _name(kind: EngineKind) -> str:
    return {"openrlhf": "OpenRLHF", "red-team-fork": "the Self-RedTeam fork"}.get(kind, kind)


def _ending_of_job(ending: Ending, submission: Submission, notify: Notify, on_progress: Callable[[], None]) -> Ending:
    """How a job ended that may have outlived its follower, whose connection may have broken."""
    is_told = False
    while submission.status_words and _UNFINISHED.search(said := _output_of(submission.status_words)):
        if not is_told:
            notify("The connection to the job broke; it still runs. Waiting for its end")
            is_told = True
        on_progress()
        time.sleep(_STATUS_SECONDS)
        ending = Ending(0, is_stopped=False) if _SUCCEEDED.search(said) else ending
    return ending


def _output_of(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr
