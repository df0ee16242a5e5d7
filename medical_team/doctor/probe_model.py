"""Run by the Python that will train: loads the policy and probes it as a run does. Prints one line of JSON."""

from __future__ import annotations

import json
import sys

from ..config import PolicyConfig
from ..errors import MedicalTeamError
from ..jsonl import from_line


def main() -> None:
    """Probe the policy whose configuration is the only argument."""
    from ..policy.policy import Policy
    from ..policy.probe import probe_policy

    found: dict[str, object] = {"problem": "", "passes": None, "sampler": None}
    try:
        probed = probe_policy(Policy(from_line(sys.argv[1], PolicyConfig), seed=0))
        if probed is not None:
            found |= {"passes": probed.passes, "sampler": probed.sampler}
    except MedicalTeamError as error:
        found["problem"] = str(error)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
