"""The judge "openai" asks a server that others wrote: `transformers serve`, where its dependencies are installed.

    pip install 'transformers[serving]'

It tells no log-probs and ignores the JSON schema, as many servers do. The model is random: it answers no question, and
no ruling may come of that.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE
from serving import wait_until_listening

from medical_team.config import JudgeConfig
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import make_judge
from medical_team.model_files import converted_folder
from medical_team.records import JudgeFailure, Labels, Ruling, Verdict
from needs import SMOLLM2, TRANSFORMERS_SERVE
from tiny_models import save_tiny_model

pytestmark = pytest.mark.slow

QUERIES = [JudgeQuery("a", ERROR_NOTE, Verdict.HARMFUL, CASE), JudgeQuery("b", CORRECTED_NOTE, Verdict.SAFE, CASE)]


@contextlib.contextmanager
def transformers_serve(model: Path) -> Generator[str]:
    """The base of its API."""
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        TRANSFORMERS_SERVE.skip()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["transformers.cli.transformers", "serve", str(model), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [sys.executable, "-m", *command, "--device", "cpu"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until_listening(process, f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def rulings_of(model: Path, told: list[str]) -> list[Ruling]:
    with transformers_serve(model) as url:
        config = JudgeConfig(kind="openai", url=url, model=str(model), votes=2, use_cache=False, timeout_seconds=600)
        judge = make_judge(config, notify=told.append)
        rulings = judge.rule(QUERIES)
    return [rulings[query.game_id] for query in QUERIES]


def test_a_model_that_babbles_rules_on_nothing(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    told: list[str] = []

    rulings = rulings_of(tmp_path / "model", told)

    assert all(isinstance(ruling, JudgeFailure) for ruling in rulings)
    assert all("the model's reply is none of A, B" in ruling.reason for ruling in rulings)
    assert any("tells no log-probs" in sentence for sentence in told)


@pytest.mark.skipif(not converted_folder().is_dir(), reason=SMOLLM2.reason())
def test_a_real_model_s_answers_are_votes() -> None:
    rulings = rulings_of(converted_folder(), [])

    assert all(isinstance(ruling, (Labels, JudgeFailure)) for ruling in rulings)
    assert {ruling.source for ruling in rulings if isinstance(ruling, Labels)} <= {"vote"}
