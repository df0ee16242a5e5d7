"""The demo policy in a process of an environment that has torch: a line of JSON for each request and each reply."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from medical_team.game.rollout import Reply, RolloutRequest, Speaker
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.records import Role
from medical_team.runs.config_file import load_preset


def main() -> None:
    config = load_preset("demo")
    rollout = TransformersRollout(Policy(config.policy, seed=1), replace(config.rollout, batch_size=1))
    for number, line in enumerate(sys.stdin):
        asked = json.loads(line)
        # Who asks makes no difference to a policy that both players share.
        request = RolloutRequest(Speaker(Role.ATTACKER), asked["prompt"], "", asked["max_tokens"], seed=number)
        (reply,) = rollout.generate([request])
        sys.stdout.write(json.dumps(reply.text if isinstance(reply, Reply) else reply.explanation) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
