"""A real model, once: two steps of SmolLM2-135M-Instruct."""

from pathlib import Path

import pytest
from whole_run import WholeRun

from medical_team.config import SMOLLM2_MODEL
from medical_team.model_files import converted_folder
from medical_team.policy.hub import cached_folder
from needs import SMOLLM2


@pytest.fixture
def smollm2(policy: Path):
    """The folder of the model; ``policy`` skips where a whole training can't run."""
    folder = cached_folder(SMOLLM2_MODEL) or converted_folder()
    if not (folder / "model.safetensors").is_file():
        SMOLLM2.skip()
    return folder


def test_smollm2_learns_from_two_steps(smollm2: Path, tmp_path: Path) -> None:
    changes = {
        'train = "demo"\nheldout = "demo-heldout"': 'train = "sample"',
        'prompt_style = "terse"\nrevision = "sentences"\nmax_edits = 1\ntells_sentence_at_stake = true\n': "",
        "max_prompt_tokens = 256": "max_prompt_tokens = 768",
        "max_revision_tokens = 40": "max_revision_tokens = 160",
        "max_verdict_tokens = 4": "max_verdict_tokens = 8",
        "steps = 3\ngames_per_step = 8": "steps = 2\ngames_per_step = 4",
        "learning_rate = 2e-3": "learning_rate = 1e-4",
        "sleep = false": "sleep = false\nmicro_train_batch_size = 1\nmicro_rollout_batch_size = 1",
    }
    run = WholeRun(tmp_path / "run", smollm2, changes)

    assert run.train() == 0, run.words[-4000:]

    assert run.is_finite
    assert run.largest_change > 0
    assert max(map(abs, run.curve("vllm_kl"))) < 0.02
    assert [line.step for line in run.folder.metrics()] == [0, 1]
