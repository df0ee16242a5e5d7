"""Run by the Python that will train: loads the policy and tries what a run tries before its first game.

That is the probe of the model, and whether prompts and demonstrations fit. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys

from ..config import RunConfig
from ..data.load import load_sets
from ..errors import DataError, MedicalTeamError, UsageError
from ..jsonl import from_line


def main() -> None:
    """Try the run whose configuration is the only argument."""
    from ..policy.policy import Policy
    from ..policy.probe import probe_policy
    from ..train.preflight import check_data_fits

    config = from_line(sys.argv[1], RunConfig)
    found: dict[str, object] = {"problem": "", "passes": None, "sampler": None}
    try:
        policy = Policy(config.policy, seed=0)
        probed = probe_policy(policy)
        if probed is not None:
            found |= {"passes": probed.passes, "sampler": probed.sampler}
        try:
            sets = load_sets(config)
        except (DataError, UsageError):
            # What is wrong with the data is told by the checks of the data.
            sets = None
        if sets is not None:
            check_data_fits(*sets, policy, config, demonstrates=config.training.demonstration_coefficient > 0)
    except MedicalTeamError as error:
        found["problem"] = str(error)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
