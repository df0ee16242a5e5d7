"""Run by the Python that will train, and prints one line of JSON: what the Python's torch is and whether it computes
(``torch``), and whether the policy, the opponent and the judge of a run can do what the run asks of them before its
first game (``policy CONFIG`` and so on).

The first is asked of an engine's Python too: it runs as a file, and needs nothing of this package. The others run as a
module of this package, beside its libraries, and call what a run calls.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import RunConfig

WIDTH = 64


def main() -> None:
    """Answer what the first argument asks."""
    asked, *rest = sys.argv[1:]
    if asked == "torch":
        # The folder of this file comes first, and its modules are not meant by `import secrets` or `import ray`.
        sys.path.pop(0)
    found = _torch() if asked == "torch" else answer(asked, *rest)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _torch() -> dict[str, object]:
    gpus: list[dict[str, object]] = []
    found: dict[str, object] = {"version": None, "cuda": None, "gpus": gpus, "problem": ""}
    try:
        import torch

        found["version"] = str(torch.__version__)
        found["cuda"] = torch.version.cuda
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            gpus.append({"name": name, "total_bytes": total, "used_bytes": total - free})
            ones = torch.ones(WIDTH, WIDTH, device=f"cuda:{index}")
            if (ones @ ones).sum().item() != WIDTH**3:
                found["problem"] = f"GPU {index} computes wrong numbers"
    except Exception as error:  # noqa: BLE001 - whatever breaks is what is to be told
        found["problem"] = (type(error).__name__ + ": " + str(error)).strip().splitlines()[0]
    return found


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
    from ..train.session import begun, load_opponent

    config = begun(config)
    if config.opponents.fixed is not None:
        load_opponent(config.opponents.fixed, config)


def _judge(config: RunConfig) -> None:
    from ..policy.answer_scoring import place_of_judge

    place_of_judge(config.judge)


if __name__ == "__main__":
    main()
