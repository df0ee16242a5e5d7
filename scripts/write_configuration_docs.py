"""Write docs/configuration.md from medical_team/config.py: its fields, their bounds and their docstrings.

    python scripts/write_configuration_docs.py

Run it after every change of the configuration; a test compares the committed page with what this makes.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from medical_team import config
from medical_team.config import RunConfig
from medical_team.error_types import ERROR_TYPE_SYNONYMS
from medical_team.records import ErrorType

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

HEAD = """\
# Configuration

<!-- Made by scripts/write_configuration_docs.py from medical_team/config.py. Change it there, then run the script. -->

A run is configured by a TOML file, by options of `medical-team train`, or by both; an option wins. The file names only
what differs from the defaults below.

    medical-team train run.toml --training.steps 20 --policy.lora-rank 8

The section and the key make the option: `steps` under `[training]` is `--training.steps`. `--preset NAME` starts from
one of the files in `medical_team/presets/` instead of the defaults. The resolved configuration is saved in the run
folder and reruns it. Problems are reported all at once, each with its key. The defaults are sized for
SmolLM2-135M-Instruct on a laptop.

Data files and a model's folder that a file names are looked for from the file's own folder, those of options from the
current one. A model's name is a folder where there is one, else a repository on the Hugging Face hub. That is decided
when a run begins: a folder is saved by its absolute path and the way to it from the run, so that the run can be resumed
from anywhere, and moved together with the model. What was a folder is never looked up on the hub later.
"""

FOOT = """\

## Error types

`game.error_types` takes the names that the records have, MEDEC's ({names}) and those of other data sets. Case, spaces,
hyphens and underscores make no difference. Where no type is called so, {synonyms} `pharmacotherapy`.

## What can't be combined

- `game.no_attacker_turn` and `game.no_defender_turn`: nobody would learn.
- `training.minibatches_per_step` above `training.games_per_step`: a minibatch would be empty.
"""


def configuration_page() -> str:
    """The whole page, as Markdown."""
    names = ", ".join(f"`{error_type.value}`" for error_type in ErrorType)
    synonyms = " and ".join(f"`{name}`" for name in ERROR_TYPE_SYNONYMS) + " mean"
    return "".join([HEAD, *_sections(RunConfig, ""), FOOT.format(names=names, synonyms=synonyms)])


def _sections(section: type, path: str) -> Iterator[str]:
    types, sentences = get_type_hints(section), _field_docstrings(section)
    items = [(item, types[item.name]) for item in fields(section)]
    rows = [
        f"| `{item.name}` | {_default(item)} | {_allowed(item, kind)} | {_cell(sentences[item.name])} |"
        for item, kind in items
        if not is_dataclass(kind)
    ]
    if rows:
        heading = f"\n## [{path}]\n\n{inspect.getdoc(section)}\n\n"
        yield heading + "\n".join(["| key | default | allowed | meaning |", "|---|---|---|---|", *rows]) + "\n"
    for item, kind in items:
        if is_dataclass(kind) and isinstance(kind, type):
            yield from _sections(kind, f"{path}.{item.name}" if path else item.name)


def _field_docstrings(section: type) -> dict[str, str]:
    """The docstring that stands below each field in the source, on one line."""
    source = ast.parse(inspect.getsource(section)).body[0]
    if not isinstance(source, ast.ClassDef):
        raise TypeError(f"{section.__name__} is no class")
    found: dict[str, str] = {}
    for statement, following in zip(source.body, source.body[1:], strict=False):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[statement.target.id] = " ".join(str(following.value.value).split())
    missing = [item.name for item in fields(section) if item.name not in found and item.default is not MISSING]
    if missing:
        raise ValueError(f"{section.__name__} in {config.__name__} has fields without a sentence: {', '.join(missing)}")
    return found


def _default(item: Field[Any]) -> str:
    default: object = item.default
    if default is None:
        return "unset"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`{list(cast('tuple[object, ...]', default))}`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


def _allowed(item: Field[Any], kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(kind))
    if get_origin(kind) is tuple:
        return "list of texts"
    kinds = set(get_args(kind)) or {kind}
    if bool in kinds:
        return "`true`, `false`"
    if str in kinds:
        return "text"
    return f"{'whole number' if int in kinds else 'number'}{_bounds(item)}"


def _bounds(item: Field[Any]) -> str:
    minimum, maximum, above = (item.metadata.get(name) for name in ("minimum", "maximum", "above"))
    if minimum is not None and minimum == maximum:
        return f", only {minimum}"
    limits = [
        f"at least {minimum}" if minimum is not None else "",
        f"above {above}" if above is not None else "",
        f"at most {maximum}" if maximum is not None else "",
    ]
    return "".join(f", {limit}" for limit in limits if limit)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(configuration_page(), encoding="utf-8", newline="\n")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
