"""The shared policy: a language model that learns, and the frozen reference it started from.

Under LoRA the reference is the same model with the adapter switched off, so there is no second copy. An adapter that
the model came with is merged before ours is attached (``loading``); otherwise KL would be measured against the base
model and undo a warm start. With full weights the reference is a frozen copy.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from ..config import PolicyConfig
from ..errors import PolicyError
from ..game.rollout import REFERENCE
from ..records import LIVING
from ..seeds import derive_seed
from .adapter import attach_adapter
from .devices import choose_device, choose_dtype
from .dropout import switch_off_dropout
from .gradient_checkpointing import enable_gradient_checkpointing, recomputing
from .hub import Notify
from .loading import load_language_model
from .merging import merge_adapter
from .quiet import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_WEIGHTS_FILES = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}


class Policy:
    """Both players' shared model, without dropout, so that log-probs repeat.

    Args:
        config: which model, and how it is adapted.
        seed: the run's seed, for the first weights of a LoRA adapter.
        notify: told what takes long, such as fetching a model.

    Raises:
        PolicyError: the model can't be loaded or used.
    """

    def __init__(self, config: PolicyConfig, *, seed: int, notify: Notify = lambda text: None) -> None:
        device = choose_device(config.device)
        self._compute_dtype = choose_dtype(config.precision, device)
        # Weights that are trained stay in fp32: a small update would vanish in bf16's eight bits.
        dtype = self._compute_dtype if config.adaptation == "lora" else torch.float32
        language_model = load_language_model(config.model, device=device, dtype=dtype, notify=notify)
        self.config = config
        self.device = device
        self.day = config.day
        """What the chat template is told, also at midnight."""
        self.tokenizer: PreTrainedTokenizerBase = language_model.tokenizer
        self.eos_token_ids = language_model.eos_token_ids
        self.reply_end_token_id = language_model.reply_end_token_id
        self.pad_token_id = language_model.pad_token_id
        self.context_window = language_model.context_window
        self._reference_copy: PreTrainedModel | None = None
        if config.adaptation == "lora":
            self.model = attach_adapter(
                language_model.model,
                name=config.model,
                rank=config.lora_rank,
                generator_seed=derive_seed(seed, "lora"),
            )
        else:
            self._reference_copy = copy.deepcopy(language_model.model).requires_grad_(False)
            self.model = language_model.model.requires_grad_(True)
        switch_off_dropout(self.model)
        self.model.eval()
        if config.gradient_checkpointing:
            enable_gradient_checkpointing(self.model, config.model)

    @property
    def is_exact(self) -> bool:
        """Whether log-probs of the same tokens repeat closely in another batch shape, as they do in fp32."""
        return self._compute_dtype is torch.float32

    @property
    def compute_dtype(self) -> torch.dtype:
        """What forward passes compute in; weights that learn are in fp32 all the same."""
        return self._compute_dtype

    def trainable_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The parameters that learn, by name, in a fixed order."""
        return ((name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad)

    @contextlib.contextmanager
    def learning(self) -> Generator[PreTrainedModel]:
        """The model for a forward and backward pass, with gradient checkpointing if it is on."""
        with recomputing(self.model), self.inference_context() as model:
            yield model

    @contextlib.contextmanager
    def inference_context(self, version: str = LIVING) -> Generator[PreTrainedModel]:
        """The model that computes, at the precision in force: the policy that learns, or its reference.

        Raises:
            PolicyError: there is no such ``version``.
        """
        if version not in (LIVING, REFERENCE):
            raise PolicyError(f"this policy has no version {version!r}: only {LIVING!r} and {REFERENCE!r} can speak")
        is_reference = version == REFERENCE
        with contextlib.ExitStack() as stack:
            if self._compute_dtype is not torch.float32:
                stack.enter_context(torch.autocast(self.device.type, dtype=self._compute_dtype))
            model = self.model
            if is_reference and self._reference_copy is not None:
                model = self._reference_copy
            elif is_reference:
                stack.enter_context(self.model.disable_adapter())  # type: ignore[operator]
            yield model  # type: ignore[misc]

    def save(self, folder: Path) -> None:
        """Write what has been learnt and the tokenizer: a PEFT adapter folder, or a full Hugging Face folder."""
        # Only an adapter's own matrices learn; peft would ask a hub whether the embeddings did.
        options = {"save_embedding_layers": False} if self.config.adaptation == "lora" else {}
        self._write(self.model, folder, **options)

    def load_weights(self, folder: Path) -> None:
        """Take over the weights that :meth:`save` wrote; the reference stays what it is.

        Raises:
            PolicyError: the folder doesn't hold weights of this policy.
        """
        if self.config.adaptation == "lora":
            self._load_adapter(folder)
        else:
            self._load_full_weights(folder)

    def save_merged(self, folder: Path) -> None:
        """Write a full Hugging Face folder, with the adapter merged in. The policy can't be used afterwards.

        Raises:
            PolicyError: the merged model is another one than the policy.
        """
        model = self.model
        if self.config.adaptation == "lora":
            model = merge_adapter(model, self.config.model)
        self._write(model, folder)

    def _write(self, model: torch.nn.Module, folder: Path, **options: bool) -> None:
        with quiet_transformers():
            model.save_pretrained(folder, **options)  # type: ignore[operator]
            self.tokenizer.save_pretrained(folder)

    def _load_adapter(self, folder: Path) -> None:
        from peft import set_peft_model_state_dict

        weights = _read_weights(folder / _WEIGHTS_FILES["lora"])
        result = set_peft_model_state_dict(self.model, weights)
        absent = [key for key in result.missing_keys if ".lora_" in key]
        if wrong := [*result.unexpected_keys, *absent]:
            raise PolicyError(f"{folder} holds an adapter of other layers than this policy's: {wrong[:3]} ...")

    def _load_full_weights(self, folder: Path) -> None:
        saved = type(self.model).from_pretrained(folder, use_safetensors=True, dtype=torch.float32)  # type: ignore[attr-defined]
        try:
            self.model.load_state_dict(saved.state_dict())
        except RuntimeError as error:
            raise PolicyError(f"{folder} holds weights of another model: {error}") from error


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, ValueError) as error:
        raise PolicyError(f"can't read the weights in {path}: {error}") from error
