"""Who plays which role: one policy plays both, or each role has its own, an adapter on the same base; or a frozen
policy only speaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..callbacks import Notify
from ..config import Device, PolicyConfig, Precision
from ..errors import PolicyError
from ..model_files import CONFIG_FILE, is_adapter_folder
from ..records import Role
from .devices import choose_device, choose_dtype
from .loading import load_language_model
from .policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


ATTACKER_FOLDER = "attacker"
"""Inside of the assessor's folder: the attacker's own model or adapter."""


class Policies(Protocol):
    """Who plays which role."""

    def policy_of(self, role: Role) -> Policy:
        """The policy that plays ``role``."""
        ...


class PolicyPair:
    """A policy for each role.

    Args:
        assessor: plays the assessor.
        attacker: gives what plays the attacker; asked once, when it is needed.
    """

    def __init__(self, assessor: Policy, attacker: Callable[[], Policy]) -> None:
        self._assessor = assessor
        self._load_attacker = attacker
        self._attacker: Policy | None = None

    def policy_of(self, role: Role) -> Policy:
        """The policy that plays ``role``."""
        if role is Role.ASSESSOR:
            return self._assessor
        if self._attacker is None:
            self._attacker = self._load_attacker()
        return self._attacker


def load_policies(config: PolicyConfig, *, seed: int, notify: Notify = lambda text: None) -> Policies:
    """The policies of ``config``, each with its reference.

    Raises:
        PolicyError: a model can't be loaded or used, or a pair can't go on as ``config`` says.
    """
    own_attacker = attacker_folder(config.model)
    if config.roles == "shared":
        if own_attacker is not None:
            notify(
                f"{config.model} has an attacker of its own; with policy.roles = shared its assessor plays both roles"
            )
        return Policy(config, seed=seed, notify=notify)
    if own_attacker is not None and config.adaptation == "lora":
        raise PolicyError(
            f"{config.model} has an attacker of its own, and two adapters need one base: set policy.adaptation to "
            f"full, or name a folder without {ATTACKER_FOLDER}/ in policy.model."
        )
    assessor = Policy(config, seed=seed, notify=notify, adapter=Role.ASSESSOR.value)
    if own_attacker is not None:
        attacker = Policy(replace(config, model=str(own_attacker)), seed=seed, notify=notify)
    else:
        attacker = assessor.beside(Role.ATTACKER.value, seed=seed)
    return PolicyPair(assessor, lambda: attacker)


def set_past_versions(policies: Policies, folders: Mapping[str, Path]) -> None:
    """Let exactly the past selves in ``folders`` speak: each role's policy takes its own.

    Raises:
        PolicyError: a folder doesn't hold weights of the policies.
    """
    assessor, attacker = policies.policy_of(Role.ASSESSOR), policies.policy_of(Role.ATTACKER)
    parts = {attacker: ATTACKER_FOLDER, assessor: ""} if attacker is not assessor else {assessor: ""}
    for policy, part in parts.items():
        for name in policy.past_versions:
            if name not in folders:
                policy.drop_past_version(name)
        for name, folder in folders.items():
            if name not in policy.past_versions:
                policy.add_past_version(name, folder / part)


def attacker_folder(model: str) -> Path | None:
    """Where the attacker of the pair in the folder ``model`` lies; None for a model that plays both roles."""
    folder = Path(model).expanduser() / ATTACKER_FOLDER
    is_model = folder.is_dir() and ((folder / CONFIG_FILE).is_file() or is_adapter_folder(folder))
    return folder if is_model else None


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
        self.compute_dtype = choose_dtype(precision, chosen)
        language_model = load_language_model(name, device=chosen, dtype=self.compute_dtype, notify=notify)
        config = PolicyConfig(model=name, adaptation="full", device=device, precision=precision)
        self._speak_as(language_model, config, chosen, day)
        self.model = self._reference_copy = language_model.model.requires_grad_(False)

    def forget_weights(self) -> None:
        """Let go of the weights, which another engine has taken over: it still reads and spells."""
        del self.model, self._reference_copy
