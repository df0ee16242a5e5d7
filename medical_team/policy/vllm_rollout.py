"""The rollout engine over vLLM, whose weights follow the policy that learns: as a checkpoint has them, the adapter
merged in."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from ..callbacks import Notify, Progress
from ..config import RolloutConfig
from ..errors import VllmError
from ..game.rollout import REFERENCE, PromptTooLong, Reply, RolloutRequest
from ..records import LIVING, Role
from .chat import EncodedRequest, encode_requests, groups_by_voice
from .devices import choose_dtype
from .pair import Policies, set_past_versions
from .policy import Policy
from .transformers_inside import base_model_of
from .vllm_engine import Adapter, VllmEngine, can_serve_adapter, engine_shape
from .vllm_room import EngineRoom

_LORA = ".lora_"
_BASE = ".base_layer."


@torch.no_grad()
def merged_weights(policy: Policy, version: str = LIVING) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of ``version`` by name, in fp32 where an adapter is added.

    A head that is tied to the embeddings is named too: who takes over the one doesn't know of the other.

    Raises:
        PolicyError: there is no such version.
    """
    has_adapter = policy.config.adaptation == "lora" and version != REFERENCE
    with policy.inference_context(version) as model:
        base = base_model_of(model)
        weights: dict[str, torch.Tensor] = {}
        for name, weight in base.state_dict().items():
            if _LORA in name:
                continue
            # No weight that stands in several places has an adapter.
            is_adapted = has_adapter and name.endswith(f"{_BASE}weight")
            merged = _merged(base.get_submodule(name.rpartition(_BASE)[0]), weight) if is_adapted else weight
            weights[name.replace(_BASE, ".")] = merged
    yield from _as_saved(base, weights).items()


def _merged(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    merged = weight.float()
    for adapter in layer.active_adapters:
        merged = merged + layer.get_delta_weight(adapter).float()
    return merged


def _as_saved(model: Any, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``weights`` as in a checkpoint, where transformers fused several into one on loading, as a mixture's experts."""
    from transformers import core_model_loading

    revert = getattr(core_model_loading, "revert_weight_conversion", None)
    fusing = getattr(core_model_loading, "WeightConverter", ())
    conversions = getattr(model, "_weight_conversions", None) or ()
    if revert is None or not any(isinstance(each, fusing) for each in conversions):
        return weights
    return cast("dict[str, torch.Tensor]", revert(model, weights))


Voice = tuple[Policy, str]
"""A policy, and which version of it speaks."""

_KEPT_ADAPTERS = 2

_room = EngineRoom()
# Numbers of adapters, of which none may ever come twice in an engine.
_numbers = itertools.count(1)


class VllmRollout:
    """The :class:`..game.rollout.TrainingRollout` over vLLM. Those of one process take turns in one engine.

    Args:
        policies: who plays which role, with its reference and past selves.
        config: temperature, limits, batch size.
        serves_adapters: serve the LoRA adapter beside the weights; None: on a GPU.
        notify: told of a restart.

    Raises:
        VllmUnavailableError: vLLM is not installed, or doesn't start with this model.
    """

    def __init__(
        self,
        policies: Policies,
        config: RolloutConfig,
        *,
        serves_adapters: bool | None = None,
        notify: Notify = lambda text: None,
    ) -> None:
        self._policies = policies
        # All policies have the shape, the tokens and the device of this one.
        self._policy = policy = policies.policy_of(Role.ASSESSOR)
        self._config = config
        self._notify = notify
        wants_adapters = policy.device.type == "cuda" if serves_adapters is None else serves_adapters
        has_adapter = policy.config.adaptation == "lora" and can_serve_adapter(policy.config.lora_rank)
        self._serves_adapters = wants_adapters and has_adapter
        self.dtype = rollout_dtype(policy, config)
        """What the engine computes in."""
        self._shape = engine_shape(policy, config, self.dtype, serves_adapters=self._serves_adapters)
        self._adapters: list[Adapter] = []
        self._has_restarted = False
        self._enter()

    def follow(self) -> None:
        """Speak with the new weights of the living policy from now on."""
        self._living_adapters = {}
        if self._speaking is not None and self._speaking[1] == LIVING:
            self._speaking = None

    def set_past_versions(self, folders: Mapping[str, Path]) -> None:
        """Let exactly these past selves speak under their names from now on.

        Raises:
            PolicyError: a folder doesn't hold weights of the policies.
        """
        set_past_versions(self._policies, folders)

    def take_metrics(self) -> dict[str, float]:
        """Nothing: vLLM reads each token once."""
        return {}

    def rest(self) -> None:
        """Give the memory of a shared GPU back while others compute."""
        self._enter()
        self._engine.sleep()

    def can_host(self, policies: Policies) -> bool:
        """Whether ``policies`` can speak in the same engine without a restart."""
        policy = policies.policy_of(Role.ASSESSOR)
        wanted = engine_shape(policy, self._config, rollout_dtype(policy, self._config), serves_adapters=False)
        return self._shape.can_serve(wanted)

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Progress = lambda done, total: None
    ) -> list[Reply | PromptTooLong]:
        """One reply for each request, in order; none for none.

        Raises:
            PolicyError: a speaker is unknown.
            VllmError: the engine died, was started again, and died again.
        """
        fitting, refusals = encode_requests(self._policy, self._config, requests)
        replies: dict[int, Reply | PromptTooLong] = dict(refusals)
        done = len(refusals)
        for (policy, version, is_greedy), group in groups_by_voice(self._policies, fitting).items():
            # The longest come first: fewer are left over at the end.
            ordered = sorted(group, key=lambda encoded: (-encoded.request.max_tokens, encoded.index))

            def on_done(count: int, before: int = done) -> None:
                on_progress(before + count, len(requests))

            drawn = self._draw(ordered, (policy, version), is_greedy, on_done)
            replies |= {encoded.index: reply for encoded, reply in zip(ordered, drawn, strict=True)}
            done += len(group)
        return [replies[index] for index in range(len(requests))]

    def close(self) -> None:
        """End the engine, unless others speak with it now."""
        _room.leave(self)
        for adapter in self._adapters:
            shutil.rmtree(adapter.folder, ignore_errors=True)
        self._adapters = []

    def _enter(self) -> None:
        """Take the engine of this process over from whoever had it."""
        engine, is_taken_over = _room.enter(self, self._shape, self._started)
        self._engine: VllmEngine = engine
        if is_taken_over:
            self._engine.speak_for(self._policy)
            self._speaking: Voice | None = None
            self._living_adapters: dict[Policy, Adapter] = {}

    def _started(self) -> VllmEngine:
        return VllmEngine(self._policy, self._config, self.dtype, serves_adapters=self._serves_adapters)

    def _draw(
        self, group: Sequence[EncodedRequest], voice: Voice, is_greedy: bool, on_done: Callable[[int], None]
    ) -> list[Reply]:
        """The replies of a group; an engine that dies is started again, once in a run, and the group drawn anew."""
        try:
            return self._draw_once(group, voice, is_greedy, on_done)
        except VllmError as error:
            if self._has_restarted:
                raise
            self._has_restarted = True
            self._notify(f"{error} It is started again; what it was drawing is drawn anew.")
            _room.empty()
            return self._draw_once(group, voice, is_greedy, on_done)

    def _draw_once(
        self, group: Sequence[EncodedRequest], voice: Voice, is_greedy: bool, on_done: Callable[[int], None]
    ) -> list[Reply]:
        self._enter()
        self._engine.wake()
        adapter = self._let_speak(voice)
        # A resumed run has no older calls to take beginnings from, and rounds otherwise where it reads them itself.
        self._engine.forget()
        return self._engine.draw(group, adapter, is_greedy=is_greedy, on_done=on_done)

    def _let_speak(self, voice: Voice) -> Adapter | None:
        """See to it that the engine has the weights of ``voice``. Returns its adapter, where it has one."""
        policy, version = voice
        if not self._serves_adapters or version != LIVING:
            self._push(voice)
            return None
        # Beside the adapters stands what all of them were trained on.
        self._push((policy, REFERENCE))
        if policy not in self._living_adapters:
            self._living_adapters[policy] = self._saved_adapter(policy)
        return self._living_adapters[policy]

    def _push(self, voice: Voice) -> None:
        if voice[1] == REFERENCE and self._policy.config.adaptation == "lora":
            # The adapters of a pair stand on one base.
            voice = self._policy, REFERENCE
        if self._speaking != voice:
            self._engine.push(merged_weights(*voice))
            self._speaking = voice

    def _saved_adapter(self, policy: Policy) -> Adapter:
        number = next(_numbers)
        adapter = Adapter(number, Path(tempfile.mkdtemp(prefix=f"medical-team-adapter-{number}-")))
        policy.save(adapter.folder)
        self._adapters.append(adapter)
        while len(self._adapters) > _KEPT_ADAPTERS * len(Role):
            shutil.rmtree(self._adapters.pop(0).folder, ignore_errors=True)
        return adapter


def rollout_dtype(policy: Policy, config: RolloutConfig) -> torch.dtype:
    """What a vLLM engine computes in for ``policy``.

    Raises:
        PolicyError: bf16 is asked for and the device has no hardware for it.
    """
    if config.precision == "auto":
        return policy.compute_dtype
    return choose_dtype(config.precision, policy.device)
