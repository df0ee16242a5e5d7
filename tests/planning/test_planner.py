"""Plans of whole configurations: that parts add up, react to options as they should, and say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_record, changed, memory_of, present
from medical_team.config import DataConfig, RunConfig
from medical_team.jsonl import write_jsonl
from medical_team.planning.plan import GIB, MemoryPlan, Phase, Plan, Unknown
from medical_team.planning.planner import plan_of
from medical_team.records import DataType
from medical_team.runs.config_file import load_preset


def part_bytes(plan: Plan, name: str) -> int:
    assert isinstance(plan.memory, MemoryPlan)
    return next((part.bytes for part in plan.memory.parts if part.name == name), 0)


@pytest.fixture
def on_openrlhf() -> RunConfig:
    return changed(load_preset("gpu-80gb"), engine={"extra_arguments": ()})


@pytest.fixture
def four_records(tmp_path: Path) -> Path:
    """A data file with one record of each category."""
    path = tmp_path / "train.jsonl"
    write_jsonl(path, [a_record(data_type, case_id=f"case-{place}") for place, data_type in enumerate(DataType)])
    return path


def test_model_states_are_the_zero_paper_s_sixteen_bytes_a_parameter(on_openrlhf: RunConfig) -> None:
    plan = plan_of(on_openrlhf)

    states = sum(part_bytes(plan, name) for name in ("policy weights", "gradients", "optimizer (AdamW)"))

    assert states == 16 * present(plan.parameters)


@pytest.mark.parametrize(
    ("stage", "bytes_a_parameter"),
    # arXiv 1910.02054, section 5, with K = 12 on 8 GPUs.
    [(0, 16), (1, 4 + 12 / 8), (2, 2 + 14 / 8), (3, 16 / 8)],
)
def test_zero_stages_cut_the_states_over_eight_gpus(stage: int, bytes_a_parameter: float) -> None:
    plan = plan_of(changed(load_preset("gpu-8x80gb"), engine={"zero_stage": stage}))

    states = sum(part_bytes(plan, name) for name in ("policy weights", "gradients", "optimizer (AdamW)"))

    assert states == pytest.approx(bytes_a_parameter * present(plan.parameters), rel=1e-6)


def test_with_sleep_the_peak_is_the_maximum_over_phases_and_without_it_the_sum(on_openrlhf: RunConfig) -> None:
    asleep = memory_of(on_openrlhf)
    awake = memory_of(changed(on_openrlhf, engine={"sleep": False}))

    assert asleep.peak_bytes == max(asleep.bytes_in(phase) for phase in asleep.phases)
    assert asleep.peak_bytes < asleep.sum_bytes
    assert awake.peak_bytes > asleep.peak_bytes + 20 * GIB
    assert "optimizer (AdamW)" in [part.name for part in awake.parts if Phase.ROLLOUT in part.phases]


def test_the_rollout_engine_takes_its_fraction_in_the_rollout_alone(on_openrlhf: RunConfig) -> None:
    memory = memory_of(on_openrlhf)
    rollout = [part for part in memory.parts if part.name in ("sampler: weights", "sampler: KV cache")]

    assert sum(part.bytes for part in rollout) == pytest.approx(0.4 * 80 * GIB, abs=1)
    assert all(Phase.TRAINING not in part.phases for part in rollout)


def test_no_reference_model_without_a_kl_penalty(on_openrlhf: RunConfig) -> None:
    assert part_bytes(plan_of(changed(on_openrlhf, training={"kl_coefficient": 0.0})), "reference model") == 0


def test_a_judge_s_server_with_too_small_a_fraction_is_named(on_openrlhf: RunConfig) -> None:
    plan = plan_of(changed(on_openrlhf, engine={"judge_memory_fraction": 0.05}))

    assert any("engine.judge_memory_fraction" in problem and "at least" in problem for problem in plan.problems)


def test_a_rollout_engine_with_too_small_a_fraction_is_named(on_openrlhf: RunConfig) -> None:
    plan = plan_of(changed(on_openrlhf, engine={"vllm_memory_fraction": 0.05}))

    assert any("engine.vllm_memory_fraction" in problem for problem in plan.problems)


@given(
    fraction=st.floats(0.1, 0.9),
    micro=st.integers(1, 16),
    prompt=st.integers(64, 4096),
    is_checkpointed=st.booleans(),
)
def test_more_of_anything_never_takes_less(fraction: float, micro: int, prompt: int, is_checkpointed: bool) -> None:
    config = changed(
        load_preset("gpu-80gb"),
        engine={"vllm_memory_fraction": fraction, "micro_train_batch_size": micro},
        rollout={"max_prompt_tokens": prompt},
        policy={"gradient_checkpointing": is_checkpointed},
        data={"train": "nowhere.jsonl"},
    )
    more = changed(
        config,
        engine={"micro_train_batch_size": micro + 1},
        rollout={"max_prompt_tokens": prompt + 100},
        policy={"gradient_checkpointing": False},
    )

    assert memory_of(more).peak_bytes >= memory_of(config).peak_bytes


def test_samples_are_counted_by_role_from_the_data_s_own_categories(four_records: Path) -> None:
    config = changed(RunConfig(data=DataConfig(train=str(four_records))), training={"steps": 3, "games_per_step": 8})

    work = plan_of(config).workload

    assert (work.games, work.records, work.epochs) == (24, 4, 6.0)
    assert {role.role: role.samples for role in work.roles} == {"attacker": 12, "assessor": 24}


def test_openrlhf_plays_two_verdicts_for_a_vanilla_prompt(four_records: Path) -> None:
    config = changed(
        RunConfig(data=DataConfig(train=str(four_records))),
        training={"steps": 3, "games_per_step": 8},
        engine={"kind": "openrlhf"},
    )

    roles = {role.role: role.samples for role in plan_of(config).workload.roles}

    assert roles == {"attacker": 12, "assessor": 12 + 2 * 12}


def test_ablations_change_who_plays(four_records: Path) -> None:
    config = RunConfig(data=DataConfig(train=str(four_records)))

    alone = plan_of(changed(config, game={"no_attacker_turn": True})).workload
    attackers = plan_of(changed(config, game={"no_defender_turn": True})).workload

    assert {role.role: role.samples for role in alone.roles} == {"attacker": 0, "assessor": 1600}
    assert {role.role: role.samples for role in attackers.roles} == {"attacker": 1600, "assessor": 0}


def test_data_that_are_not_there_yet_are_assumed_and_that_is_said() -> None:
    work = plan_of(RunConfig(data=DataConfig(train="not-there.jsonl"))).workload

    assert work.records is None
    assert any("not-there.jsonl" in note for note in work.notes)


def test_an_unknown_model_leaves_the_rest_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    plan = plan_of(changed(RunConfig(), policy={"model": "owner/unheard-of"}))

    assert isinstance(plan.memory, Unknown)
    assert isinstance(plan.disk, Unknown)
    assert plan.workload.games == 1600


def test_no_time_is_made_up() -> None:
    plan = plan_of(RunConfig())
    assert (plan.rollout_seconds, plan.training_seconds) == (None, None)


def test_a_gpu_for_the_local_engine_is_planned_where_it_is_named() -> None:
    on_cpu = memory_of(changed(RunConfig(), policy={"device": "cpu"}))
    on_gpu = memory_of(changed(RunConfig(), policy={"device": "cuda"}))

    assert on_cpu.capacity_bytes is None
    assert on_gpu.capacity_bytes == 80 * GIB
    assert on_gpu.parts[0].bytes == on_cpu.parts[0].bytes // 2  # bf16 instead of fp32
