"""One vLLM engine in this process: starting it, giving it weights, drawing tokens.

It starts from the policy's own configuration with random weights, and gets the policy's: so whatever the policy was
loaded from, an adapter's folder or a GGUF file, the engine speaks with the same numbers. Everything that knows vLLM's
own interface is here.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from ..config import RolloutConfig
from ..errors import MedicalTeamError, VllmError, VllmUnavailableError
from ..game.rollout import Reply, RolloutRequest, Speaker
from ..records import Role
from .chat import EncodedRequest
from .policy import Policy
from .transformers_inside import base_model_of, beginning, quiet_transformers
from .vllm_room import EngineShape, check_installed

_ENVIRONMENT = {
    # In this process, whose policy gives it weights without copying them to another one.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    # The learner's threads are its own as well: it binds none of them to a core.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_HOST_IP": "127.0.0.1",
}
_CPU_CACHE_BYTES = 2 * 2**30
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_LIVE_ADAPTERS = 2
_PROBE_TOKENS = 4
_MOST_CHOICES = 20


@dataclass(frozen=True)
class Adapter:
    """A version of the policy's LoRA adapter as a PEFT folder. No number and no name is ever used twice."""

    number: int
    folder: Path


class VllmEngine:
    """vLLM with the shape of ``policy``'s model, started and tried. It has no weights of worth until they are pushed.

    Args:
        policy: whose model it is, and where it computes.
        config: limits and temperature.
        dtype: what it computes in.
        serves_adapters: serve LoRA adapters beside the weights.

    Raises:
        VllmUnavailableError: vLLM is not installed, or doesn't start with this model.
    """

    def __init__(self, policy: Policy, config: RolloutConfig, dtype: torch.dtype, *, serves_adapters: bool) -> None:
        check_installed()
        self._config = config
        self.speak_for(policy)
        self._can_sleep = policy.device.type == "cuda"
        self._is_asleep = False
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        set_threads = torch.set_num_threads
        try:
            self._vllm: Any = importlib.import_module("vllm")
            with _model_folder(policy) as folder:
                self._llm: Any = self._vllm.LLM(
                    model=str(folder), **_options(policy, config, dtype, serves_adapters=serves_adapters)
                )
            self.draw([self._probe()], is_greedy=True)
        except Exception as error:
            # What vLLM raises is no tree of its own.
            cause = error.__cause__ if isinstance(error, VllmError) else None
            raise VllmUnavailableError(_explanation(policy, cause or error)) from error
        finally:
            # On a CPU vLLM puts a function in its place that does nothing.
            torch.set_num_threads = set_threads

    def speak_for(self, policy: Policy) -> None:
        """End replies, and spell them, as ``policy`` does, whose model has the shape of the first one."""
        self._ends = sorted(policy.eos_token_ids)
        self._text_of = policy.reply_text

    def push(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Take over ``weights``, named as in a checkpoint, and forget what was computed with the old ones.

        Raises:
            VllmError: the engine failed.
        """
        with _told():
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": list(weights)})
        self.forget()

    def forget(self) -> None:
        """Empty the cache of prompts' beginnings.

        Raises:
            VllmError: the engine failed.
        """
        with _told():
            self._llm.reset_prefix_cache()

    def draw(
        self,
        requests: Sequence[EncodedRequest],
        adapter: Adapter | None = None,
        *,
        is_greedy: bool,
        on_done: Callable[[int], None] = lambda count: None,
    ) -> list[Reply]:
        """A reply for each request, in order, with the weights that were pushed and ``adapter``.

        Raises:
            VllmError: the engine failed.
        """

        def progress(**_: object) -> _Progress:
            return _Progress(on_done)

        self.wake()
        with _told():
            self._llm.enqueue(
                [{"prompt_token_ids": list(encoded.prompt_token_ids)} for encoded in requests],
                [self._sampling(encoded.request, is_greedy) for encoded in requests],
                lora_request=[self._lora_request(adapter)] * len(requests),
                use_tqdm=False,
            )
            outputs = self._llm.wait_for_completion(use_tqdm=progress)
            return [self._reply(*drawn) for drawn in zip(requests, outputs, strict=True)]

    def choose(self, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[int]]) -> list[dict[int, float]]:
        """For each prompt the log-prob of each of its ``choices`` as the next token, if it had to be one of them.

        Raises:
            VllmError: the engine failed.
        """
        self.wake()
        with _told():
            outputs = self._llm.generate(
                [{"prompt_token_ids": list(prompt)} for prompt in prompts],
                [
                    self._vllm.SamplingParams(
                        temperature=1.0,
                        max_tokens=1,
                        allowed_token_ids=list(allowed),
                        logprobs=len(allowed),
                        detokenize=False,
                    )
                    for allowed in choices
                ],
                use_tqdm=False,
            )
            return [
                {
                    token: float(found.logprob)
                    for token, found in output.outputs[0].logprobs[0].items()
                    if token in allowed
                }
                for output, allowed in zip(outputs, choices, strict=True)
            ]

    def sleep(self) -> None:
        """Give the GPU's memory back until :meth:`draw` or :meth:`wake`; on a CPU nothing."""
        if self._can_sleep and not self._is_asleep:
            with _told():
                self._llm.sleep(level=1)
            self._is_asleep = True

    def wake(self) -> None:
        """Take the GPU's memory again."""
        if self._is_asleep:
            with _told():
                self._llm.wake_up()
            self._is_asleep = False

    def close(self) -> None:
        """End the engine, so that another one can start."""
        # What is left of an engine that died may fail once more.
        with contextlib.suppress(Exception):
            self._llm.llm_engine.engine_core.shutdown()
        self._llm = None
        with contextlib.suppress(Exception):
            importlib.import_module("vllm.distributed").cleanup_dist_env_and_memory()

    def _sampling(self, request: RolloutRequest, is_greedy: bool) -> object:
        # No top_p and no top_k: what they leave out would bias the ratios that are learnt from.
        return self._vllm.SamplingParams(
            temperature=0.0 if is_greedy else self._config.temperature,
            seed=None if is_greedy else request.seed % 2**63,
            max_tokens=request.max_tokens,
            stop_token_ids=self._ends,
            logprobs=0,
            detokenize=False,
        )

    def _probe(self) -> EncodedRequest:
        request = RolloutRequest(Speaker(Role.ASSESSOR), "", "", max_tokens=1, seed=0, is_greedy=True)
        return EncodedRequest(0, request, (self._ends[0],) * _PROBE_TOKENS)

    def _reply(self, encoded: EncodedRequest, answer: Any) -> Reply:
        output = answer.outputs[0]
        token_ids = tuple(output.token_ids)
        return Reply(
            text=self._text_of(token_ids),
            prompt_token_ids=encoded.prompt_token_ids,
            token_ids=token_ids,
            log_probs=tuple(float(each[token].logprob) for token, each in zip(token_ids, output.logprobs, strict=True)),
            is_finished=output.finish_reason == "stop",
        )

    def _lora_request(self, adapter: Adapter | None) -> object:
        if adapter is None:
            return None
        request_type = importlib.import_module("vllm.lora.request").LoRARequest
        return request_type(f"version-{adapter.number}", adapter.number, str(adapter.folder))


class _Progress:
    """What vLLM takes for a progress bar."""

    def __init__(self, on_done: Callable[[int], None]) -> None:
        self.n = 0
        self.postfix = ""
        self.format_dict = {"elapsed": 1.0}
        self._on_done = on_done

    def update(self, count: int) -> None:
        self.n += count
        self._on_done(self.n)

    def refresh(self) -> None: ...

    def close(self) -> None: ...


@contextlib.contextmanager
def _model_folder(policy: Policy) -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="medical-team-vllm-"))
    try:
        with quiet_transformers():
            cast("Any", base_model_of(policy.model).config).save_pretrained(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(policy: Policy, config: RolloutConfig, dtype: torch.dtype, *, serves_adapters: bool) -> dict[str, Any]:
    longest = longest_text(policy, config)
    options: dict[str, Any] = {
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "dtype": str(dtype).removeprefix("torch."),
        "seed": 0,
        "distributed_executor_backend": "uni",
        "max_model_len": longest,
        "max_num_seqs": config.batch_size,
        # A prompt that is read in parts would rewind its random numbers, which a CPU's generator can't.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(longest, 4096),
        "async_scheduling": False,
        "logprobs_mode": "processed_logprobs",
        "max_logprobs": _MOST_CHOICES,
        "disable_log_stats": True,
        "trust_remote_code": False,
    }
    if policy.device.type == "cuda":
        options |= {"gpu_memory_utilization": config.gpu_memory_share, "enable_sleep_mode": True}
    else:
        options |= {"enforce_eager": True, "kv_cache_memory_bytes": _CPU_CACHE_BYTES}
    if serves_adapters:
        rank = next(each for each in _LORA_RANKS if each >= policy.config.lora_rank)
        options |= {"enable_lora": True, "max_lora_rank": rank, "max_loras": _LIVE_ADAPTERS}
    return options


def engine_shape(policy: Policy, config: RolloutConfig, dtype: torch.dtype, *, serves_adapters: bool) -> EngineShape:
    """What an engine for ``policy`` is started with. Policies of equal shapes can take turns in one."""
    model: dict[str, Any] = base_model_of(policy.model).config.to_dict()
    for of_files in ("_name_or_path", "name_or_path", "dtype", "torch_dtype", "transformers_version"):
        model.pop(of_files, None)
    settings = _options(policy, config, dtype, serves_adapters=False)
    settings |= {"model": model, "device": policy.device.type, "temperature": config.temperature}
    return EngineShape(json.dumps(settings, sort_keys=True, default=str), serves_adapters)


def longest_text(policy: Policy, config: RolloutConfig) -> int:
    """Most tokens of a prompt and its reply."""
    longest = config.max_prompt_tokens + max(config.max_revision_tokens, config.max_verdict_tokens)
    return longest if policy.context_window is None else min(longest, policy.context_window)


def can_serve_adapter(rank: int) -> bool:
    """Whether vLLM takes LoRA adapters of this rank."""
    return rank <= _LORA_RANKS[-1]


@contextlib.contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except MedicalTeamError:
        raise
    except Exception as error:
        raise VllmError(f"vLLM failed: {_sentence(error)}") from error


def _explanation(policy: Policy, error: BaseException) -> str:
    return (
        f"vLLM doesn't start with {policy.config.model}: {_sentence(error)} If memory is short, give it more free "
        "memory (on a GPU another rollout.gpu_memory_share), or a smaller rollout.batch_size or max_prompt_tokens. If "
        "a library doesn't fit, make vllm sets up an environment where it does. Or set rollout.engine to "
        '"transformers": the built-in engine takes every model.'
    )


def _sentence(error: BaseException) -> str:
    return f"{beginning(error, lines=2).removesuffix('.')}."
