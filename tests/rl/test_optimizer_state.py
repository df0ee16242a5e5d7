"""A checkpoint whose files were cut off says so instead of ending in the library's own error."""

from __future__ import annotations

import os

import pytest

from learning import LORA, a_config, drawn_samples, experience
from medical_team.errors import PolicyError, TrainingError
from medical_team.policy.policy import Policy
from medical_team.rl.learner import ReinforceLearner
from medical_team.rl.optimizer_state import OPTIMIZER_FILE
from medical_team.runs.checkpoints import POLICY_FOLDER


@pytest.fixture
def learner():
    policy = Policy(LORA, seed=1)
    learner = ReinforceLearner(policy, a_config())
    learner.learn(experience(drawn_samples(policy, 4)), 0)
    return learner


@pytest.mark.parametrize("bytes_left", [0, 4, 100])
@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        (OPTIMIZER_FILE, TrainingError, "can't read the optimizer's state in .*optimizer"),
        (f"{POLICY_FOLDER}/adapter_model.safetensors", PolicyError, "can't read the weights in .*adapter_model"),
    ],
)
def test_a_file_that_was_cut_off_is_named(learner, tmp_path, bytes_left, file, error, message):
    learner.save(tmp_path)
    os.truncate(tmp_path / file, bytes_left)

    with pytest.raises(error, match=message):
        learner.restore(tmp_path)
