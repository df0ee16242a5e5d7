"""MEDEC in the real Inspect, against its own mock model and against a served one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import present
from golden_replies import THREE_PART, VERDICT, figures_of_eval_medec, golden_answer, golden_reply
from medical_team.evaluation.tasks import PAPER_PROMPT
from needs import INSPECT
from openai_server import openai_server

# Two of its functions name types of packages that are not installed here: what they give is said where they are called.
inspect_ai = INSPECT.module("inspect_ai")

from inspect_ai import Task  # noqa: E402
from inspect_ai._util.error import PrerequisiteError  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log  # noqa: E402
from inspect_ai.model import (  # noqa: E402
    ChatMessage,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    StopReason,
    get_model,
)
from inspect_ai.scorer import Scorer  # noqa: E402
from inspect_ai.tool import ToolChoice, ToolInfo  # noqa: E402

from medical_team.adapters.inspect_tasks import medec, medec_reading, medec_verdict  # noqa: E402

TASKS = [(medec, THREE_PART), (medec_verdict, VERDICT)]


def mock_model(reply: Callable[[str], ModelOutput]) -> Model:
    """A model that says what ``reply`` makes of the prompt."""

    def output(
        messages: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        return reply(messages[-1].text)

    return get_model("mockllm/model", custom_outputs=output)


def a_reply(text: str, stop_reason: StopReason = "stop") -> ModelOutput:
    output = ModelOutput.from_content("mockllm/model", text, stop_reason)
    # Without it the mock counts tokens with a vocabulary that it fetches from the network.
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return output


def evaluate(task: Task, reply: Callable[[str], ModelOutput], tmp_path: Path, epochs: int | None = None) -> EvalLog:
    return inspect_ai.eval(task, mock_model(reply), log_dir=str(tmp_path), display="none", epochs=epochs)[0]


def score_again(log: EvalLog, scorer: Scorer) -> EvalLog:
    return inspect_ai.score(log, scorer, action="overwrite", display="none")


def samples_of(log: EvalLog) -> list[EvalSample]:
    return present(log.samples)


def figures_of(log: EvalLog) -> dict[str, float]:
    assert log.status == "success", log.error
    return {name: metric.value for name, metric in present(log.results).scores[0].metrics.items()}


@pytest.mark.parametrize(("make_task", "task"), TASKS)
def test_the_figures_are_those_of_eval_medec_to_the_last_digit(
    make_task: Callable[[str], Task], task: str, csv: Path, expected: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    log = evaluate(make_task(str(csv)), lambda prompt: a_reply(golden_reply(prompt, task)), tmp_path)

    assert figures_of(log) == expected[task]
    assert 0 < expected[task]["flag_accuracy"] < 1
    assert expected[task]["unreadable_reply_rate"] > 0


def test_epochs_vote_as_samples_do(csv: Path, tmp_path: Path) -> None:
    log = evaluate(medec(str(csv)), lambda prompt: a_reply(golden_reply(prompt, THREE_PART)), tmp_path, epochs=3)

    assert figures_of(log) == figures_of_eval_medec(csv, THREE_PART, tmp_path / "three", "--samples", "3")


def test_a_log_can_be_scored_again_without_the_csv(
    csv: Path, expected: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    log = evaluate(medec(str(csv)), lambda prompt: a_reply(golden_reply(prompt, THREE_PART)), tmp_path / "logs")
    asked = [message.text for message in samples_of(log)[0].messages if message.role == "user"]

    assert len(asked) == 1
    assert asked[0].startswith(PAPER_PROMPT)
    again = score_again(read_eval_log(log.location), medec_reading(THREE_PART))
    assert figures_of(again) == expected[THREE_PART]


def test_a_reply_that_was_cut_while_it_thought_is_no_verdict(csv: Path, tmp_path: Path) -> None:
    log = evaluate(
        medec_verdict(str(csv), thinking=True), lambda prompt: a_reply("<think>Safe", "max_tokens"), tmp_path
    )

    assert figures_of(log)["unreadable_reply_rate"] == 1.0


def test_a_text_that_does_not_fit_is_no_verdict_and_says_so(csv: Path, tmp_path: Path) -> None:
    log = evaluate(medec(str(csv)), lambda prompt: a_reply("", "model_length"), tmp_path)

    assert figures_of(log)["no_prediction_rate"] == 1.0
    assert present(samples_of(log)[0].scores)["medec_reading"].explanation == "the prompt does not fit into the model"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "name the MEDEC CSV"),
        ({"medec": "nowhere.csv"}, "nowhere.csv can't be"),
        ({"texts": 0}, "expected at least 1"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"prompt_style": "loud"}, "prompt_style is 'loud'"),
    ],
)
def test_bad_input_is_what_inspect_prints_without_a_traceback(options: dict[str, Any], told: str, csv: Path) -> None:
    with pytest.raises(PrerequisiteError, match=told):
        medec_verdict(**({"medec": str(csv)} if options and "medec" not in options else {}), **options)


def test_half_a_character_in_a_reply_ends_no_evaluation(csv: Path, tmp_path: Path) -> None:
    log = evaluate(medec_verdict(str(csv)), lambda prompt: a_reply("<answer>Safe</answer>\ud800"), tmp_path)

    assert "unreadable_reply_rate" in figures_of(log)


def test_samples_of_another_task_are_told_apart(tmp_path: Path) -> None:
    foreign = Task(dataset=[Sample("What is it?", target="it", id="7")], scorer=medec_reading(THREE_PART))
    log = evaluate(foreign, lambda prompt: a_reply("CORRECT"), tmp_path)

    assert log.status == "error"
    assert "sample 7 has no medec_text" in present(log.error).message


def test_a_scorer_with_bad_options_is_what_inspect_prints_without_a_traceback() -> None:
    with pytest.raises(PrerequisiteError, match="task is 'four-part'"):
        medec_reading("four-part")


@pytest.mark.slow
@pytest.mark.parametrize("task", [THREE_PART, VERDICT])
def test_the_command_of_inspect_asks_a_server_on_this_machine(
    task: str, csv: Path, expected: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    name = {THREE_PART: "medical_team/medec", VERDICT: "medical_team/medec_verdict"}[task]
    command = [sys.executable, "-m", "inspect_ai", "eval", name, "-T", f"medec={csv}", "--model", "openai-api/here/m"]
    with openai_server(lambda body: golden_answer(body, task)) as server:
        environment = {**os.environ, "HERE_BASE_URL": server.url, "HERE_API_KEY": "none"}
        subprocess.run(
            [*command, "--log-dir", str(tmp_path), "--display", "none"], env=environment, check=True, cwd=tmp_path
        )

    log = read_eval_log(list_eval_logs(str(tmp_path))[0])
    assert figures_of(log) == expected[task]
    assert {body["temperature"] for body in server.bodies} == {0.0}
