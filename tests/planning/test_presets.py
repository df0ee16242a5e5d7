"""The presets for GPUs fit by our own arithmetic, their batches divide, and what their comments say holds."""

from __future__ import annotations

import pytest

from builders import changed, memory_of, present
from medical_team.config import problems_of
from medical_team.engines.openrlhf.command import openrlhf_problems
from medical_team.planning.plan import GIB, MEMORY_THRESHOLD
from medical_team.planning.planner import plan_of
from medical_team.runs.config_file import load_preset

GPU_PRESETS = ["gpu-24gb", "gpu-80gb", "gpu-8x80gb"]


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_each_preset_fits_with_openrlhf(name: str) -> None:
    config = load_preset(name)
    plan = plan_of(config)

    assert config.engine.kind == "openrlhf"
    assert present(memory_of(config).peak_share) < MEMORY_THRESHOLD
    assert plan.problems == ()
    assert problems_of(config) == []
    assert openrlhf_problems(config) == []


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_each_preset_fits_with_the_local_engine_and_an_adapter(name: str) -> None:
    config = changed(load_preset(name), engine={"kind": "local"}, policy={"adaptation": "lora"})

    assert present(memory_of(config).peak_share) < MEMORY_THRESHOLD


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_all_weights_don_t_fit_the_local_engine(name: str) -> None:
    # fp32 weights, reference, gradients and moments on one GPU: the comments send users to the adapter.
    config = changed(load_preset(name), engine={"kind": "local"})

    assert memory_of(config).fits is False


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_each_preset_leaves_room_for_a_longest_note(name: str) -> None:
    rollout = load_preset(name).rollout

    # 518 tokens by SmolLM2's tokenizer, and as many again for a revision; the full prompts take about 300.
    assert rollout.max_prompt_tokens >= 2 * 518 + 300
    assert rollout.max_revision_tokens >= 2 * 500


def test_the_24_gb_preset_needs_the_offloaded_optimizer() -> None:
    config = load_preset("gpu-24gb")
    without = memory_of(changed(config, engine={"extra_arguments": ()}))

    assert without.fits is False
    assert memory_of(config).host_bytes < 32 * GIB


def test_a_judge_shares_a_gpu_of_80_gb_within_its_own_fraction() -> None:
    for name in ("gpu-80gb", "gpu-8x80gb"):
        config = load_preset(name)
        judge = next(part for part in memory_of(config).parts if part.name == "judge (vLLM)")

        assert config.engine.judge_memory_fraction > 0
        assert judge.bytes == pytest.approx(config.engine.judge_memory_fraction * 80 * GIB, abs=1)


def test_the_80_gb_preset_without_a_judge_keeps_its_optimizer_on_the_gpu() -> None:
    config = changed(
        load_preset("gpu-80gb"),
        engine={"judge_memory_fraction": 0.0, "extra_arguments": (), "micro_train_batch_size": 1},
        judge={"kind": "reference", "fallback": "model", "url": None},
    )

    memory = memory_of(config)

    assert memory.fits is True
    assert "optimizer (AdamW)" in [part.name for part in memory.parts]


def test_other_presets_can_be_planned() -> None:
    for name in ("smoke", "demo", "checklist"):
        assert memory_of(load_preset(name)).peak_bytes > 0
