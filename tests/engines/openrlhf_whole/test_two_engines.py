"""Two rollout engines, on two GPUs that Ray believes in."""

from pathlib import Path

import pytest
from whole_run import WholeRun

from medical_team.records import Role


@pytest.fixture(scope="module")
def trained(policy: Path, tmp_path_factory: pytest.TempPathFactory):
    changes = {"sleep = false": "sleep = false\ngpus_per_node = 2\nvllm_engines = 2\nrole_baselines = true"}
    run = WholeRun(tmp_path_factory.mktemp("two") / "run", policy, changes, pretended_gpus=2)
    status = run.train()
    assert status == 0, run.words[-4000:]
    return run


def test_engines_share_the_games_and_play_none_twice(trained: WholeRun) -> None:
    numbers = [int(game.spec.id.removesuffix("-second").rpartition("-")[2]) for game in trained.folder.games()]
    ids = [played.game.spec.id for played in trained.played if not played.is_heldout]

    assert len(list((trained.path / "engine").glob("games-*.jsonl"))) == 2
    assert len(ids) == len(set(ids))
    assert set(range(8)) <= set(numbers)
    assert [line.step for line in trained.folder.metrics()] == [0, 1, 2]


def test_rewards_are_saved_without_the_baseline_of_their_role(trained: WholeRun) -> None:
    for played in trained.played:
        for reward in played.game.rewards:
            assert (played.baseline_of(reward.role) is None) == played.is_heldout
    assert any(played.baseline_of(Role.ASSESSOR) for played in trained.played)
    assert max(map(abs, trained.curve("assessor_baseline"))) > 0


def test_both_engines_get_the_new_weights(trained: WholeRun) -> None:
    assert max(map(abs, trained.curve("vllm_kl"))) < 0.005
