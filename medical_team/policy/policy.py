"""A policy: a language model that learns, the frozen reference it started from, and past selves.

Under LoRA all of them are one model: the reference has the adapter switched off, a past self is another adapter. An
adapter that the model came with is merged before ours is attached (``loading``); otherwise KL would be measured against
the base model and undo a warm start. With full weights the reference and each past self are frozen copies.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Generator, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors import SafetensorError

from ..callbacks import Notify
from ..config import PolicyConfig
from ..errors import PolicyError
from ..game.rollout import REFERENCE
from ..model_files import ADAPTER_WEIGHTS_FILE, WEIGHTS_FILE
from ..records import LIVING, Role
from ..seeds import derive_seed
from .adapter import add_adapter, attach_adapter, merge_adapter
from .chat import decode_reply
from .devices import choose_device, choose_dtype
from .loading import LanguageModel, load_language_model
from .preparation import (
    enable_gradient_checkpointing,
    keep_few_compiled_products,
    recomputing,
    spare_copies,
    switch_off_dropout,
)
from .transformers_inside import (
    active_adapter,
    from_pretrained,
    quiet_transformers,
    read_tensors,
    save_pretrained,
    take_adapter_weights,
)

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_WEIGHTS_FILES = {"lora": ADAPTER_WEIGHTS_FILE, "full": WEIGHTS_FILE}


SHARED = "default"
"""The name of the adapter of a policy that plays both roles: PEFT's own."""


class Policy:
    """One player's model, or both players', without dropout, so that log-probs repeat.

    Args:
        config: which model, and how it is adapted.
        seed: the run's seed, for the first weights of a LoRA adapter.
        notify: told what takes long, such as fetching a model.
        adapter: the name of its LoRA adapter; with the seed it decides the first weights.

    Raises:
        PolicyError: the model can't be loaded or used.
    """

    def __init__(
        self, config: PolicyConfig, *, seed: int, notify: Notify = lambda text: None, adapter: str = SHARED
    ) -> None:
        device = choose_device(config.device)
        keep_few_compiled_products()
        self.compute_dtype = choose_dtype(config.precision, device)
        """What forward passes compute in; weights that learn are in fp32 all the same."""
        # Weights that are trained stay in fp32: a small update would vanish in bf16's eight bits.
        dtype = self.compute_dtype if config.adaptation == "lora" else torch.float32
        language_model = load_language_model(config.model, device=device, dtype=dtype, notify=notify)
        self._speak_as(language_model, config, device, config.day)
        self._adapter = adapter
        if config.adaptation == "lora":
            self.model = attach_adapter(
                language_model.model,
                name=config.model,
                rank=config.lora_rank,
                generator_seed=_adapter_seed(seed, adapter),
                adapter=adapter,
            )
        else:
            self._reference_copy = copy.deepcopy(language_model.model).requires_grad_(False)
            self.model = language_model.model.requires_grad_(True)
        switch_off_dropout(self.model)
        if self.compute_dtype is not torch.float32:
            spare_copies(self.model)
        self.model.eval()
        if config.gradient_checkpointing:
            enable_gradient_checkpointing(self.model, config.model)

    def _speak_as(self, language_model: LanguageModel, config: PolicyConfig, device: torch.device, day: date) -> None:
        self.config = config
        self.device = device
        self.day = day
        """What the chat template is told, also at midnight."""
        self.tokenizer: PreTrainedTokenizerBase = language_model.tokenizer
        self.eos_token_ids = language_model.eos_token_ids
        self.reply_end_token_id = language_model.reply_end_token_id
        self.pad_token_id = language_model.pad_token_id
        self.context_window = language_model.context_window
        self._adapter = SHARED
        self._past: dict[str, PreTrainedModel | None] = {}
        """Past selves by their names; None under LoRA, where an adapter of that name is on the model."""
        self._reference_copy: PreTrainedModel | None = None

    def beside(self, adapter: str, *, seed: int) -> Policy:
        """Another policy that starts from the same model.

        Under LoRA it is an adapter of its own on the same frozen base, else weights of its own with the same reference.
        """
        other = copy.copy(self)
        other._adapter, other._past = adapter, {}
        if self.config.adaptation == "lora":
            add_adapter(self._peft_model, adapter, like=self._adapter, generator_seed=_adapter_seed(seed, adapter))
        else:
            other.model = copy.deepcopy(self.model)
        return other

    def policy_of(self, role: Role) -> Policy:
        """The policy that plays ``role``: this one plays both."""
        return self

    @property
    def is_exact(self) -> bool:
        """Whether log-probs of the same tokens repeat closely in another batch shape, as they do in fp32."""
        return self.compute_dtype is torch.float32

    def reply_text(self, token_ids: Sequence[int]) -> str:
        """What the tokens of a reply spell, without its end."""
        return decode_reply(self.tokenizer, token_ids, self.eos_token_ids)

    def trainable_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The parameters that learn, by name, in a fixed order."""
        if self.config.adaptation == "lora":
            # Which of a model's adapters want gradients changes with whoever speaks.
            own = f".{self._adapter}."
            return ((name, parameter) for name, parameter in self.model.named_parameters() if own in name)
        return ((name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad)

    @contextlib.contextmanager
    def learning(self) -> Generator[PreTrainedModel]:
        """The model for a forward and backward pass, with gradient checkpointing if it is on."""
        with recomputing(self.model), self.inference_context() as model:
            yield model

    @contextlib.contextmanager
    def inference_context(self, version: str = LIVING) -> Generator[PreTrainedModel]:
        """The model that computes, at the precision in force: the policy that learns, its reference, or a past self.

        Raises:
            PolicyError: there is no such ``version``.
        """
        if version not in (LIVING, REFERENCE, *self._past):
            known = ", ".join(map(repr, (LIVING, REFERENCE, *self._past)))
            raise PolicyError(f"this policy has no version {version!r}: only {known} can speak")
        with contextlib.ExitStack() as stack:
            if self.compute_dtype is not torch.float32:
                stack.enter_context(torch.autocast(self.device.type, dtype=self.compute_dtype))
            if version == REFERENCE and self._reference_copy is not None:
                yield self._reference_copy
            elif version == REFERENCE:
                stack.enter_context(self._peft_model.disable_adapter())
                yield cast("PreTrainedModel", self.model)
            else:
                yield self._past.get(version) or self._adapted(version)

    @property
    def past_versions(self) -> tuple[str, ...]:
        """The names of the past selves that can speak."""
        return tuple(self._past)

    def add_past_version(self, name: str, folder: Path) -> None:
        """Let the past self that :meth:`save` wrote to ``folder`` speak under ``name``.

        Raises:
            PolicyError: the folder doesn't hold weights of this policy.
        """
        if self.config.adaptation == "lora":
            add_adapter(self._peft_model, self._past_adapter(name), like=self._adapter, generator_seed=0)
            self._load_adapter(folder, self._past_adapter(name))
            self._past[name] = None
            return
        past = copy.deepcopy(cast("PreTrainedModel", self._reference_copy))
        self._load_full_weights(folder, past)
        self._past[name] = past

    def drop_past_version(self, name: str) -> None:
        """Forget the past self ``name``."""
        self._adapted(LIVING)
        if self._past.pop(name) is None:
            self._peft_model.delete_adapter(self._past_adapter(name))

    @property
    def _peft_model(self) -> PeftModel:
        return cast("PeftModel", self.model)

    def _past_adapter(self, name: str) -> str:
        return f"{self._adapter}-{name}"

    def _adapted(self, version: str) -> PreTrainedModel:
        """The model with the adapter of the policy that learns, or of a past self, under LoRA."""
        if self.config.adaptation == "lora":
            wanted = self._adapter if version == LIVING else self._past_adapter(version)
            if active_adapter(self._peft_model) != wanted:
                self._peft_model.set_adapter(wanted, inference_mode=version != LIVING)
        return cast("PreTrainedModel", self.model)

    def save(self, folder: Path) -> None:
        """Write what has been learnt and the tokenizer: a PEFT adapter folder, or a full Hugging Face folder."""
        # Only an adapter's own matrices learn; peft would ask a hub whether the embeddings did.
        if self.config.adaptation == "full":
            self._write(self.model, folder)
            return
        self._write(self.model, folder, save_embedding_layers=False, selected_adapters=[self._adapter])
        if self._adapter != SHARED:
            # PEFT puts an adapter with a name into a folder of that name.
            for file in (folder / self._adapter).iterdir():
                file.rename(folder / file.name)
            (folder / self._adapter).rmdir()

    def load_weights(self, folder: Path) -> None:
        """Take over the weights that :meth:`save` wrote; the reference stays what it is.

        Raises:
            PolicyError: the folder doesn't hold weights of this policy.
        """
        if self.config.adaptation == "lora":
            self._load_adapter(folder, self._adapter)
        else:
            self._load_full_weights(folder, self.model)

    def save_merged(self, folder: Path, *, is_last: bool = True) -> None:
        """Write a full Hugging Face folder, with the adapter merged in. The policy can't be used afterwards.

        Args:
            folder: where it goes.
            is_last: whether no other policy on the same base is needed any more; else a copy is merged.

        Raises:
            PolicyError: the merged model is another one than the policy.
        """
        model = self.model
        if self.config.adaptation == "lora":
            self._adapted(LIVING)
            model = merge_adapter(model if is_last else copy.deepcopy(model), self.config.model)
        self._write(model, folder)

    def _write(self, model: torch.nn.Module, folder: Path, **options: object) -> None:
        with quiet_transformers():
            save_pretrained(model, self.tokenizer, folder, **options)

    def _load_adapter(self, folder: Path, adapter: str) -> None:
        weights = _read_weights(folder / _WEIGHTS_FILES["lora"])
        missing, unexpected = take_adapter_weights(self.model, weights, adapter)
        absent = [key for key in missing if ".lora_" in key and f".{adapter}." in key]
        if wrong := [*unexpected, *absent]:
            raise PolicyError(f"{folder} holds an adapter of other layers than this policy's: {wrong[:3]} ...")

    def _load_full_weights(self, folder: Path, model: torch.nn.Module) -> None:
        try:
            with quiet_transformers():
                saved: torch.nn.Module = from_pretrained(
                    type(self.model), folder, use_safetensors=True, dtype=torch.float32
                )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise PolicyError(f"the weights in {folder} can't be read: {error}") from error
        weights, wanted = saved.state_dict(), model.state_dict()
        differing = {name for name in weights.keys() & wanted.keys() if weights[name].shape != wanted[name].shape}
        differing |= weights.keys() ^ wanted.keys()
        if differing:
            raise PolicyError(
                f"{folder} holds weights of another model than {self.config.model}: they differ in {len(differing)} "
                f"tensors, such as {min(differing)}. If {self.config.model} has changed since, go on with what it was "
                "then, for the model that ships the package's former version; else begin a new run."
            )
        model.load_state_dict(weights)


def _adapter_seed(seed: int, adapter: str) -> int:
    return derive_seed(seed, "lora") if adapter == SHARED else derive_seed(seed, "lora", adapter)


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return read_tensors(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise PolicyError(f"can't read the weights in {path}: {error}") from error
