"""``medical-team quickstart`` with the policy that ships: self-play that visibly makes the assessor better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..config import RunConfig
from ..errors import MissingDependencyError
from ..report.demo import example_text, save_demo_plot, scores_text
from ..report.display import make_display
from ..report.listeners import usual_listeners
from ..runs.config_file import load_preset
from ..runs.folder import RunFolder
from .arguments import say
from .train import conclude, training_session

HELDOUT_CASES = 32
PLOT_FILE = "self_play.png"

_INTRODUCTION = """\
Medical self-red-teaming, small: an attacker that hides errors in clinical notes and an assessor that finds them, both
played by one model of a million parameters, which was shown how to play and speaks the language of the synthetic
notes alone. It was taught the verdicts for {taught} conditions. Those for {untaught} others it learns by playing alone:
{steps} steps of {games} games, judged by the table that made the notes.
Research software, not for clinical use.
"""

_SCORES = """
The assessor on held-out notes, before and after self-play: balanced accuracy (0.50 is guessing) with 95 % intervals.

{scores}

Common errors abound in the notes to play with; rare ones are brought in by attackers alone. Conditions never seen are
in no training of any kind: there nothing can be known, and no gain is claimed.
"""

_NEXT = """
What to try next:
  medical-team report {path}                   every game and curve, as a page
  medical-team quickstart --policy smollm2     the same with a real pre-trained model, briefly
  medical-team data build MEDEC.csv -o data    real notes: MEDEC to training records
"""


def run_quickstart_demo(path: Path, *, steps: int | None, games: int | None) -> int:
    """Play, learn, and show what changed. Returns the exit status."""
    training_session()
    from ..data.synthetic.demo_world import TAUGHT, UNTAUGHT
    from ..train.demo_run import run_demo

    config = _config(steps, games)
    training = config.training
    with make_display() as display:
        display.notice(
            _INTRODUCTION.format(taught=TAUGHT, untaught=UNTAUGHT, steps=training.steps, games=training.games_per_step)
        )
        result = run_demo(config, path, usual_listeners(display), heldout_cases=HELDOUT_CASES)
        if result.scores:
            display.notice(_SCORES.format(scores=scores_text(result.scores)))
            if result.example is not None:
                display.notice(f"One of the held-out notes:\n\n{example_text(*result.example)}\n")
            plot = path / PLOT_FILE
            try:
                save_demo_plot(plot, list(RunFolder.open(path).metrics()), result.scores)
                display.notice(f"The same as a picture: {plot}")
            except MissingDependencyError as error:
                display.warn(f"no picture: {error}")
    status = conclude(path, is_finished=result.training.is_finished, completed_steps=result.training.completed_steps)
    say(_NEXT.format(path=path))
    return status


def _config(steps: int | None, games: int | None) -> RunConfig:
    config = load_preset("demo")
    chosen = {"steps": steps, "games_per_step": games}
    changes = {name: value for name, value in chosen.items() if value is not None}
    return replace(config, training=replace(config.training, **changes))
