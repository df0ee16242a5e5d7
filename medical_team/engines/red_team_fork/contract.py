"""What the fork imports from its ``red_team`` package, and whether a checkout has this package in that place.

The fork is the public repository mickelliu/selfplay-redteaming. Two commands put this package there::

    rm -rf FORK/red_team
    cp -r medical_team FORK/red_team

Standard library alone: other environments run this too.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
"""The package that is running: what is copied, and what a copy is compared with."""

REQUIRED_NAMES: Mapping[str, tuple[str, ...]] = {
    "": ("GameOutcome",),
    "prompts": ("ASSISTANT_THINKING_PREFIX", "DEFENDER_INSTRUCTION_COT_PROMPT", "SELF_DISTILLATION_INSTRUCTION_PROMPT"),
    "utils": (
        "REWARD_COEFF_CONFIG",
        "convert_game_history_to_conversation",
        "convert_game_history_to_messages",
        "cot_format_check_and_extract",
        "get_cot_formatting_reward",
        "get_redteaming_game_reward_general_sum",
        "get_redteaming_game_reward_zero_sum",
    ),
}
"""The names that the fork imports, by module inside ``red_team``; the empty module is the package itself."""

_FILES_SHOWN = 3

_IMPORT_SECONDS = 60.0
_PROBE = """
import importlib, json, sys
problems = []
for module, names in json.loads(sys.argv[1]).items():
    path = "red_team" + ("." + module if module else "")
    try:
        found = importlib.import_module(path)
    except Exception as error:
        problems.append(path + " can't be imported: " + type(error).__name__ + ": " + str(error))
        continue
    problems += [path + " has no " + name for name in names if not hasattr(found, name)]
print(json.dumps(problems))
"""


def copy_problems(fork: Path) -> list[str]:
    """Why the fork's ``red_team`` is not this package, each problem with what mends it; empty when it is.

    Nothing is imported: the files are looked at, so that this works whatever Python the fork needs.

    Args:
        fork: the fork's checkout, which holds ``openrlhf`` and ``red_team``.
    """
    copied = fork / "red_team"
    source, destination = shlex.quote(str(PACKAGE_FOLDER)), shlex.quote(str(copied))
    copying = f"rm -rf {destination} && cp -r {source} {destination}"
    if not (fork / "openrlhf").is_dir():
        return [f"{fork} is no checkout of the fork: it holds no folder openrlhf"]
    if not copied.is_dir():
        return [f"{copied} is not there: {copying}"]
    if (copied / PACKAGE_FOLDER.name).is_dir():
        return [f"the package lies inside {copied} instead of in its place, since it was not removed first: {copying}"]
    if not (copied / Path(__file__).resolve().relative_to(PACKAGE_FOLDER)).is_file():
        return [f"{copied} is still the fork's own: {copying}"]
    theirs = _sources(copied)
    changed = [name for name, text in _sources(PACKAGE_FOLDER).items() if theirs.get(name) != text]
    if changed:
        shown = ", ".join(changed[:_FILES_SHOWN]) + (", ..." if len(changed) > _FILES_SHOWN else "")
        return [f"{copied} is another version of this package ({len(changed)} files differ: {shown}): {copying}"]
    return []


def import_problems(fork: Path, python: str) -> list[str]:
    """Why the fork can't import what it needs from its ``red_team``, tried by its own Python; empty when it can.

    Args:
        fork: the fork's checkout.
        python: the Python of the fork's environment.
    """
    command = [python, "-B", "-c", _PROBE, json.dumps(REQUIRED_NAMES)]
    try:
        done = subprocess.run(command, cwd=fork, capture_output=True, text=True, timeout=_IMPORT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"{python} can't be run in {fork}: {error}"]
    try:
        problems: list[str] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last_words = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return [f"{python} ended with {done.returncode} when it imported red_team in {fork}: {last_words[0]}"]
    return problems


def _sources(package: Path) -> Mapping[str, bytes]:
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in sorted(package.rglob("*.py"))}
