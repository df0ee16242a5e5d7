"""A frozen opponent behind a server plays against the policy: an attacker that rewrites sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from whole_run import WholeRun

from medical_team.records import GameState
from openai_server import Answer, a_completion, openai_server


def rewriting_the_first_sentence(body: dict[str, Any]) -> Answer:
    """What the opponent says: the note's first sentence with one word more."""
    lines = body["messages"][-1]["content"].splitlines()
    numbered = next((line for line in lines if line.startswith("0: ")), "0: ready")
    return a_completion(f"0: Today {numbered.removeprefix('0: ')}")


@pytest.fixture(scope="module")
def trained(policy: Path, tmp_path_factory: pytest.TempPathFactory):
    run = WholeRun(tmp_path_factory.mktemp("opponent") / "run", policy)
    with openai_server(rewriting_the_first_sentence) as server:
        opponent = f'[opponents]\nfixed = "frozen"\nurl = "{server.url}"\nshare = 1.0\nsides = "attacker"'
        run.changes = {"[engine]": f"{opponent}\n\n[engine]"}
        status = run.train()
    assert status == 0, run.words[-4000:]
    assert "the opponent frozen answers" in run.words
    return run


def test_the_opponent_attacks_and_the_policy_learns_as_the_assessor_alone(trained: WholeRun) -> None:
    attacks = [game for game in trained.folder.games() if game.spec.attacker_version == "fixed"]

    # Two games for each of the four adversarial ones of a step.
    assert len(attacks) == 3 * 4 * 2
    assert all(game.note and game.note.startswith("Today ") for game in attacks)
    assert all(reward.role.value == "assessor" for game in attacks for reward in game.rewards)
    assert all(game.state is not GameState.NO_REVISION for game in attacks)
    assert len({game.spec.data_type for game in attacks}) == 2
    assert trained.curve("is_assessor") == [1, 1, 1]


def test_the_policy_has_learnt(trained: WholeRun) -> None:
    assert trained.largest_change > 1e-4
    assert max(map(abs, trained.curve("vllm_kl"))) < 0.005
