"""Asking a model about MEDEC texts, part by part, each part on disk before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..callbacks import Progress
from ..errors import DataError
from ..game.rollout import PromptTooLong, Reply, Rollout
from ..seeds import derive_seed
from .evaluation_folder import EvaluationFolder
from .medec_texts import MedecText
from .predictions import Prediction, Vote, prediction_of
from .tasks import Task

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
