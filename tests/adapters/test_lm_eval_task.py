"""MEDEC in the real lm-evaluation-harness, against a served model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from golden_replies import THREE_PART, VERDICT, golden_answer
from medical_team.evaluation.tasks import PAPER_PROMPT
from needs import LM_EVAL
from openai_server import ScriptedServer, openai_server

lm_eval = LM_EVAL.module("lm_eval")

from lm_eval.tasks import TaskManager  # noqa: E402

from medical_team.adapters.lm_eval_task import TASKS_FOLDER  # noqa: E402

NAMES = {THREE_PART: "medec", VERDICT: "medec_verdict"}


def evaluate(task: str, server: ScriptedServer, **metadata: Any) -> Mapping[str, Any]:
    manager = TaskManager(include_path=str(TASKS_FOLDER), include_defaults=False, metadata=metadata)
    arguments = {"model": "golden", "base_url": f"{server.url}/chat/completions", "max_retries": 1}
    return lm_eval.simple_evaluate(
        "local-chat-completions", arguments, [NAMES[task]], task_manager=manager, apply_chat_template=True
    )


def figures_of(results: Mapping[str, Any], task: str) -> dict[str, float]:
    found = results["results"][NAMES[task]]
    return {
        key.removesuffix(",none"): value
        for key, value in found.items()
        if key.endswith(",none") and not key.endswith("_stderr,none")
    }


@pytest.mark.parametrize("task", [THREE_PART, VERDICT])
def test_the_figures_are_those_of_eval_medec_to_the_last_digit(
    task: str, csv: Path, expected: dict[str, dict[str, float]]
) -> None:
    with openai_server(lambda body: golden_answer(body, task)) as server:
        results = evaluate(task, server, medec=str(csv))

    assert figures_of(results, task) == expected[task]
    assert {(body["temperature"], tuple(body["stop"])) for body in server.bodies} == {(0.0, ())}
    assert len(server.bodies) == 14


def test_the_paper_is_asked_in_its_own_words_as_one_message(csv: Path) -> None:
    with openai_server(lambda body: golden_answer(body, THREE_PART)) as server:
        evaluate(THREE_PART, server, medec=str(csv), texts=2, max_tokens=77)

    assert [message["role"] for message in server.bodies[0]["messages"]] == ["user"]
    assert server.bodies[0]["messages"][0]["content"].startswith(PAPER_PROMPT)
    assert [body["max_tokens"] for body in server.bodies] == [77, 77]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({}, "name the MEDEC CSV"),
        ({"medec": "nowhere.csv"}, "nowhere.csv can't be"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"prompt_style": "loud"}, "prompt_style is 'loud'"),
    ],
)
def test_bad_input_is_a_value_error_as_the_harness_raises_it(metadata: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        TaskManager(include_path=str(TASKS_FOLDER), include_defaults=False, metadata=metadata).load(["medec_verdict"])


@pytest.mark.slow
def test_the_command_of_the_harness_finds_the_task(
    csv: Path, expected: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    with openai_server(lambda body: golden_answer(body, THREE_PART)) as server:
        command = [sys.executable, "-m", "lm_eval", "run", "--include_path", TASKS_FOLDER, "--tasks", "medec"]
        model = f"model=golden,base_url={server.url}/chat/completions,max_retries=1"
        options = ["--model", "local-chat-completions", "--model_args", model, "--apply_chat_template"]
        metadata = ["--metadata", json.dumps({"medec": str(csv)})]
        subprocess.run([*command, *options, *metadata, "--output_path", tmp_path], check=True, cwd=tmp_path)

    written = next(tmp_path.rglob("results_*.json"))
    assert figures_of(json.loads(written.read_text(encoding="utf-8")), THREE_PART) == expected[THREE_PART]
