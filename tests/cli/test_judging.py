import pytest

from medical_team.cli.judging import with_judge_spelled_out


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["--judge", "model"], ["--judge.kind", "model"]),
        (["--judge=hybrid", "--x"], ["--judge.kind", "hybrid", "--x"]),
        (
            ["run.toml", "--judge", "http://127.0.0.1:8000", "--y", "1"],
            ["run.toml", "--judge.kind", "remote", "--judge.url", "http://127.0.0.1:8000", "--y", "1"],
        ),
        (["--judge=HTTPS://judge/?a=b"], ["--judge.kind", "remote", "--judge.url", "HTTPS://judge/?a=b"]),
        (["--judge.kind", "reference"], ["--judge.kind", "reference"]),
        (["--judge"], ["--judge"]),
        ([], []),
    ],
)
def test_the_short_option_stands_for_the_long_ones(written, meant):
    assert with_judge_spelled_out(written) == meant
