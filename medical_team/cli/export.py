"""``medical-team export``: a trained policy as one complete Hugging Face folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import UsageError
from ..model_files import ADAPTER_CONFIG_FILE, read_json_object
from ..rl.model_card import card_metadata, model_licence
from ..runs.checkpoints import POLICY_FOLDER, CheckpointInfo, is_checkpoint
from ..runs.config_file import to_toml
from ..runs.folder import RunFolder
from ..runs.info import check_output
from ..runs.places import is_run, model_title, repository_of, settled_model, without_places
from ..terminal_text import shell_word
from .arguments import parse, remark, say

_CARD = "README.md"
_CONFIG = "medical_team.toml"

_PLAIN_CARD = """\
---
{front_matter}tags:
- clinical-nlp
- research-only
---

# {name}

**Research only, not for clinical use.** Merged from {source} and written as one folder by `medical-team export`.

- Base model: {base}. Its licence applies to this model too: {licence}.
"""

_MERGED = """
## This folder

Written by `medical-team export` from {what}: adapters are merged into the weights, so that transformers, vLLM and
OpenRLHF open it as it is.
"""


@dataclass(frozen=True)
class ExportArguments:
    """Write a trained policy as one complete Hugging Face folder: LoRA merged, safetensors, tokenizer, chat template.

    transformers, vLLM and OpenRLHF open it. What was written is loaded again and compared before it appears.
    """

    checkpoint: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """A run, a checkpoint in it (RUN/checkpoints/step-000010), or a folder with a model or a LoRA adapter."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """Where it goes; must be absent or empty."""
    which: Literal["best", "final", "latest"] | None = None
    """Of a run: its best checkpoint, its final model or its latest checkpoint; unset: the first of these there is."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the written weights; auto keeps that of the checkpoint, and merges an adapter in fp32."""
    transformers_4: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Let transformers 4, which the Self-RedTeam fork has, open it too. Else that version opens another model without a
    word, since it looks elsewhere for the base of rotary positions."""
    push: Annotated[str | None, tyro.conf.arg(metavar="OWNER/NAME")] = None
    """Send the folder to this repository on the Hugging Face hub too, with the run's configuration. It is private."""
    public: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """With --push: everybody may read it. The model contains the attacker: docs/intended_use.md."""
    verify: bool = True
    """Load what was written and compare its logits with the source's; takes twice as long."""


@dataclass(frozen=True)
class _Source:
    """What is exported, and what is known of it."""

    model: Path
    what: str
    run: RunFolder | None = None
    steps: int = 0


def main(arguments: Sequence[str]) -> int:
    """Run the command ``export``."""
    chosen = parse(ExportArguments, "export", arguments)
    if chosen.public and chosen.push is None:
        raise UsageError("--public says how to --push, which is not there: add --push OWNER/NAME, or leave it out")
    check_output(chosen.output)
    source = _source_of(chosen)
    from ..policy.export import export_model

    if chosen.push is not None:
        from ..policy.hub import check_repository

        check_repository(chosen.push)
    exported = export_model(
        str(source.model),
        chosen.output,
        _card_writer(source, chosen.output.name),
        precision=chosen.precision,
        is_verified=chosen.verify,
        is_for_transformers_4=chosen.transformers_4,
        notify=remark,
    )
    compared = "not compared"
    if exported.difference is not None:
        compared = (
            f"loaded again: logits differ by at most {exported.difference:.2g} from those in memory, and by "
            f"{exported.from_source:.2g} from the source's in fp32"
        )
    model = shell_word(exported.folder)
    say(
        f"{source.what} -> {exported.folder}\n"
        f"  {exported.architecture}, {exported.parameters:,} parameters in {exported.precision}, "
        f"{exported.bytes / 1e6:,.1f} MB; {compared}\n"
        f"Train on:            medical-team train --policy.model {model}\n"
        f"With OpenRLHF:       --actor.model_name_or_path {model}\n"
        f"Serve it:            vllm serve {model}\n"
    )
    if chosen.push is not None:
        say(f"On the hub:          {_pushed(chosen.push, exported.folder, is_public=chosen.public)}\n")
    return 0


def _pushed(repository: str, folder: Path, *, is_public: bool) -> str:
    from ..policy.hub import push_folder

    sent = "weights, which may remember notes, with their card and configuration,"
    return push_folder(folder, repository, is_public=is_public, sent=sent, notify=remark)


def _source_of(chosen: ExportArguments) -> _Source:
    path = chosen.checkpoint
    if not path.is_dir():
        raise UsageError(f"there is no folder {path}. Name a run, a checkpoint in it, or a folder with a model.")
    if is_run(path):
        return _of_run(RunFolder.open(path), chosen.which)
    if chosen.which is not None:
        raise UsageError(f"--which chooses within a run, and {path} is none: leave it out")
    checkpoint = path.resolve().parent if path.resolve().name == POLICY_FOLDER else path.resolve()
    if is_checkpoint(checkpoint):
        return _of_checkpoint(checkpoint)
    run = checkpoint.parent
    if checkpoint.name == "final" and is_run(run):
        return _of_run(RunFolder.open(run), "final")
    return _Source(path, str(path))


def _of_run(run: RunFolder, which: Literal["best", "final", "latest"] | None) -> _Source:
    best, latest = run.checkpoints.best(), run.checkpoints.latest()
    if best is not None and best.step not in run.checkpoints.steps():
        best = None
    there: dict[str, _Source] = {}
    if best is not None:
        said = f"the best checkpoint of {run.path} ({best.metric} {best.value:.3f} after {best.step} steps)"
        there["best"] = _Source(run.checkpoints.path_of(best.step) / POLICY_FOLDER, said, run, best.step)
    if run.final_path.is_dir():
        there["final"] = _Source(run.final_path, f"the final model of {run.path}", run, run.total_steps)
    if latest is not None:
        said = f"the checkpoint of {run.path} after {latest} steps"
        there["latest"] = _Source(run.checkpoints.path_of(latest) / POLICY_FOLDER, said, run, latest)
    if found := next(iter(there.values()), None) if which is None else there.get(which):
        return found
    wanted = "checkpoint or final model" if which is None else f"{which} model"
    choice = f"there is: --which {', --which '.join(there)}" if there else "let it train to its first checkpoint"
    raise UsageError(f"{run.path} has no {wanted}; {choice}")


def _of_checkpoint(checkpoint: Path) -> _Source:
    steps = CheckpointInfo.read(checkpoint).completed_steps
    run_path = checkpoint.parent.parent
    run = RunFolder.open(run_path) if is_run(run_path) else None
    return _Source(checkpoint / POLICY_FOLDER, f"the checkpoint {checkpoint.name} of {run_path}", run, steps)


def _card_writer(source: _Source, name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        text = _plain_card(source, name) if source.run is None else _run_card(source, source.run)
        (folder / _CARD).write_text(text, encoding="utf-8")
        if source.run is not None:
            (folder / _CONFIG).write_text(to_toml(without_places(source.run.config)), encoding="utf-8")

    return write


def _run_card(source: _Source, run: RunFolder) -> str:
    from ..rl.model_card import model_card

    sources = {record.source for record in run.training_records()}
    what = f"the state after {source.steps} steps"
    history = [step.values for step in run.metrics() if step.step < source.steps]
    names = sorted(each.value for each in sources)
    metadata = card_metadata(run.path.name, run.config.policy.model, names, history)
    card = model_card(run.config, source.steps, run.info.kind, sources=sources, metadata=metadata)
    return card + _MERGED.format(what=what)


def _plain_card(source: _Source, name: str) -> str:
    base = _base_of(source.model)
    repository = repository_of(base)
    return _PLAIN_CARD.format(
        front_matter=f"base_model: {repository}\n" if repository else "",
        name=name,
        source=f"`{source.model.name}`",
        base=repository or f"`{model_title(base)}`",
        licence=model_licence(base),
    )


def _base_of(folder: Path) -> str:
    """The base that an adapter names, else the folder itself: its own card says more."""
    path = folder / ADAPTER_CONFIG_FILE
    if not path.is_file():
        return str(folder.resolve())
    base = read_json_object(path).get("base_model_name_or_path")
    return settled_model(base) if isinstance(base, str) else str(folder.resolve())
