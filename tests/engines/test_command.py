"""A command line as data, and as text for a shell."""

from __future__ import annotations

import shlex
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from medical_team.engines.command import save_interval, shell_text
from medical_team.engines.process import job_word_problems

WORDS = st.text('aZ9-./= {}:"$\\*', min_size=1, max_size=8)


def test_a_shell_reads_the_words_that_were_meant() -> None:
    tricky = ["", "a b", "$HOME", "`id`", 'say "x"', "it's", "a\\b", "*", "line\nbreak", "{a,b}", "--c=#1"]
    text = shell_text(["printf", "<%s>", *tricky], [("--option", *tricky), ("--flag",)], {"NAME": "$a value"})

    seen = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=True).stdout

    assert seen == "".join(f"<{word}>" for word in [*tricky, "--option", *tricky, "--flag"])
    assert text.startswith("NAME='$a value' ")


@given(st.integers(1, 500), st.integers(1, 500))
def test_an_interval_saves_the_last_step_and_is_near_what_was_asked(steps: int, save_every: int) -> None:
    interval = save_interval(steps, save_every)

    assert steps % interval == 0
    assert interval <= save_every or all(steps % number for number in range(save_every + 1, interval))


@given(WORDS)
def test_a_word_reaches_a_job_as_it_is_or_is_told(word: str) -> None:
    # What `ray job submit` makes of it, and what a shell reads.
    assert any(job_word_problems([word])) or shlex.split(subprocess.list2cmdline([word])) == [word]


def test_what_a_clusters_shell_would_change_is_told() -> None:
    told = list(job_word_problems(["--a", "/plain/path", "with space", "$HOME", "a;b", 'say "x" $1']))

    assert len(told) == 3
    assert "'$HOME'" in told[0]
