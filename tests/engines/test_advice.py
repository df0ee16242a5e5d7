"""What the last words of an engine are known to mean."""

from pathlib import Path

import pytest

from medical_team.engines.advice import advice_for


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.", "a vLLM rollout engine died"),
        ("EngineError: a game and the 8 played in its place left nothing to learn from", "warm-start a policy"),
        ("RuntimeError: pidfd_getfd: Operation not permitted", "sysctl kernel.yama.ptrace_scope=0"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "a GPU ran out of memory"),
        ("ray.exceptions.OutOfMemoryError: 1 worker(s) were killed due to the node running low on memory", "Ray ended"),
        ("OSError: [Errno 28] No space left on device", "a disk is full"),
    ],
)
def test_known_words_have_advice(words: str, advice: str, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text(f"step 3\n{words}\n", encoding="utf-8")

    [told] = advice_for(log)

    assert advice in told
    assert "gloo" not in told


def test_unknown_words_and_no_log_have_none(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("all is well", encoding="utf-8")

    assert advice_for(log) == advice_for(tmp_path / "none.log") == []
