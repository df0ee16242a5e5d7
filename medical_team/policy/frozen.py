"""A policy that only speaks: no adapter, no reference of its own, nothing that learns. What evaluation needs."""

from __future__ import annotations

from datetime import date

from ..callbacks import Notify
from ..config import Device, PolicyConfig, Precision
from .devices import choose_device, choose_dtype
from .loading import load_language_model
from .pair import Policies, PolicyPair, attacker_folder
from .policy import SHARED, Policy


def frozen_policies(
    name: str,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    day: date,
    notify: Notify = lambda text: None,
) -> Policies:
    """What plays in the folder ``name``: one model, or the pair of a run whose roles have their own policies.

    Raises:
        PolicyError: a model can't be loaded or used.
    """

    def frozen(model: str) -> FrozenPolicy:
        return FrozenPolicy(model, device=device, precision=precision, day=day, notify=notify)

    attacker = attacker_folder(name)
    return frozen(name) if attacker is None else PolicyPair(frozen(name), lambda: frozen(str(attacker)))


class FrozenPolicy(Policy):
    """The model ``name`` as it is; asked for its reference, it answers itself.

    Args:
        name: what :func:`.loading.load_language_model` takes; an adapter folder is merged into its base.
        device: where it computes.
        precision: what its weights are in.
        day: what its chat template is told.
        notify: told what takes long, such as fetching a model.

    Raises:
        PolicyError: the model can't be loaded or used.
    """

    def __init__(
        self,
        name: str,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        day: date,
        notify: Notify = lambda text: None,
    ) -> None:
        chosen = choose_device(device)
        self._compute_dtype = choose_dtype(precision, chosen)
        language_model = load_language_model(name, device=chosen, dtype=self._compute_dtype, notify=notify)
        self.config = PolicyConfig(model=name, adaptation="full", device=device, precision=precision)
        self.device = chosen
        self.day = day
        self.tokenizer = language_model.tokenizer
        self.eos_token_ids = language_model.eos_token_ids
        self.pad_token_id = language_model.pad_token_id
        self.context_window = language_model.context_window
        self.model = language_model.model.requires_grad_(False)
        self._adapter, self._past = SHARED, {}
        self._reference_copy = language_model.model

    def forget_weights(self) -> None:
        """Let go of the weights, which another engine has taken over: it still reads and spells."""
        del self.model, self._reference_copy
