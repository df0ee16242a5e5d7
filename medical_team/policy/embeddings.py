"""Texts as vectors, to see how alike they are: the mean of the last hidden states, as sentence-transformers do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from ..callbacks import Notify
from ..config import Device
from ..errors import PolicyError
from .devices import choose_device
from .hub import model_folder
from .transformers_inside import from_pretrained, quiet_transformers

_TEXTS_AT_ONCE = 16
_MAX_TOKENS = 512


class TextEmbedder:
    """The model ``name``, for example ``sentence-transformers/all-MiniLM-L6-v2``.

    Args:
        name: a folder, or a model on the Hugging Face hub.
        device: where it computes.
        notify: told what takes long, such as fetching the model.

    Raises:
        PolicyError: it can't be loaded.
    """

    def __init__(self, name: str, *, device: Device = "auto", notify: Notify = lambda text: None) -> None:
        self._device = choose_device(device)
        folder = model_folder(name, notify)
        try:
            with quiet_transformers():
                self._tokenizer: Any = from_pretrained(AutoTokenizer, folder, trust_remote_code=False)
                model: Any = from_pretrained(AutoModel, folder, use_safetensors=True, trust_remote_code=False)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            raise PolicyError(f"{name} can't be loaded as a model of embeddings: {error}") from error
        self._model: Any = model.to(device=self._device, dtype=torch.float32).eval().requires_grad_(False)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token

    @torch.inference_mode()
    def mean_similarity(self, texts: Sequence[str]) -> float | None:
        """The mean cosine similarity of two different ones of ``texts``; None for fewer than two."""
        if len(texts) < 2:
            return None
        vectors_TD = torch.cat([self._embed(part) for part in _parts(texts)]).double()
        # The sum over all pairs is the square of the sum, less each vector's product with itself, which is one.
        total = float(vectors_TD.sum(0).square().sum())
        return (total - len(texts)) / (len(texts) * (len(texts) - 1))

    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        encoded = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=_MAX_TOKENS,
            padding_side="right",
            return_tensors="pt",
        ).to(self._device)
        output = self._model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])
        hidden_TLD = cast("torch.Tensor", output.last_hidden_state)
        mask_TL1 = cast("torch.Tensor", encoded["attention_mask"])[:, :, None]
        mean_TD = (hidden_TLD * mask_TL1).sum(1) / mask_TL1.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(mean_TD, dim=-1)


def _parts(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE)]
