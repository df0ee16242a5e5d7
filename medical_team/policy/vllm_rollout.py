"""The rollout engine over vLLM, whose weights follow the policy that learns.

On a CPU, and with full weights, it has one set of weights: who speaks next is pushed in, with the adapter merged. On a
GPU a LoRA adapter is served beside the weights of the reference: each version under a new name, so that no cache can
take one for another.

A request's seed decides its reply. Requests of one call are drawn in their order and nothing that was computed for
another call is used again, so a call with the same requests and weights repeats; on a CPU bit for bit.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..config import RolloutConfig
from ..errors import PolicyError, VllmError
from ..game.rollout import REFERENCE, Progress, PromptTooLong, Reply, RolloutRequest
from ..records import LIVING
from .devices import choose_dtype
from .encoding import EncodedRequest, encode_requests, groups_by_voice, reply_of
from .merged_weights import merged_weights
from .policy import Policy
from .vllm_engine import Adapter, DrawnTokens, TokenRequest, VllmEngine, can_serve_adapter

Notify = Callable[[str], None]

_KEPT_ADAPTERS = 2


class VllmRollout:
    """The :class:`..game.rollout.TrainingRollout` over vLLM.

    Args:
        policy: the model that speaks, and its reference.
        config: temperature, limits, batch size.
        serves_adapters: serve the LoRA adapter beside the weights; None: on a GPU.
        notify: told of a restart.

    Raises:
        VllmUnavailableError: vLLM is not installed, or doesn't start with this model.
    """

    def __init__(
        self,
        policy: Policy,
        config: RolloutConfig,
        *,
        serves_adapters: bool | None = None,
        notify: Notify = lambda text: None,
    ) -> None:
        self._policy = policy
        self._config = config
        self._notify = notify
        wants_adapters = policy.device.type == "cuda" if serves_adapters is None else serves_adapters
        has_adapter = policy.config.adaptation == "lora" and can_serve_adapter(policy.config.lora_rank)
        self._serves_adapters = wants_adapters and has_adapter
        self.dtype = rollout_dtype(policy, config)
        """What the engine computes in."""
        self._number = 0
        self._adapters: list[Adapter] = []
        self._has_restarted = False
        self._start()

    def follow(self) -> None:
        """Speak with the new weights of the living policy from now on."""
        self._living_adapter = None
        if self._speaking == LIVING:
            self._speaking = None

    def take_metrics(self) -> dict[str, float]:
        """Nothing: vLLM reads each token once."""
        return {}

    def rest(self) -> None:
        """Give the memory of a shared GPU back while others compute."""
        self._engine.sleep()

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
        for (version, is_greedy), group in groups_by_voice(fitting).items():
            # The longest come first: fewer are left over at the end.
            ordered = sorted(group, key=lambda encoded: (-encoded.request.max_tokens, encoded.index))

            def on_done(count: int, before: int = done) -> None:
                on_progress(before + count, len(requests))

            drawn = self._draw(ordered, version, is_greedy, on_done)
            for encoded, tokens in zip(ordered, drawn, strict=True):
                replies[encoded.index] = reply_of(
                    self._policy, encoded, tokens.token_ids, tokens.log_probs, is_finished=tokens.is_finished
                )
            done += len(group)
        return [replies[index] for index in range(len(requests))]

    def close(self) -> None:
        """End the engine. Nothing can be drawn afterwards."""
        self._engine.close()
        for adapter in self._adapters:
            shutil.rmtree(adapter.folder, ignore_errors=True)
        self._adapters = []

    def _start(self) -> None:
        self._speaking: str | None = None
        self._living_adapter: Adapter | None = None
        self._engine = VllmEngine(self._policy, self._config, self.dtype, serves_adapters=self._serves_adapters)

    def _draw(
        self, group: Sequence[EncodedRequest], version: str, is_greedy: bool, on_done: Callable[[int], None]
    ) -> list[DrawnTokens]:
        """The replies of a group; an engine that dies is started again, once in a run, and the group drawn anew."""
        try:
            return self._draw_once(group, version, is_greedy, on_done)
        except VllmError as error:
            if self._has_restarted:
                raise
            self._has_restarted = True
            self._notify(f"{error} It is started again; what it was drawing is drawn anew.")
            self._engine.close()
            self._start()
            return self._draw_once(group, version, is_greedy, on_done)

    def _draw_once(
        self, group: Sequence[EncodedRequest], version: str, is_greedy: bool, on_done: Callable[[int], None]
    ) -> list[DrawnTokens]:
        self._engine.wake()
        adapter = self._let_speak(version)
        requests = [
            TokenRequest(encoded.prompt_token_ids, encoded.request.max_tokens, encoded.request.seed, adapter)
            for encoded in group
        ]
        # A resumed run has no older calls to take beginnings from, and rounds otherwise where it reads them itself.
        self._engine.forget()
        return self._engine.draw(requests, is_greedy=is_greedy, on_done=on_done)

    def _let_speak(self, version: str) -> Adapter | None:
        """See to it that the engine has the weights of ``version``. Returns its adapter, where it has one."""
        if not self._serves_adapters:
            self._push(version)
            return None
        if version not in (LIVING, REFERENCE):
            raise PolicyError(f"this policy has no version {version!r}: only {LIVING!r} and {REFERENCE!r} can speak")
        self._push(REFERENCE)
        if version == REFERENCE:
            return None
        if self._living_adapter is None:
            self._living_adapter = self._saved_adapter()
        return self._living_adapter

    def _push(self, version: str) -> None:
        if self._speaking != version:
            self._engine.push(merged_weights(self._policy, version))
            self._speaking = version

    def _saved_adapter(self) -> Adapter:
        self._number += 1
        adapter = Adapter(self._number, Path(tempfile.mkdtemp(prefix=f"medical-team-adapter-{self._number}-")))
        self._policy.save(adapter.folder)
        self._adapters.append(adapter)
        while len(self._adapters) > _KEPT_ADAPTERS:
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
