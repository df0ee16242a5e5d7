"""The script that makes the demo policy: a build that was interrupted goes on to the same weights."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from safetensors.torch import load_file

from medical_team.records import Game
from medical_team.rl.protocols import Listener
from medical_team.runs.config_file import load_preset


@pytest.fixture
def script(load_script: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with few cases and no display."""
    module = load_script("build_demo_policy")
    monkeypatch.setattr(module, "CASES", 20)
    monkeypatch.setattr(module, "usual_listeners", lambda _: [])
    return module


class Interrupted(Listener):
    """Presses Ctrl-C after the first step."""

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Ask for a stop."""
        os.kill(os.getpid(), signal.SIGTERM)


def test_an_interrupted_build_goes_on_to_the_same_weights(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = load_preset("demo")
    config = replace(demo, warmstart=replace(demo.warmstart, steps=3, demonstrations_per_step=4))
    with monkeypatch.context() as patched:
        patched.setattr(script, "usual_listeners", lambda _: [Interrupted()])
        with pytest.raises(SystemExit, match="the same command goes on"):
            script.train(config, tmp_path / "interrupted")

    finals = [script.train(config, tmp_path / name) for name in ("interrupted", "whole")]

    weights, others = (load_file(final / "model.safetensors") for final in finals)
    assert weights.keys() == others.keys()
    assert all(tensor.equal(others[name]) for name, tensor in weights.items())
