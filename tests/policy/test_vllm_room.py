"""Who speaks in the one engine of a process, with engines that only remember whether they were ended."""

from dataclasses import replace

import pytest

from medical_team.policy.vllm_room import EngineRoom, EngineShape

SHAPE = EngineShape("llama, float32", serves_adapters=False)


class Engine:
    is_ended = False

    def close(self) -> None:
        self.is_ended = True


class Speaker:
    """Anything that can be told apart."""


ONE, OTHER = Speaker(), Speaker()


def test_policies_of_one_shape_take_turns_in_one_engine_and_bring_their_weights() -> None:
    room = EngineRoom()
    engine, is_another = room.enter(ONE, SHAPE, Engine)

    assert is_another
    assert room.enter(ONE, SHAPE, Engine) == (engine, False)
    assert room.enter(OTHER, SHAPE, Engine) == (engine, True)
    assert room.enter(ONE, SHAPE, Engine) == (engine, True)


def test_another_shape_replaces_the_engine() -> None:
    room = EngineRoom()
    engine, _ = room.enter(ONE, SHAPE, Engine)
    replacement, is_another = room.enter(OTHER, replace(SHAPE, settings="qwen2"), Engine)

    assert engine.is_ended
    assert replacement is not engine
    assert is_another


def test_who_needs_no_adapters_speaks_in_an_engine_that_serves_them() -> None:
    room = EngineRoom()
    with_adapters = replace(SHAPE, serves_adapters=True)
    engine, _ = room.enter(ONE, with_adapters, Engine)

    assert room.enter(OTHER, SHAPE, Engine) == (engine, True)
    assert room.enter(ONE, with_adapters, Engine) == (engine, True)
    assert not SHAPE.can_serve(with_adapters)


def test_who_leaves_ends_the_engine_only_if_nobody_else_speaks_with_it() -> None:
    room = EngineRoom()
    room.enter(ONE, SHAPE, Engine)
    engine, _ = room.enter(OTHER, SHAPE, Engine)

    room.leave(ONE)
    assert not engine.is_ended
    room.leave(OTHER)
    assert engine.is_ended
    assert room.enter(ONE, SHAPE, Engine)[0] is not engine


def test_an_engine_that_does_not_start_leaves_the_room_empty() -> None:
    room = EngineRoom()
    engine, _ = room.enter(ONE, SHAPE, Engine)

    def fail() -> Engine:
        raise MemoryError

    with pytest.raises(MemoryError):
        room.enter(OTHER, replace(SHAPE, settings="qwen2"), fail)
    assert engine.is_ended
    assert room.enter(ONE, SHAPE, Engine)[1]
