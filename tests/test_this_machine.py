from pathlib import Path

import pytest

from medical_team.this_machine import free_memory_bytes, has_nvidia_driver


def test_the_limit_of_a_container_counts_and_what_files_take_is_free(tmp_path: Path) -> None:
    def free() -> int | None:
        return free_memory_bytes(information=tmp_path / "meminfo", control_group=tmp_path)

    assert free() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert free() == 8000 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 400\nfile 600\nshmem 100\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free() == 8000 * 1024
    (tmp_path / "memory.max").write_text("1500\n")
    assert free() == 1000


def test_a_driver_is_known_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert has_nvidia_driver()
