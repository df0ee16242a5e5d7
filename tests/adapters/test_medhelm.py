"""MEDEC in the real MedHELM, against a served model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from golden_replies import CASES, THREE_PART, VERDICT, golden_answer
from medical_team.evaluation.tasks import PAPER_PROMPT
from needs import MEDHELM
from openai_server import ScriptedServer, openai_server

pytestmark = pytest.mark.slow

MEDHELM.module("helm")

from helm.common.object_spec import parse_object_spec  # noqa: E402

from medical_team.adapters.medhelm import medec_official  # noqa: E402

# The tokenizer takes characters for tokens, and MedHELM cuts replies by its count.
DEPLOYMENT = {
    "name": "here/golden",
    "model_name": "simple/model1",
    "tokenizer_name": "simple/tokenizer1",
    "max_sequence_length": 100_000,
}


def run_medhelm(folder: Path, server: ScriptedServer, csv: Path, task: str) -> dict[str, float | None]:
    """The statistics that the command writes, by name."""
    client = {"class_name": "helm.clients.vllm_client.VLLMChatClient", "args": {"base_url": server.url}}
    (folder / "prod_env").mkdir()
    deployments = {"model_deployments": [{**DEPLOYMENT, "client_spec": client}]}
    (folder / "prod_env" / "model_deployments.yaml").write_text(yaml.safe_dump(deployments), encoding="utf-8")
    entry = f"medec_official:medec={csv},task={task},max_tokens=100,model=simple/model1"
    entry += ",model_deployment=here/golden"
    command = [sys.executable, "-m", "helm.benchmark.run", "-r", entry, "--suite", "golden", "-m", "1000"]
    subprocess.run([*command, "--exit-on-error"], check=True, cwd=folder)
    written = next((folder / "benchmark_output" / "runs" / "golden").glob("*/stats.json"))
    stats = json.loads(written.read_text(encoding="utf-8"))
    return {stat["name"]["name"]: stat["mean"] for stat in stats if stat["name"].get("split") == "test"}


@pytest.mark.parametrize("task", [THREE_PART, VERDICT])
def test_the_figures_are_those_of_eval_medec_to_the_last_digit(
    task: str, csv: Path, expected: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    with openai_server(lambda body: golden_answer(body, task)) as server:
        found = run_medhelm(tmp_path, server, csv, task)

    assert {name: found.get(name) for name in expected[task]} == expected[task]
    assert len(server.bodies) == 2 * CASES
    if task == THREE_PART:
        assert server.bodies[0]["messages"][-1]["content"].startswith(PAPER_PROMPT)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "name the MEDEC CSV"),
        ({"medec": "nowhere.csv"}, "nowhere.csv can't be"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"thinking": "perhaps"}, "expected true or false"),
        ({"task": "four-part"}, "task is 'four-part'"),
    ],
)
def test_bad_input_is_a_value_error_as_the_harness_raises_it(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        medec_official(**options)


def test_a_run_entry_says_thinking_with_a_word(csv: Path) -> None:
    longest = {
        word: medec_official(**parse_object_spec(f"medec_official:medec={csv},thinking={word}").args).adapter_spec
        for word in ("true", "false")
    }

    assert longest["true"].max_tokens > longest["false"].max_tokens
