"""The policy of the whole trainings."""

import pytest
import whole_run
from widened_policy import save_widened_policy

from needs import OPENRLHF_WHOLE


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory):
    """The demo policy in a form that vLLM takes on a CPU; skips where a whole training can't run."""
    if not whole_run.is_installed():
        OPENRLHF_WHOLE.skip()
    return save_widened_policy(tmp_path_factory.mktemp("policy") / "demo")
