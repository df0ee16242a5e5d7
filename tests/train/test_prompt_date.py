"""A model whose chat template asks what day it is: its runs and evaluations go on, on another day, as they began."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from builders import a_record
from chat_templates import DATED_TEMPLATE, DAY, NEXT_DAY, set_clock
from command_lines import games_text, train
from medec_csv import some_rows, write_csv
from medical_team.cli.main import main
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType
from medical_team.runs.folder import RunFolder
from tiny_models import make_tiny_model, save_tiny_model

TOKENIZER = make_tiny_model()[1]
SMALL = ("--preset", "smoke", "--training.games_per_step", "4", "--rollout.max_revision_tokens", "4",
         "--rollout.max_verdict_tokens", "4", "--checkpoints.save_every", "1")  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "dated"
    save_tiny_model(folder)
    (folder / "chat_template.jinja").write_text(DATED_TEMPLATE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    write_jsonl(path, [a_record(kind, id=kind.value) for kind in DataType])
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[date], None]:
    return partial(set_clock, monkeypatch)


def text_of(token_ids: tuple[int, ...]) -> str:
    return str(cast("Any", TOKENIZER).decode(list(token_ids)))


def days_in(run: Path) -> set[str]:
    """The days that the prompts of a run's games name."""
    prompts = [text_of(turn.prompt_token_ids) for game in RunFolder.open(run).games() for turn in game.turns]
    return {prompt.partition("Today is ")[2].partition(".")[0] for prompt in prompts}


def test_a_run_that_is_resumed_on_another_day_goes_on_with_the_same_prompts(
    model: Path, data: Path, tmp_path: Path, clock: Callable[[date], None]
) -> None:
    options = [*SMALL, "--policy.model", model, "--data.train", data]
    clock(DAY)
    assert train(*options, "--training.steps", 2, "--run", tmp_path / "whole") == 0
    assert train(*options, "--training.steps", 1, "--run", tmp_path / "resumed") == 0

    clock(NEXT_DAY)
    assert train("--resume", tmp_path / "resumed", "--training.steps", 2) == 0

    assert days_in(tmp_path / "resumed") == {"05 March 2026"}
    assert games_text(tmp_path / "resumed") == games_text(tmp_path / "whole")
    assert RunFolder.open(tmp_path / "resumed").config.policy.prompt_date == "2026-03-05"
    # What is saved is the model's own template, which asks the day where it is used.
    assert (tmp_path / "resumed" / "final" / "chat_template.jinja").read_text(encoding="utf-8") == DATED_TEMPLATE


def test_the_saved_file_reruns_the_run_and_a_named_day_is_kept(
    model: Path, data: Path, tmp_path: Path, clock: Callable[[date], None]
) -> None:
    options = [*SMALL, "--policy.model", model, "--data.train", data, "--training.steps", 1]
    clock(DAY)
    assert train(*options, "--run", tmp_path / "first") == 0
    clock(NEXT_DAY)
    assert train(tmp_path / "first" / "config.toml", "--run", tmp_path / "again") == 0
    assert train(*options, "--policy.prompt_date", "2026-01-31", "--run", tmp_path / "named") == 0

    assert games_text(tmp_path / "again") == games_text(tmp_path / "first")
    assert days_in(tmp_path / "named") == {"31 January 2026"}


def test_what_is_no_day_is_told_before_anything_starts(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = train(*SMALL, "--policy.model", model, "--policy.prompt_date", "tomorrow", "--run", tmp_path / "run")

    assert status == 2
    assert "policy.prompt_date: 'tomorrow' is no day, expected one such as 2026-03-05" in capsys.readouterr().err


def test_a_warm_start_learns_from_prompts_of_its_own_day(
    model: Path, data: Path, tmp_path: Path, clock: Callable[[date], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from medical_team.rl import batch

    seen: list[str] = []
    encode = batch.encode_prompt

    def watched(*arguments: object) -> tuple[int, ...]:
        token_ids = encode(*arguments)  # type: ignore[arg-type] - handed on as they came
        seen.append(text_of(token_ids))
        return token_ids

    monkeypatch.setattr(batch, "encode_prompt", watched)
    options = ["--preset", "smoke", "--policy.model", model, "--data.train", data, "--warmstart.attacker_share", 0,
               "--warmstart.demonstrations_per_step", 2, "--rollout.max_verdict_tokens", 32]  # fmt: skip
    clock(DAY)
    assert main(["warmstart", *map(str, options), "--warmstart.steps", "1", "--run", str(tmp_path / "run")]) == 0
    clock(NEXT_DAY)
    assert main(["warmstart", "--resume", str(tmp_path / "run"), "--warmstart.steps", "2"]) == 0

    assert {prompt.partition("Today is ")[2].partition(".")[0] for prompt in seen} == {"05 March 2026"}


class TestEvaluations:
    @pytest.fixture
    def csv(self, tmp_path: Path) -> Path:
        return write_csv(tmp_path / "medec.csv", some_rows(2))

    def prompts(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Where the prompts appear that a model in this process is asked."""
        from medical_team.policy import chat

        seen: list[str] = []
        encode = chat.encode_prompt

        def watched(*arguments: object) -> tuple[int, ...]:
            token_ids = encode(*arguments)  # type: ignore[arg-type] - handed on as they came
            seen.append(text_of(token_ids).partition("Today is ")[2].partition(".")[0])
            return token_ids

        monkeypatch.setattr(chat, "encode_prompt", watched)
        return seen

    def test_one_that_goes_on_keeps_its_day(
        self, model: Path, csv: Path, tmp_path: Path, clock: Callable[[date], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, out = self.prompts(monkeypatch), tmp_path / "out"
        command = ["eval", "medec", str(model), "--medec", str(csv), "--max-tokens", "2", "-o", str(out)]
        clock(DAY)
        assert main(command) == 0
        lines = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (out / "predictions.jsonl").write_text("".join(lines[:1]), encoding="utf-8")

        clock(NEXT_DAY)
        assert main(command) == 0

        assert set(asked) == {"05 March 2026"}
        assert json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["prompt_date"] == "2026-03-05"
        assert (out / "predictions.jsonl").read_text(encoding="utf-8") == "".join(lines)

    def test_another_day_can_be_named_and_is_another_evaluation(
        self,
        model: Path,
        csv: Path,
        tmp_path: Path,
        clock: Callable[[date], None],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        asked, out = self.prompts(monkeypatch), tmp_path / "out"
        command = ["eval", "medec", str(model), "--medec", str(csv), "--max-tokens", "2", "-o", str(out)]
        clock(NEXT_DAY)
        assert main([*command, "--prompt-date", "2026-01-31"]) == 0
        assert main([*command, "--prompt-date", "2026-02-01"]) == 2

        assert set(asked) == {"31 January 2026"}
        assert 'prompt_date "2026-01-31" there, "2026-02-01" here' in capsys.readouterr().err

    def test_a_run_s_model_is_asked_as_in_its_run(
        self,
        model: Path,
        data: Path,
        csv: Path,
        tmp_path: Path,
        clock: Callable[[date], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        clock(DAY)
        run = tmp_path / "run"
        options = [*SMALL, "--policy.model", model, "--data.train", data, "--training.steps", 1, "--run", run]
        assert train(*options) == 0
        clock(NEXT_DAY)
        asked = self.prompts(monkeypatch)
        heldout = tmp_path / "heldout.jsonl"
        write_jsonl(heldout, [a_record(kind, id=f"h-{kind.value}") for kind in DataType])

        medec = ["eval", "medec", str(run), "--medec", str(csv), "--max-tokens", "2", "-o", str(tmp_path / "medec")]
        games = ["eval", "games", str(run), "--data", str(heldout), "--keep-training-notes", "--games", "4"]
        crossplay = ["eval", "crossplay", str(run), "--data", str(heldout), "--keep-training-notes", "--games", "2"]
        assert main([*medec, "--training-texts", "keep"]) == 0
        assert main([*games, "-o", str(tmp_path / "games")]) == 0
        assert main([*crossplay, "-o", str(tmp_path / "crossplay")]) == 0

        assert set(asked) == {"05 March 2026"}
        (settings,) = (tmp_path / "games").glob("*/games.json")
        assert json.loads(settings.read_text(encoding="utf-8"))["prompt_date"] == "2026-03-05"
        told = json.loads((tmp_path / "crossplay" / "crossplay.json").read_text(encoding="utf-8"))
        assert set(told["settings"]["prompt_dates"].values()) == {"2026-03-05"}

    def test_a_server_tells_its_template_the_day_itself(
        self, csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["eval", "medec", "m", "--url", "http://127.0.0.1:9/v1", "--medec", str(csv)]

        assert main([*command, "-o", str(tmp_path / "out"), "--prompt-date", "2026-01-31"]) == 2
        assert "--prompt-date is for a model that is loaded here" in capsys.readouterr().err
