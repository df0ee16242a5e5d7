"""What to do about failures of an engine that are common enough to be known by their words."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LAST_BYTES = 256 * 1024

_KNOWN = (
    (
        r"left nothing to learn from",
        "one game after the other left nothing to learn from; the EngineError in the log says why the last one did: "
        "see to the judge if it failed, or warm-start a policy that can't play yet",
    ),
    (
        r"EngineDeadError|Engine core proc .* died|EngineCore (?:failed|encountered a fatal error)",
        "a vLLM rollout engine died, and every game after it was void: what it said before is further up in the log; "
        "if it was killed for memory, lower engine.vllm_memory_fraction or engine.micro_rollout_batch_size",
    ),
    (
        r"node running low on memory",
        "this machine's own memory ran out, and Ray ended a process: end what else runs here, or take a smaller model, "
        "fewer engine.vllm_engines, or a machine with more memory",
    ),
    (
        r"CUDA out of memory|(?<!ray\.exceptions\.)OutOfMemoryError|No available memory for the cache blocks",
        "a GPU ran out of memory: lower engine.micro_rollout_batch_size (2), then engine.vllm_memory_fraction (0.5), "
        "or take a smaller model; `medical-team train --plan` shows the memory by part",
    ),
    (
        r"pidfd_getfd: Operation not permitted",
        "the kernel keeps the models on one GPU from sharing weights: run `sysctl kernel.yama.ptrace_scope=0` as root "
        "on each machine",
    ),
    (
        r"No module named '?red_team|cannot import name '\w+' from 'red_team",
        "the fork's red_team is missing or not this package: in the fork's checkout run `rm -rf red_team`, then "
        "`cp -r` this package there as red_team, and name the checkout with --engine.fork",
    ),
    (
        r"gated repo|401 Client Error|Access to model .* is restricted",
        "a model is gated: accept its licence on the hub, and set HF_TOKEN where the engine runs (for a Ray cluster, "
        "before `ray start`)",
    ),
    (
        r"(?:Could not find|find) any running Ray instance|Failed to connect to Ray|ConnectionError: ray",
        "no Ray cluster answered: start one with `ray start --head` in the engine's environment, or set "
        "engine.submission to direct",
    ),
    (
        r"flash_attn|FlashAttention2 has been toggled on, but it cannot be used",
        "flash-attn doesn't work there: install it for that torch and CUDA, or set engine.attention to sdpa and "
        "engine.packing to false (only upstream OpenRLHF)",
    ),
    (
        r"Failed to request RM|remote_rm|judge .*doesn't answer",
        "the judge didn't answer: see whether its service runs (curl URL/health), and start it again",
    ),
    (
        r"No space left on device",
        "a disk is full: free space there, or lower checkpoints.keep_last and raise checkpoints.save_every",
    ),
)


def advice_for(log: Path) -> list[str]:
    """What the last words in an engine's ``log`` are known to mean; empty where nothing is recognised."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [advice for pattern, advice in _KNOWN if re.search(pattern, text)]
