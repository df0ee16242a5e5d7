"""OpenRLHF 0.11.2's own classes on a CPU: from its rollout actor to its policy loss.

Ray and vLLM are stand-ins. An actor runs on an event loop in a thread of its own, and what is sent to it is pickled, as
Ray does; vLLM is :class:`openrlhf_rollouts.ScriptedVllm`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib
import pickle
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import torch

from medical_team.engines.openrlhf.command import AGENT_FILE
from needs import OPENRLHF
from openrlhf_rollouts import MAX_LENGTH, TOKENIZER, SamplingParams, ScriptedVllm, TokensPrompt

STAND_INS = ("openrlhf", "ray", "vllm", "deepspeed")

UNUSED = (
    "ray.util", "ray.util.placement_group", "ray.util.scheduling_strategies", "deepspeed",
    "openrlhf.trainer.ray.launcher", "openrlhf.models.actor", "openrlhf.models.model",
)  # fmt: skip


Ref = concurrent.futures.Future[Any]


class Actor:
    """A handle of a Ray actor: its methods run on its own loop, in its own thread."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> SimpleNamespace:
        def remote(*arguments: Any, **named: Any) -> concurrent.futures.Future[Any]:
            arguments, named = pickle.loads(pickle.dumps((arguments, named)))

            async def call() -> Any:
                result = getattr(self._target, name)(*arguments, **named)
                return pickle.loads(pickle.dumps(await result if asyncio.iscoroutine(result) else result))

            return asyncio.run_coroutine_threadsafe(call(), self._loop)

        return SimpleNamespace(remote=remote)


def _get(refs: Any) -> Any:
    if isinstance(refs, list):
        return [_get(ref) for ref in cast("list[Any]", refs)]
    return cast("Any", refs).result(timeout=120) if isinstance(refs, concurrent.futures.Future) else refs


def _wait(refs: list[Ref], num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
    done, _ = concurrent.futures.wait(refs, timeout, concurrent.futures.FIRST_COMPLETED)
    ready = [ref for ref in refs if ref in done][:num_returns]
    return ready, [ref for ref in refs if ref not in ready]


def _as_it_is(value: Any) -> Any:
    return value


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content)
    module.__path__ = []
    return module


@contextlib.contextmanager
def upstream_classes() -> Generator[SimpleNamespace]:
    """OpenRLHF's modules, imported with the stand-ins; skips the test where OpenRLHF is not installed."""
    OPENRLHF.module("openrlhf")
    before = dict(sys.modules)
    for name in UNUSED:
        sys.modules[name] = MagicMock(__path__=[])
    sys.modules["ray"] = _module("ray", remote=_as_it_is, get=_get, wait=_wait, put=_as_it_is)
    sys.modules["vllm"] = _module("vllm", SamplingParams=SamplingParams, __version__="0.15.0")
    sys.modules["vllm.inputs"] = _module("vllm.inputs", TokensPrompt=TokensPrompt)
    sys.modules["vllm.utils"] = _module("vllm.utils", random_uuid=lambda: "1")
    try:
        yield SimpleNamespace(
            vllm_engine=importlib.import_module("openrlhf.trainer.ray.vllm_engine"),
            samples_generator=importlib.import_module("openrlhf.trainer.ppo_utils.samples_generator"),
            experience=importlib.import_module("openrlhf.trainer.ppo_utils.experience"),
            experience_maker=importlib.import_module("openrlhf.trainer.ppo_utils.experience_maker"),
            loss=importlib.import_module("openrlhf.models.loss"),
        )
    finally:
        # Parts of torch that were loaded meanwhile stay: they can't be loaded twice.
        for name in [name for name in sys.modules if name.partition(".")[0] in STAND_INS]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] in STAND_INS})


@contextlib.contextmanager
def rollout_actor(upstream: SimpleNamespace, llm: ScriptedVllm, make_loop: Callable[[], Any]) -> Generator[Actor]:
    """OpenRLHF's rollout actor around ``llm``, with our agent, which it loads by its path."""
    target = object.__new__(upstream.vllm_engine.RolloutRayActor)
    target.llm = llm
    target._mm_pad_token_ids = None
    target.executor = upstream.vllm_engine._load_agent_executor(str(AGENT_FILE))
    loop = make_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Actor(target, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def arguments(n: int, rows: int, kl_coefficient: float = 0.05, is_correction_level: str = "off") -> SimpleNamespace:
    """OpenRLHF's arguments, as far as these classes read them."""
    return SimpleNamespace(
        rollout=SimpleNamespace(batch_size=rows, n_samples_per_prompt=n, micro_batch_size=4),
        vllm=SimpleNamespace(enable_sleep=False),
        train=SimpleNamespace(dynamic_batch_enable=False, colocate_all=False, colocate_actor_ref=False),
        ds=SimpleNamespace(ring_attn_size=1, tensor_parallel_size=1),
        reward=SimpleNamespace(clip_range=None, overlong_buffer_len=None, stop_properly_penalty_coef=None),
        algo=SimpleNamespace(
            dynamic_filtering_enable=False,
            kl=SimpleNamespace(use_loss=False, estimator="k1", init_coef=kl_coefficient),
            advantage=SimpleNamespace(
                estimator="reinforce", gamma=1.0, no_std_norm=False, is_correction_level=is_correction_level
            ),
        ),
    )


def generate(
    upstream: SimpleNamespace,
    actors: Sequence[Actor],
    rows: Sequence[Any],
    options: SimpleNamespace,
    *,
    is_evaluation: bool = False,
) -> list[Any]:
    """What OpenRLHF's samples generator makes of ``rows``: one Experience for each sample."""
    batches = [([row.datasource], [row.input], [row.label], [None]) for row in rows]
    strategy = SimpleNamespace(args=options)
    generator = upstream.samples_generator.SamplesGenerator(strategy, batches, batches, TOKENIZER, list(actors))
    limits = {"max_len": MAX_LENGTH, "max_new_tokens": 1024, "temperature": 1.0, "top_p": 1.0}
    if is_evaluation:
        return generator.generate_eval_samples(n_samples_per_prompt=1, **limits)
    return generator.generate_samples(**limits)[0]


class ModelGroup:
    """A group of model workers: log-probs of all tokens but the first, as OpenRLHF's Actor gives them."""

    def __init__(self, model: torch.nn.Module, temperature: float = 1.0) -> None:
        self._model = model
        self._temperature = temperature

    def async_run_method_batch(self, method_name: str, **columns: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
        with torch.no_grad():
            return [
                [self.log_probs(*batch)]
                for batch in zip(columns["sequences"], columns["attention_mask"], columns["action_mask"], strict=True)
            ]

    def log_probs(
        self, sequences: torch.Tensor, attention_mask: torch.Tensor, action_mask: torch.Tensor
    ) -> torch.Tensor:
        logits = self._model(input_ids=sequences, attention_mask=attention_mask).logits[:, :-1].float()
        chosen = (logits / self._temperature).log_softmax(-1).gather(-1, sequences[:, 1:, None]).squeeze(-1)
        return chosen * action_mask.float()


def experiences_of(
    upstream: SimpleNamespace,
    samples: Sequence[Any],
    options: SimpleNamespace,
    actor: ModelGroup,
    reference: ModelGroup,
) -> list[Any]:
    """The samples with log-probs, KL, returns and advantages, by OpenRLHF's experience maker."""
    maker = upstream.experience_maker.RemoteExperienceMaker(
        actor, None, None, reference, SimpleNamespace(value=options.algo.kl.init_coef), SimpleNamespace(args=options),
        TOKENIZER,
    )  # fmt: skip
    return maker.make_experience_batch(list(samples))
