"""The judge that a configuration asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge_cases import CASE, ERROR_NOTE
from scripted_scorer import ScriptedScorer, saying

from medical_team.config import JudgeConfig
from medical_team.errors import ConfigError, JudgeError
from medical_team.judge.model_judge import FILE
from medical_team.judge.protocol import JudgeQuery
from medical_team.judge.reference import ReferenceJudge
from medical_team.judging import make_judge
from medical_team.records import Labels, Verdict
from openai_server import a_completion, openai_server
from stand_ins import always

QUERY = JudgeQuery("g", ERROR_NOTE, Verdict.HARMFUL)


def test_the_default_is_the_reference_judge() -> None:
    judge = make_judge(JudgeConfig(), [CASE])
    assert isinstance(judge, ReferenceJudge)
    assert isinstance(judge.rule([QUERY])["g"], Labels)


def test_a_model_is_loaded_by_whoever_may_import_torch(tmp_path: Path) -> None:
    scorer = ScriptedScorer(saying(0.2))
    config = JudgeConfig(kind="model", votes=2, cache=str(tmp_path))
    judge = make_judge(config, [CASE], load_scorer=lambda config, notify: scorer)

    assert judge.name == "model:scripted"
    assert isinstance(judge.rule([QUERY])["g"], Labels)
    assert len(scorer.asked) == 2
    assert (tmp_path / FILE).exists()
    with pytest.raises(JudgeError, match="pass load_scorer"):
        make_judge(config)


def test_the_cache_is_in_the_user_s_cache_and_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "medical-team" / "judge" / FILE
    make_judge(JudgeConfig(kind="model", use_cache=False), load_scorer=always(ScriptedScorer(saying(2)))).rule([QUERY])
    assert not kept.exists()
    make_judge(JudgeConfig(kind="model"), load_scorer=always(ScriptedScorer(saying(2)))).rule([QUERY])
    assert kept.exists()


def test_an_openai_compatible_server(tmp_path: Path) -> None:
    with openai_server(lambda body: a_completion("A")) as server:
        config = JudgeConfig(kind="openai", url=server.url, model="m", cache=str(tmp_path))
        judge = make_judge(config, [CASE])
        assert judge.name == "openai:m"
        ruling = judge.rule([QUERY])["g"]

    # it says A to every wording, and half of them have the error there
    assert not isinstance(ruling, Labels)
    assert ruling.is_abstention


def test_a_hybrid_asks_its_fallback(tmp_path: Path) -> None:
    config = JudgeConfig(kind="hybrid", cache=str(tmp_path))
    judge = make_judge(config, [CASE], load_scorer=always(ScriptedScorer(saying(2.0))))

    rulings = judge.rule([QUERY, JudgeQuery("h", "Another note.", None)])

    assert {key: ruling.source for key, ruling in rulings.items()} == {"g": "reference", "h": "model"}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (JudgeConfig(kind="remote"), "judge.url is not set"),
        (JudgeConfig(kind="openai", url="localhost:8000"), "expected an address such as http"),
        (JudgeConfig(kind="remote", url="http://"), "expected an address such as http"),
        (JudgeConfig(kind="hybrid", fallback="remote"), "judge.url is not set"),
        (JudgeConfig(votes=0), "judge.votes is 0, expected at least 1"),
        (JudgeConfig(minimum_confidence=1.5), "judge.minimum_confidence is 1.5, expected at most 1.0"),
    ],
)
def test_options_that_make_no_judge_are_named(config: JudgeConfig, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_judge(config)
