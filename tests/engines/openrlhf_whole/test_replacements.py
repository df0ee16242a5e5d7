"""Games that nothing can be learnt from, one in three, with micro-batches of one sample: the hardest case."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from serving import serving
from whole_run import WholeRun

from medical_team.cli.main import main
from medical_team.config import DEMO_DATA
from medical_team.data.load import load_records
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import reference_judge
from medical_team.records import DataType, GameState, JudgeFailure, Ruling
from medical_team.report.overview import chart_data


class UnreliableJudge:
    """The reference judge, which fails at every third game. Notes of cases that it is asked about alone are spared."""

    name = "unreliable"

    def __init__(self) -> None:
        self._judge = reference_judge(record.pair for record in load_records(DEMO_DATA))
        self._lock = threading.Lock()
        self._games = 0

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        rulings = dict(self._judge.rule(queries))
        with self._lock:
            for query in queries:
                self._games += 1
                # The launcher asks about eight known notes first.
                if self._games > 8 and self._games % 3 == 0:
                    rulings[query.game_id] = JudgeFailure(
                        query.game_id, is_abstention=False, source=self.name, reason="it tripped"
                    )
        return rulings


@pytest.fixture(scope="module")
def trained(policy: Path, tmp_path_factory: pytest.TempPathFactory):
    run = WholeRun(tmp_path_factory.mktemp("voids") / "run", policy)
    with serving(UnreliableJudge()) as judge:
        url = str(judge.base_url).rstrip("/")
        run.changes = {
            "[engine]": f'[judge]\nkind = "remote"\nurl = "{url}"\n\n[engine]',
            "sleep = false": "sleep = false\nmicro_train_batch_size = 1\nmicro_rollout_batch_size = 1",
        }
        status = run.train()
    assert status == 0, run.words[-4000:]
    return run


def test_void_games_in_every_step_end_no_run(trained: WholeRun) -> None:
    voids = {game.spec.step for game in trained.folder.games() if game.state is GameState.VOID}

    assert voids == {0, 1, 2}
    assert trained.is_finite
    assert trained.largest_change > 1e-4


def test_every_sample_teaches_something(trained: WholeRun) -> None:
    # OpenRLHF's own share of samples that some role learns from.
    shares = [
        attacker + assessor
        for attacker, assessor in zip(trained.curve("is_attacker"), trained.curve("is_assessor"), strict=True)
    ]

    assert shares == pytest.approx([1, 1, 1])
    assert trained.curve("is_void") == [0, 0, 0]


def test_games_in_the_place_of_others_are_counted_by_category(trained: WholeRun) -> None:
    lines = list(trained.folder.metrics())
    assert [line.step for line in lines] == [0, 1, 2]
    for line, share in zip(lines, trained.curve("is_replacement"), strict=True):
        counted = sum(value for name, value in line.values.items() if name.startswith("replacements/"))
        # Of 16 samples; a replacement that is void itself is counted, and has no sample.
        assert counted >= share * 16 > 0


def test_they_are_of_all_categories(trained: WholeRun) -> None:
    played = {name for line in trained.folder.metrics() for name in line.values if name.startswith("replacements/")}

    assert played == {f"replacements/{data_type.value}" for data_type in DataType}


def test_the_launcher_and_the_report_count_them(trained: WholeRun) -> None:
    charts = chart_data({line.step: line.values for line in trained.folder.metrics()})

    assert "Games in place of others that left nothing to learn from: " in trained.words
    assert main(["report", str(trained.path)]) == 0
    assert next(chart for chart in charts if chart["title"].startswith("Games in place of others"))["curves"]


def test_the_kl_is_a_number_in_every_step(trained: WholeRun) -> None:
    assert [math.isfinite(value) for value in trained.curve("kl")] == [True] * 3
