"""A model judge whose questions the real vLLM reads: in this process, behind our service, and in vLLM's own server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE
from serving import judged, wait_until_listening

from medical_team.cli.judge_serve import ServeArguments, make_service
from medical_team.config import JudgeConfig
from medical_team.errors import JudgeError, VllmError
from medical_team.judge.openai_scorer import Dialect, connect_openai
from medical_team.judge.protocol import JudgeQuery
from medical_team.judge.questions import AnswerScores, ClosedQuestion, NoAnswer, error_question
from medical_team.judging import make_judge
from medical_team.model_files import converted_folder
from medical_team.policy.answer_scoring import VllmScorer, load_answer_scorer
from medical_team.policy.vllm_engine import VllmEngine
from medical_team.records import Labels, Verdict
from needs import SMOLLM2, VLLM
from tiny_models import save_tiny_model

VLLM.module("vllm")

QUERIES = [JudgeQuery("a", ERROR_NOTE, Verdict.HARMFUL, CASE), JudgeQuery("b", CORRECTED_NOTE, Verdict.SAFE, CASE)]
QUESTIONS = [
    error_question(note, CASE, wording).question for note in (ERROR_NOTE, CORRECTED_NOTE) for wording in range(3)
]


@pytest.fixture(scope="module")
def config() -> JudgeConfig:
    folder = converted_folder()
    if not folder.is_dir():
        SMOLLM2.skip()
    return JudgeConfig(
        kind="model",
        model=str(folder),
        device="cpu",
        precision="fp32",
        use_cache=False,
        max_prompt_tokens=2048,
        margin=0.2,
    )


@pytest.fixture(scope="module")
def scorer(config: JudgeConfig) -> Iterator[VllmScorer]:
    scorer = load_answer_scorer(replace(config, engine="vllm"))
    assert isinstance(scorer, VllmScorer)
    yield scorer
    scorer.close()


def odds_of(scores: Sequence[AnswerScores | NoAnswer]) -> list[float]:
    """How much likelier the first answer is than the second, whatever else the model might have said."""
    found = [each for each in scores if isinstance(each, AnswerScores)]
    assert len(found) == len(scores)
    return [each.log_probs[0] - each.log_probs[1] for each in found]


def test_it_scores_as_transformers_does(config: JudgeConfig, scorer: VllmScorer) -> None:
    assert odds_of(scorer.score(QUESTIONS)) == pytest.approx(
        odds_of(load_answer_scorer(config).score(QUESTIONS)), abs=2e-3
    )


def test_a_question_that_is_too_long_has_no_score_and_spoils_no_other(scorer: VllmScorer) -> None:
    long, short = scorer.score([ClosedQuestion("word " * 3000, ("A", "B")), QUESTIONS[0]])

    assert isinstance(long, NoAnswer)
    assert "more than 2048" in long.reason
    assert isinstance(short, AnswerScores)


def test_an_engine_that_dies_is_started_again_and_one_that_stays_dead_rules_on_nothing(
    scorer: VllmScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scorer.score(QUESTIONS)

    choose, deaths = VllmEngine.choose, [1]

    def die_sometimes(self: VllmEngine, *arguments: Any) -> Any:
        if deaths:
            deaths.pop()
            raise VllmError("vLLM failed: the engine core died.")
        return choose(self, *arguments)

    monkeypatch.setattr(VllmEngine, "choose", die_sometimes)
    assert scorer.score(QUESTIONS) == expected

    deaths += [2, 3]
    assert scorer.score(QUESTIONS[:1]) == [NoAnswer("vLLM failed: the engine core died.")]


def test_the_service_answers_with_it(config: JudgeConfig, scorer: VllmScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    # The engine that runs already: what is tried is the way to it.
    loaded: list[JudgeConfig] = []

    def load(config: JudgeConfig, _: object) -> VllmScorer:
        loaded.append(config)
        return scorer

    monkeypatch.setattr("medical_team.cli.judge_serve.load_scorer", load)
    told: list[str] = []
    arguments = ServeArguments(port=0, backend="vllm", judge=config)
    service = make_service(arguments, told.append)
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=120) as client:
            while client.get("/ready").status_code != 200:
                time.sleep(0.05)
            labels = judged(client, ERROR_NOTE, CORRECTED_NOTE)
    finally:
        service.stop()
        thread.join()
    assert loaded[0].engine == "vllm"
    assert len(labels) == 2


def test_a_model_that_vllm_cannot_serve_is_named_with_the_judges_options(config: JudgeConfig, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    with pytest.raises(JudgeError, match=r"doesn't start with .*judge\.engine"):
        load_answer_scorer(replace(config, engine="vllm", model=str(tmp_path / "model")))


@contextlib.contextmanager
def vllm_serve(model: Path) -> Generator[str]:
    """The base of its API."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--dtype", "float32", "--max-model-len", "2048", "--max-num-seqs", "16", "--enforce-eager"]
    options += ["--distributed-executor-backend", "uni"]
    # What an engine in this process was told is nothing for a server.
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
    }
    # The command `vllm` of the package for a CPU looks for a package of its own name, which is not there.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    ) as process:
        try:
            wait_until_listening(process, f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def test_vllms_own_server_is_bound_to_the_answers_and_rules_as_the_model_does(config: JudgeConfig) -> None:
    expected = make_judge(config, load_scorer=load_answer_scorer).rule(QUERIES)
    told: list[str] = []
    with vllm_serve(Path(config.model)) as url:
        asking = replace(config, kind="openai", url=url, timeout_seconds=600)
        assert connect_openai(asking, told.append).dialect == Dialect(False, True, has_choice=True)
        rulings = make_judge(asking, notify=told.append).rule(QUERIES)

    assert not told
    for game_id in "ab":
        ruling, same = rulings[game_id], expected[game_id]
        assert isinstance(ruling, Labels)
        assert isinstance(same, Labels)
        assert ruling.error_present == same.error_present
        assert ruling.confidence == pytest.approx(same.confidence, abs=1e-3)
