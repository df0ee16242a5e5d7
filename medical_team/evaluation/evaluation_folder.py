"""The folder of one evaluation on MEDEC. What lies in it:

    evaluation.json      EvaluationSettings: what was run
    predictions.jsonl    one Prediction a text, appended as they come, so that an evaluation can be resumed
    submission.txt       the same in the organisers' format
    metrics.json         the figures

No text of MEDEC is in it but what a model repeats in its replies.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from ..config import PromptStyle
from ..errors import DataError, UsageError
from ..files import atomic_text
from ..game_config import Assessor
from ..jsonl import from_line, read_jsonl, to_line, validation_problems
from ..records import Closed
from ..runs.append import append_lines, exclusive_lock
from .model_identity import ModelIdentity
from .predictions import Prediction, answers_of
from .submission import write_submission
from .tasks import TaskName

FORMAT = 1

_SETTINGS = "evaluation.json"
_PREDICTIONS = "predictions.jsonl"
_SUBMISSION = "submission.txt"
_METRICS = "metrics.json"

_MAY_DIFFER = frozenset({"package_version"})


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
    """The day that the model's chat template was told. None for a served model, whose server decides, for a baseline,
    and where an older version didn't write it down."""


class EvaluationFolder:
    """One evaluation on disk; write to it only inside :meth:`locked`."""

    def __init__(self, path: Path, settings: EvaluationSettings) -> None:
        self.path = path
        self.settings = settings

    @classmethod
    def create_or_resume(cls, path: Path, settings: EvaluationSettings) -> EvaluationFolder:
        """The evaluation at ``path``, which is made where there is none.

        Raises:
            UsageError: another evaluation lies there; what differs is named.
            OutputError: the folder can't be written.
        """
        if (path / _SETTINGS).exists():
            existing = cls.open(path)
            if existing.settings.prompt_date is None:
                # One of an older version, which didn't write it down.
                existing.settings = dataclasses.replace(existing.settings, prompt_date=settings.prompt_date)
            _refuse_other(path, existing.settings, settings)
            return existing
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"{path} is there and is no evaluation: name a new or empty folder with -o")
        with atomic_text(path / _SETTINGS) as file:
            file.write(json.dumps(dataclasses.asdict(settings), ensure_ascii=False, indent=2) + "\n")
        return cls(path, settings)

    @classmethod
    def open(cls, path: Path) -> EvaluationFolder:
        """The evaluation at ``path``.

        Raises:
            DataError: there is none, or it is damaged.
        """
        file = path / _SETTINGS
        try:
            return cls(path, from_line(file.read_bytes(), EvaluationSettings))
        except OSError as error:
            problem = f"it has no readable {_SETTINGS}; `medical-team eval medec` makes such a folder"
            raise DataError(f"{path} is no evaluation:", [problem]) from error
        except ValidationError as error:
            raise DataError(f"{file} is damaged or of another version:", validation_problems(error)) from error

    @classmethod
    def saved_prompt_date(cls, path: Path) -> str | None:
        """The day with which the evaluation at ``path`` goes on: the one that is written down there, or, where an older
        version wrote none, the one on which it began. None where there is no evaluation.

        Raises:
            DataError: it is damaged.
        """
        file = path / _SETTINGS
        if not file.exists():
            return None
        began = datetime.fromtimestamp(file.stat().st_mtime).astimezone().date()
        return cls.open(path).settings.prompt_date or began.isoformat()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Work in this folder alone, and take off a line that a killed process left half-written.

        Raises:
            RunFolderError: another process works here; it is named.
        """
        with exclusive_lock(self.path / "lock"):
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

    def finish(self, predictions: Sequence[Prediction], metrics: object) -> None:
        """Write the submission file and the figures, a dataclass.

        Raises:
            OutputError: they can't be written.
        """
        write_submission(self.path / _SUBMISSION, answers_of(predictions).values())
        with atomic_text(self.path / _METRICS) as file:
            content = {"settings": dataclasses.asdict(self.settings), **dataclasses.asdict(metrics)}  # type: ignore[call-overload]
            file.write(json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n")

    def _drop_half_line(self) -> None:
        path = self.path / _PREDICTIONS
        content = path.read_bytes() if path.exists() else b""
        if content and not content.endswith(b"\n"):
            with atomic_text(path) as file:
                file.write(content[: content.rfind(b"\n") + 1].decode("utf-8"))


def _refuse_other(path: Path, existing: EvaluationSettings, wanted: EvaluationSettings) -> None:
    names = [field.name for field in dataclasses.fields(wanted) if field.name not in _MAY_DIFFER]
    differing = [name for name in names if getattr(existing, name) != getattr(wanted, name)]
    if differing:
        listed = "; ".join(
            f"{name} {_shown(getattr(existing, name))} there, {_shown(getattr(wanted, name))} here"
            for name in differing
        )
        raise UsageError(f"{path} holds another evaluation ({listed}): name another folder with -o, or remove it")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
