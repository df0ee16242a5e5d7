"""Asking a model about MEDEC texts, part by part, each part on disk before the next; the folder in which an
evaluation lies, and its text for a person: what was run, and the figures beside the floors."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..callbacks import Progress
from ..config import PromptStyle
from ..errors import DataError, UsageError
from ..files import atomic_text, is_leftover
from ..game.rollout import PromptTooLong, Reply, Rollout
from ..game_config import Assessor
from ..jsonl import read_jsonl, to_line
from ..metrics.statistics import Figure
from ..records import Closed
from ..runs.append import append_lines
from ..seeds import derive_seed
from .folders import LOCK, as_json, read_settings, working_in
from .medec_metrics import MedecMetrics
from .medec_texts import MedecText
from .model_choice import ModelIdentity
from .predictions import Prediction, Vote, answers_of, prediction_of
from .submission import write_submission
from .tables import figure_with_interval, figures_table, table
from .tasks import Task, TaskName

FORMAT = 1

SETTINGS = "evaluation.json"
_PREDICTIONS = "predictions.jsonl"
_SUBMISSION = "submission.txt"
_METRICS = "metrics.json"


@dataclass(frozen=True)
class EvaluationSettings(Closed):
    """What was run: enough to run it again, and to tell two evaluations apart."""

    format: int
    package_version: str
    model: ModelIdentity
    task: TaskName
    prompt_style: PromptStyle | None
    is_thinking: bool
    shots: int
    """Solved examples in the prompt; 0: zero-shot."""
    examples: str
    """Which they are; empty: none."""
    prompt: str
    """The prompt, with <text> where the text stands."""
    samples: int
    temperature: float | None
    """None: greedy."""
    seed: int
    max_tokens: int
    device: str
    precision: str
    data_file: str
    data_sha256: str
    texts: int
    left_out: int
    """Texts of the file that were not evaluated on, because the run was trained on them or on a twin."""
    training_texts: str
    """What is known of texts that the model was trained on, as a sentence."""
    engine: str = "auto"
    """What draws the replies of a local model."""
    assessor: Assessor | None = None
    """What the assessor is asked beyond a verdict; None: nothing."""
    prompt_date: str | None = None
    """The day that the model's chat template was told. None for a served model, whose server decides and
    for a baseline."""


class EvaluationFolder:
    """One evaluation on disk; write to it only inside :meth:`locked`."""

    def __init__(self, path: Path, settings: EvaluationSettings) -> None:
        self.path = path
        self.settings = settings

    @classmethod
    def open(cls, path: Path) -> EvaluationFolder:
        """The evaluation at ``path``.

        Raises:
            DataError: there is none, or it is damaged.
        """
        return cls(path, read_settings(path, SETTINGS, EvaluationSettings, "eval medec"))

    @contextmanager
    def locked(self) -> Generator[None]:
        """Work in this folder alone, which is made where there is none, and take off a line and remove files that a
        killed process left half-written.

        Raises:
            UsageError: another evaluation lies there, what differs is named; or something else.
            RunFolderError: another process works here; it is named.
            DataError: the predictions can't be read.
            OutputError: the folder can't be written.
        """
        is_begun = not self.path.exists() or (self.path / SETTINGS).exists()
        if not is_begun and not (self.path.is_dir() and all(map(_is_from_the_beginning, self.path.iterdir()))):
            raise UsageError(f"{self.path} is there and is no evaluation: name a new or empty folder with -o")
        written = "|".join(map(re.escape, (SETTINGS, _PREDICTIONS, _SUBMISSION, _METRICS)))
        with working_in(self.path, SETTINGS, dataclasses.asdict(self.settings), written):
            self._drop_half_line()
            yield

    def predictions(self) -> list[Prediction]:
        """The predictions so far.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path / _PREDICTIONS
        return read_jsonl(path, Prediction) if path.exists() else []

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Append ``predictions``: all of them are on the disk when this returns, or none.

        Raises:
            OutputError: they can't be written.
        """
        append_lines(self.path / _PREDICTIONS, map(to_line, predictions))

    def finish(self, predictions: Sequence[Prediction], metrics: MedecMetrics) -> None:
        """Write the submission file and the figures.

        Raises:
            OutputError: they can't be written.
        """
        write_submission(self.path / _SUBMISSION, answers_of(predictions).values())
        with atomic_text(self.path / _METRICS) as file:
            file.write(as_json({"settings": self.settings, **dataclasses.asdict(metrics)}))

    def _drop_half_line(self) -> None:
        path = self.path / _PREDICTIONS
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error
        if content and not content.endswith(b"\n"):
            with atomic_text(path) as file:
                file.write(content[: content.rfind(b"\n") + 1].decode("utf-8"))


def _is_from_the_beginning(path: Path) -> bool:
    """Whether ``path`` is all that a process leaves which is killed before its settings stand."""
    return path.name == LOCK or is_leftover(path, re.escape(SETTINGS))


TEXTS_AT_ONCE = 32
"""Texts between two writes to the disk."""


def predict(
    texts: Sequence[MedecText],
    task: Task,
    make_rollout: Callable[[], Rollout],
    folder: EvaluationFolder,
    on_progress: Progress = lambda done, total: None,
) -> list[Prediction]:
    """The predictions of ``texts``, in their order; those that are in ``folder`` already are not asked for again.

    Args:
        make_sampler: gives the model's sampler; not called where nothing is left to ask.
        folder: locked; its settings say how many replies are drawn for each text, and from which seed.
        on_progress: told how many texts are done, of how many.

    Raises:
        DataError: the folder holds predictions of other texts.
        EndpointError: a server that is asked stopped answering; what was predicted is on the disk.
    """
    known = {prediction.text_id: prediction for prediction in folder.predictions()}
    strange = known.keys() - {text.text_id for text in texts}
    if strange:
        raise DataError(
            f"{folder.path} can't be resumed:", [f"it holds {sorted(strange)[0]!r}, which is not evaluated"]
        )
    waiting = [text for text in texts if text.text_id not in known]
    if waiting:
        rollout = make_rollout()
        for part in _parts(waiting):
            predictions = _predict_part(part, task, rollout, folder)
            folder.append(predictions)
            known.update((prediction.text_id, prediction) for prediction in predictions)
            on_progress(len(known), len(texts))
    return [known[text.text_id] for text in texts]


def _parts(texts: Sequence[MedecText]) -> Iterator[Sequence[MedecText]]:
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        yield texts[start : start + TEXTS_AT_ONCE]


def _predict_part(
    texts: Sequence[MedecText], task: Task, rollout: Rollout, folder: EvaluationFolder
) -> list[Prediction]:
    settings = folder.settings
    asked = [
        (
            text,
            task.request(
                text,
                seed=derive_seed(settings.seed, "medec", text.text_id, sample),
                is_greedy=settings.temperature is None,
            ),
        )
        for text in texts
        for sample in range(settings.samples)
    ]
    replies = rollout.generate([request for _, request in asked])
    votes: dict[str, list[Vote]] = {text.text_id: [] for text in texts}
    for (text, _), reply in zip(asked, replies, strict=True):
        votes[text.text_id].append(vote_of(task, text, reply))
    return [prediction_of(text, votes[text.text_id]) for text in texts]


def vote_of(task: Task, text: MedecText, reply: Reply | PromptTooLong) -> Vote:
    """What ``reply`` says of ``text``; a reply that can't be read, or was never drawn, is no verdict."""
    if isinstance(reply, PromptTooLong):
        return Vote("", None, problem="the prompt does not fit into the model")
    return task.read(reply.text, text, is_finished=reply.is_finished)


def medec_report(settings: EvaluationSettings, metrics: MedecMetrics) -> str:
    """The report, ending with a newline."""
    parts = [_settings_text(settings), figures_table("", "texts", metrics.figures, **metrics.floors)]
    for title, rows in (("by error type", metrics.by_error_type), ("by length", metrics.by_length)):
        parts.append(_breakdown_table(title, rows))
    remarks = list(_remarks(settings, metrics))
    if remarks:
        parts.append("".join(f"{remark}\n" for remark in remarks))
    return "\n".join(parts)


def _settings_text(settings: EvaluationSettings) -> str:
    how = "greedy" if settings.temperature is None else f"temperature {settings.temperature:g}"
    if settings.samples > 1:
        how += f", majority of {settings.samples} replies"
    prompt = f" ({settings.assessor})" if settings.assessor else ""
    prompt += f", {settings.prompt_style} prompt" if settings.prompt_style else ""
    shots = f"{settings.shots}-shot" if settings.shots else "zero-shot"
    lines = [
        f"model       {settings.model.label}",
        f"task        {settings.task}{prompt}, {shots}, {'thinking first' if settings.is_thinking else 'no thinking'}",
        f"replies     {how}, at most {settings.max_tokens} tokens, seed {settings.seed}",
        f"data        {settings.data_file} (sha256 {settings.data_sha256[:12]}), {settings.texts} texts",
        f"trained on  {settings.training_texts}",
    ]
    if settings.examples:
        lines.insert(2, f"examples    {settings.examples}")
    if not settings.prompt:
        lines[1:3] = ["task        none: a baseline"]
    return "\n".join(lines) + "\n"


def _breakdown_table(title: str, rows: Mapping[str, Mapping[str, Figure]]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    header = [title, "texts", *names]
    cells = [
        [label, str(next(iter(row.values())).of), *(figure_with_interval(row.get(name)) for name in names)]
        for label, row in rows.items()
    ]
    return table(header, cells)


def _remarks(settings: EvaluationSettings, metrics: MedecMetrics) -> Iterator[str]:
    for problem, count in metrics.unreadable.items():
        yield f"unreadable: {count} replies ({problem}); they count as wrong, and never as a detection"
    if settings.prompt and settings.task == "assessor" and settings.assessor is None:
        yield (
            "Sentences and corrections are not asked for in this task (--assessor correct or --task three-part asks "
            "for them): of submission.txt only the flags mean something."
        )
    if settings.assessor == "locate":
        yield (
            "Corrections are not asked for (--assessor correct asks for them): of submission.txt the flags and the "
            "sentences mean something."
        )
    for metric in metrics.absent:
        yield f"{metric.name}: absent; {metric.reason}"
