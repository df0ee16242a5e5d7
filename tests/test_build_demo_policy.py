"""The script that makes the demo policy: a build that was interrupted goes on to the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
import torch

from medical_team.policy.transformers_inside import read_tensors
from medical_team.runs.config_file import load_preset


@pytest.fixture
def script(load_script: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with few cases, saving after each step."""
    module = load_script("build_demo_policy")
    monkeypatch.setattr(module, "CASES", 20)
    monkeypatch.setattr(module, "SAVE_EVERY", 1)
    return module


def test_an_interrupted_build_goes_on_to_the_same_weights(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = load_preset("demo")
    config = replace(demo, warmstart=replace(demo.warmstart, steps=3, demonstrations_per_step=4))
    learn, calls = script.learn, count()

    def interrupted(*arguments: object) -> float:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return learn(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(script, "learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            script.train(config, tmp_path / "interrupted")
    assert (tmp_path / "interrupted" / script.STATE).is_file()

    finals = [script.train(config, tmp_path / name) for name in ("interrupted", "whole")]

    weights, others = (read_tensors(final / "model.safetensors") for final in finals)
    assert weights.keys() == others.keys()
    assert all(tensor.equal(others[name]) for name, tensor in weights.items())


def test_padding_and_order_change_nothing(script: ModuleType) -> None:
    model, _ = script.make_demo_model(1, hidden_size=16, heads=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    short = script.Lesson((5, 6, 7), (8, 2), read=2, weight=1.0)
    long = script.Lesson(tuple(range(5, 25)), (9, 10, 2), read=15, weight=6.0)
    other = script.Lesson((11, 12), (13, 2), read=2, weight=1.0)

    losses = [script.learn(model, optimizer, lessons) for lessons in ([short, long], [long, short])]
    alone = script.learn(model, optimizer, [short, short])

    assert losses[0] == pytest.approx(losses[1])
    assert script.learn(model, optimizer, [short, other, long, short]) != pytest.approx(alone)
    assert 2 * losses[0] == pytest.approx(alone + script.learn(model, optimizer, [long, long]))


def test_what_a_model_says_next_is_counted_from_token_to_token(script: ModuleType) -> None:
    model, _ = script.make_demo_model(1, hidden_size=16, heads=2)
    prompt = (5, 6, 7)
    reply: list[int] = []
    for _ in range(3):
        logits = model(input_ids=torch.tensor([[*prompt, *reply]])).logits[0, -1]
        reply.append(int(logits.argmax()))
    likely = script.Lesson(prompt, tuple(reply), read=2, weight=1.0)
    other = script.Lesson(prompt, (reply[0] + 1, *reply[1:]), read=2, weight=1.0)

    assert script.share_right(model, [likely], 3) == 1.0
    assert script.share_right(model, [likely, other], 1) == 0.5
    assert script.share_right(model, [script.Lesson(prompt, (reply[0], reply[1] + 1, 2), 2, 1.0)], 2, first=1) == 0.0


def test_the_question_is_not_learnt(script: ModuleType) -> None:
    _, tokenizer = script.make_demo_model(1, hidden_size=16, heads=2)
    config = load_preset("demo")
    for demonstration in [script.watched_demonstrations(config, role)[0] for role in script.Role]:
        lesson = script.encoded(demonstration, tokenizer)
        read = tokenizer.decode(lesson.prompt[: lesson.read])
        assert len(read.split()) > 30
        assert "Rewrite" not in read
        assert "Safe" not in read
