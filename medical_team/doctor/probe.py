"""Run by the Python that will train, and prints one line of JSON: what the Python's torch is and whether it computes
(``torch``), whether a model's chat template shows a message as it is (``template FOLDER``), and whether the policy, the
opponent and the judge of a run can do what the run asks of them before its first game (``policy CONFIG`` and so on).

The first two are asked of an engine's Python too: they run as a file, and of this package they load single files
without needs. The others run as a module of this package, beside its libraries, and call what a run calls.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import RunConfig

WIDTH = 64


def main() -> None:
    """Answer what the first argument asks."""
    asked, *rest = sys.argv[1:]
    if asked in ("policy", "opponent", "judge"):
        found = answer(asked, *rest)
    else:
        # The folder of this file comes first, and its modules are not meant by `import secrets` or `import ray`.
        sys.path.pop(0)
        found = _torch() if asked == "torch" else _template(*rest)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _torch() -> dict[str, object]:
    devices: list[str] = []
    found: dict[str, object] = {
        "version": None, "cuda": None, "devices": devices, "has_bf16": False, "problem": "",
    }  # fmt: skip
    try:
        import torch

        found["version"] = str(torch.__version__)
        found["cuda"] = torch.version.cuda
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        for index in range(count):
            devices.append(torch.cuda.get_device_name(index))
            ones = torch.ones(WIDTH, WIDTH, device=f"cuda:{index}")
            if (ones @ ones).sum().item() != WIDTH**3:
                found["problem"] = f"GPU {index} computes wrong numbers"
        if count:
            found["has_bf16"] = bool(torch.cuda.is_bf16_supported(including_emulation=False))
        elif hasattr(torch.cpu, "get_capabilities"):
            capabilities = torch.cpu.get_capabilities()
            found["has_bf16"] = any(
                bool(capabilities.get(name)) for name in _own_module("this_machine").BF16_CPU_CAPABILITIES
            )
    except Exception as error:  # noqa: BLE001 - whatever breaks is what is to be told
        found["problem"] = (type(error).__name__ + ": " + str(error)).strip().splitlines()[0]
    return found


def _template(folder: str) -> dict[str, object]:
    # A tokenizer needs no torch, whose import takes long and may fail for reasons that are told elsewhere.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        tokenizers: Any = importlib.import_module("transformers").AutoTokenizer
    except Exception as error:  # noqa: BLE001 - a broken installation is told elsewhere
        return {"problem": "", "skipped": f"transformers can't be imported ({type(error).__name__})"}
    try:
        tokenizer = tokenizers.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - a tokenizer may be broken in any way
        return {"problem": f"can't be read, since its tokenizer can't: {_reason(error)}", "skipped": ""}
    if not tokenizer.chat_template:
        return {"problem": "is missing: take the model's instruct variant", "skipped": ""}

    def render(messages: object, is_thinking: bool) -> Any:
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=is_thinking
        )

    try:
        return {"problem": _own_module("chat_template").template_problem(render) or "", "skipped": ""}
    except Exception as error:  # noqa: BLE001 - a template may fail in any way
        return {"problem": f"can't be filled with a user's message: {_reason(error)}", "skipped": ""}


def _own_module(name: str) -> Any:
    # By its path: the folder above the package may hold the libraries of another Python.
    path = Path(__file__).resolve().parents[1] / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def answer(part: str, text: str) -> dict[str, object]:
    """What keeps a run of the configuration ``text`` from beginning, in its ``part``: policy, opponent or judge."""
    from ..config import RunConfig
    from ..errors import MedicalTeamError, ModelUnavailableError
    from ..jsonl import from_line

    look = {"policy": _policy, "opponent": _opponent, "judge": _judge}[part]
    try:
        return {"problem": "", "sampler": look(from_line(text, RunConfig))}
    except MedicalTeamError as error:
        reason: BaseException | None = error
        while reason is not None and not isinstance(reason, ModelUnavailableError):
            reason = reason.__cause__
        return {"problem": str(error), "absent": ""} if reason is None else {"problem": "", "absent": str(error)}


def _policy(config: RunConfig) -> float | None:
    from ..data.load import load_sets
    from ..errors import DataError, UsageError
    from ..policy.vllm_room import planned_engine
    from ..records import Role
    from ..rl.protocols import Listener
    from ..train.preflight import check_data_fits
    from ..train.session import begun, try_policies

    tried = try_policies(begun(config), Listener())
    policy = tried.policies.policy_of(Role.ASSESSOR)
    try:
        sets = load_sets(config)
    except (DataError, UsageError):
        # What is wrong with the data is told by the checks of the data.
        sets = None
    if sets is not None:
        check_data_fits(*sets, policy, tried.config, demonstrates=tried.config.training.demonstration_coefficient > 0)
    if planned_engine(tried.config.rollout, policy.device.type).is_vllm:
        from ..policy.vllm_rollout import rollout_dtype

        rollout_dtype(policy, tried.config.rollout)
    return None if tried.probed is None else tried.probed.sampler


def _opponent(config: RunConfig) -> None:
    from ..train.opponent import load_opponent
    from ..train.session import begun

    config = begun(config)
    if config.opponents.fixed is not None:
        load_opponent(config.opponents.fixed, config)


def _judge(config: RunConfig) -> None:
    from ..policy.answer_scoring import place_of_judge

    place_of_judge(config.judge)


if __name__ == "__main__":
    main()
