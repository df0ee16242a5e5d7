"""``medical-team eval medec``: a model, or a baseline, on the texts of a MEDEC CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from .. import __version__
from ..config import PromptStyle, RolloutConfig
from ..errors import UsageError
from ..evaluation.endpoint import EndpointRollout
from ..evaluation.folders import name_of_folder, saved_setting
from ..evaluation.medec import FORMAT, SETTINGS, EvaluationFolder, EvaluationSettings, medec_report, predict
from ..evaluation.medec_metrics import medec_metrics
from ..evaluation.medec_texts import Examples, MedecText, choose_examples, choose_texts, load_medec
from ..evaluation.model_choice import (
    ModelChoice,
    TrainingTexts,
    check_training_texts,
    choose_model,
    identity_of,
)
from ..evaluation.predictions import FLAG_BASELINES, Prediction, baseline_predictions
from ..evaluation.tasks import MAX_TOKENS, AssessorTask, Task, TaskName, ThreePartTask, prompt_template
from ..game.rollout import Rollout
from ..game_config import Assessor
from ..network.proxies import privacy_warning
from ..openai_chat import ChatClient
from .arguments import Speaking, SpeakingOptions, check_bounds, parse, remark, say

_DEFAULT_TEMPERATURE = 0.7
_MAX_PROMPT_TOKENS = 32768
_MAX_SHOTS = 64


@dataclass(frozen=True)
class MedecArguments:
    """Evaluate a model on a MEDEC CSV: the figures with intervals, beside what needs no model.

    An evaluation that was stopped goes on where it was when the same command is given again.
    """

    model: tyro.conf.Positional[str]
    """A run's folder, a checkpoint, a model's or LoRA folder, a Hugging Face name, with --url a served model's name; or
    a baseline: all-safe, all-harmful, all-harmful-last, copy-oracle."""
    medec: Path
    """The MEDEC CSV."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for predictions, submission and metrics; without it one under evaluations/ by the model and the task."""
    task: TaskName = "assessor"
    """assessor: the game's own prompt. three-part: flag, sentence and correction, with the paper's prompt."""
    assessor: Assessor | None = None
    """What the assessor says: verdict (Safe or Harmful), locate (also the wrong sentence) or correct (also its
    correction); without it as in the model's run, else the verdict."""
    url: str | None = None
    """The base of an OpenAI-compatible API, e.g. http://127.0.0.1:8000/v1."""
    token_variable: str = "MEDICAL_TEAM_ENDPOINT_TOKEN"
    """The environment variable with the server's token, where it wants one."""
    texts: int | None = None
    """Evaluate on so many texts, whole groups of near-duplicates drawn by the seed; without it on all."""
    samples: int = 1
    """Replies for each text; of several the majority counts."""
    temperature: float | None = None
    """Draw replies at this temperature; without it, one reply is greedy and several are drawn at 0.7."""
    seed: int = 42
    """Decides the drawn texts, replies and intervals."""
    shots: int = 0
    """Solved examples in the prompt, with and without an error in turn; 0: zero-shot."""
    examples: Path | None = None
    """The MEDEC CSV to draw these from: another than --medec, or the same where --texts leaves some over."""
    prompt_style: PromptStyle | None = None
    """Wording of the assessor's prompt; without it that of the model's run, else short."""
    thinking: bool | None = None
    """Let the model think first; without it as in the model's run, else not."""
    max_tokens: int | None = None
    """Longest reply; without it as in the model's run, else by the task."""
    training_texts: TrainingTexts = "refuse"
    """What to do if the model's run was trained on texts of this file, or on twins of them."""
    speaking: Speaking = field(default_factory=SpeakingOptions)
    batch_size: int = 16
    """Replies of a local model drawn together; a matter of memory."""
    concurrency: int = 16
    """Requests to a server at a time."""
    patience_seconds: float = 60.0
    """How long a server that is away is waited for. What is predicted by then is kept; the same command goes on."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(MedecArguments, "eval medec", arguments)
    _check(chosen)
    model = choose_model(chosen.model, chosen.url)
    medec = load_medec(chosen.medec)
    texts = choose_texts(medec.texts, chosen.texts, chosen.seed)
    checked = check_training_texts(texts, model.run, chosen.training_texts, is_baseline=model.is_baseline)
    examples = Examples()
    if chosen.examples is not None:
        examples = choose_examples(chosen.examples, checked.texts, chosen.shots, chosen.seed)
    task = _task(chosen, model, examples)
    game_task = task if isinstance(task, AssessorTask) and not model.is_baseline else None
    # A verdict alone goes without saying.
    asked = game_task.asked if game_task and game_task.has_sentences else None
    path = chosen.output or Path("evaluations") / name_of_folder(
        f"{model.label}-{task.name}" + (f"-{asked}" if asked else "")
    )
    settings = EvaluationSettings(
        format=FORMAT,
        package_version=__version__,
        model=identity_of(model),
        task=task.name,
        prompt_style=game_task.style if game_task else None,
        assessor=asked,
        is_thinking=task.is_thinking,
        shots=len(examples.texts),
        examples=examples.origin,
        prompt="" if model.is_baseline else prompt_template(task),
        samples=chosen.samples,
        temperature=_DEFAULT_TEMPERATURE if chosen.temperature is None and chosen.samples > 1 else chosen.temperature,
        seed=chosen.seed,
        max_tokens=task.max_tokens,
        device=chosen.speaking.device,
        precision=chosen.speaking.precision,
        engine=chosen.speaking.engine,
        data_file=medec.name,
        data_sha256=medec.sha256,
        texts=len(checked.texts),
        left_out=checked.left_out,
        training_texts=checked.known,
        prompt_date=_prompt_date(chosen, model, path),
    )
    folder = EvaluationFolder(path, settings)
    with folder.locked():
        predictions = _predictions(chosen, model, checked.texts, task, folder)
        is_sentence_baseline = model.is_baseline and model.location not in FLAG_BASELINES
        metrics = medec_metrics(
            checked.texts,
            predictions,
            has_sentences=is_sentence_baseline if model.is_baseline else task.has_sentences,
            has_corrections=is_sentence_baseline if model.is_baseline else task.has_corrections,
            seed=chosen.seed,
        )
        folder.finish(predictions, metrics)
    say(medec_report(settings, metrics))
    say(f"\nPredictions, submission and metrics are in {folder.path}\n")
    return 0


def _check(chosen: MedecArguments) -> None:
    check_bounds("--samples", chosen.samples, 1)
    check_bounds("--batch-size", chosen.batch_size, 1)
    check_bounds("--concurrency", chosen.concurrency, 1)
    check_bounds("--max-tokens", chosen.max_tokens, 1)
    check_bounds("--shots", chosen.shots, 0, _MAX_SHOTS)
    check_bounds("--temperature", chosen.temperature, 0.001, 5)
    check_bounds("--patience-seconds", chosen.patience_seconds, 0)
    check_bounds("--seed", chosen.seed, 0)
    if chosen.assessor is not None and chosen.task != "assessor":
        raise UsageError(f"--assessor is for --task assessor: leave it out with --task {chosen.task}")
    if bool(chosen.shots) is not (chosen.examples is not None):
        raise UsageError("--shots and --examples go together: how many examples, and the MEDEC CSV that they are from")


def _task(chosen: MedecArguments, model: ModelChoice, examples: Examples) -> Task:
    game, rollout = model.rules
    is_thinking = game.thinking if chosen.thinking is None else chosen.thinking
    asked = chosen.assessor or game.assessor
    has_corrections = chosen.task == "three-part" or asked == "correct"
    max_tokens = chosen.max_tokens or MAX_TOKENS["three-part" if has_corrections else "assessor", is_thinking]
    if chosen.task == "three-part":
        return ThreePartTask(is_thinking, max_tokens, examples.texts)
    if chosen.max_tokens is None and model.run and (is_thinking, asked) == (game.thinking, game.assessor):
        max_tokens = rollout.max_verdict_tokens
    style = chosen.prompt_style or game.prompt_style
    return AssessorTask(is_thinking, max_tokens, examples.texts, style=style, asked=asked)


def _prompt_date(chosen: MedecArguments, model: ModelChoice, path: Path) -> str | None:
    """The day that the chat template is told; an evaluation that goes on keeps its own."""
    if model.url is None and not model.is_baseline:
        return chosen.speaking.day_of(model, saved_setting(path, SETTINGS, "prompt_date")).isoformat()
    if chosen.speaking.prompt_date is not None:
        raise UsageError("--prompt-date is for a model that is loaded here: leave it out")
    return None


def _predictions(
    chosen: MedecArguments, model: ModelChoice, texts: Sequence[MedecText], task: Task, folder: EvaluationFolder
) -> list[Prediction]:
    if model.is_baseline:
        predictions = baseline_predictions(model.location, texts)
        if not folder.predictions():
            folder.append(predictions)
        return predictions
    return predict(
        texts,
        task,
        lambda: _rollout(chosen, model, folder.settings),
        folder,
        lambda done, total: remark(f"{done}/{total} texts"),
    )


def _rollout(chosen: MedecArguments, model: ModelChoice, settings: EvaluationSettings) -> Rollout:
    temperature = settings.temperature or _DEFAULT_TEMPERATURE
    if model.url is not None:
        client = ChatClient(
            model.url,
            model.location,
            token_variable=chosen.token_variable,
            concurrency=chosen.concurrency,
            patience_seconds=chosen.patience_seconds,
            notify=remark,
        )
        if warning := privacy_warning(model.url, sent="the texts", receiver="the model"):
            remark(f"warning: {warning}")
        return EndpointRollout(client, temperature)
    rollout = RolloutConfig(
        temperature=temperature,
        max_prompt_tokens=_MAX_PROMPT_TOKENS,
        max_verdict_tokens=settings.max_tokens,
        batch_size=chosen.batch_size,
    )
    return chosen.speaking.rollout(model, rollout, chosen.speaking.day_of(model, settings.prompt_date))
