"""Answers, in an engine's own Python, what that Python has installed, or what the engine's own parser makes of a
command line.

Run as a file, with the standard library alone: it must run on Python 3.8, imports nothing of this package, and prints
one line of JSON. Its argument is a JSON object with the ``paths`` of folders to look in first, and one question: which
of ``distributions`` are installed and where ``package`` lies, which ``names`` of modules can't be imported, or what the
parser of the command ``module`` makes of its ``arguments``.

Every engine of the OpenRLHF family reads its arguments in the block under ``if __name__ == "__main__"``, checks them,
and then calls ``get_strategy(args)`` first of all that needs a GPU: there it ends. Ray, torch and the engine's other
modules are replaced by stand-ins, so that nothing is loaded or started.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import runpy
import sys
import types
from typing import Any, NoReturn

_STAND_INS = ("ray", "torch", "modelscope")
# Turns "a.b" of parsed arguments into nested objects; of the engine's own modules, the parser needs this one.
_REAL_MODULE = "utils.config"


def main() -> None:
    """Print the answer."""
    wanted = json.loads(sys.argv[1])
    # Our own folder, where this file lies, would hide the engine's packages; the engine's command is run elsewhere.
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = wanted["paths"] + [path for path in sys.path if path and os.path.abspath(path) != here]  # noqa: PTH100
    if "module" in wanted:
        answer: object = _parsed(wanted["module"], wanted["arguments"])
    elif "names" in wanted:
        answer = _import_problems(wanted["names"])
    else:
        answer = {
            "executable": sys.executable,
            "version": platform.python_version(),
            "distributions": {name: _version(name) for name in wanted["distributions"]},
            "folder": _folder(wanted["package"]),
        }
    sys.stdout.write(json.dumps(answer) + "\n")


def _import_problems(names_of_modules: dict[str, list[str]]) -> list[str]:
    # Nothing is left in a folder that is only looked at.
    sys.dont_write_bytecode = True
    problems: list[str] = []
    for module, names in names_of_modules.items():
        try:
            found = importlib.import_module(module)
        except Exception as error:  # noqa: BLE001
            problems.append(module + " can't be imported: " + type(error).__name__ + ": " + str(error))
        else:
            problems.extend(module + " has no " + name for name in names if not hasattr(found, name))
    return problems


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folder(name: str) -> str | None:
    # Of a top-level module, looking runs no code of it.
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return folders[0] if folders else spec.origin


class _ParsedError(BaseException):
    """Ends the engine's command once its arguments are read. Not an Exception: nothing there may catch it."""

    def __init__(self, settings: object) -> None:
        super().__init__()
        self.settings = settings


class _RefusedError(BaseException):
    """Ends it when its parser refuses an argument."""


class _Anything:
    """Stands in for whatever the engine imports: it can be called, made, subscribed and derived from."""

    def __init__(self, *_: object, **__: object) -> None:
        pass


class _StandIn(types.ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything


class _StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives stand-ins for the engine's modules and for the heavy libraries."""

    def __init__(self, package: str, folder: str) -> None:
        self._package = package
        self._real = {package + "." + _REAL_MODULE: os.path.join(folder, *_REAL_MODULE.split(".")) + ".py"}  # noqa: PTH118

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in (self._package, *_STAND_INS):
            return None
        real = self._real.get(fullname)
        if real is not None and os.path.exists(real):  # noqa: PTH110
            return importlib.util.spec_from_file_location(fullname, real)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ == self._package + ".utils":
            module.get_strategy = _stop  # type: ignore[attr-defined] - modules get new names


def _parsed(module: str, arguments: list[str]) -> dict[str, object]:
    package = module.partition(".")[0]
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    if not folders:
        return _refusal("there is no package " + package)
    script = os.path.join(folders[0], *module.split(".")[1:]) + ".py"  # noqa: PTH118
    if not os.path.exists(script):  # noqa: PTH110
        return _refusal("its package " + package + " has no command " + module)
    for name in [name for name in sys.modules if name.partition(".")[0] in (package, *_STAND_INS)]:
        del sys.modules[name]
    sys.meta_path.insert(0, _StandInFinder(package, folders[0]))
    inexact: list[str] = []
    _watch_parser(inexact)
    sys.argv = [script, *arguments]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            runpy.run_path(script, run_name="__main__")
    except _ParsedError as end:
        return {
            "is_accepted": not inexact,
            "problem": _inexact_problem(inexact),
            "remarks": _lines(said),
            "settings": _flat(end.settings),
        }
    except _RefusedError as refusal:
        return _refusal(str(refusal), said)
    except AssertionError as error:
        return _refusal(str(error) or "an assertion failed", said)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return _refusal(type(error).__name__ + ": " + str(error), said)
    return _refusal("it ended before it began to train", said)


def _watch_parser(inexact: list[str]) -> None:
    """Note options that the parser only understands as abbreviations, and make its refusals exceptions of ours."""
    read = argparse.ArgumentParser.parse_args

    def read_exactly(self: Any, *given: Any, **named: Any) -> Any:
        options = [argument.partition("=")[0] for argument in sys.argv[1:] if argument.startswith("--")]
        inexact.extend(option for option in options if option not in self._option_string_actions)
        return read(self, *given, **named)

    def refuse(self: argparse.ArgumentParser, message: str) -> NoReturn:
        raise _RefusedError(message)

    argparse.ArgumentParser.parse_args = read_exactly
    argparse.ArgumentParser.error = refuse


def _stop(settings: object, *_: object, **__: object) -> None:
    raise _ParsedError(settings)


def _inexact_problem(inexact: list[str]) -> str | None:
    return "it has no option " + ", ".join(inexact) + " (it would take it for an abbreviation)" if inexact else None


def _refusal(problem: str, said: io.StringIO | None = None) -> dict[str, object]:
    remarks = _lines(said) if said is not None else []
    return {"is_accepted": False, "problem": problem, "remarks": remarks, "settings": {}}


def _lines(said: io.StringIO) -> list[str]:
    return [line.strip() for line in said.getvalue().splitlines() if line.strip()]


def _flat(settings: object, path: str = "") -> dict[str, object]:
    """Nested settings by their dotted names; what JSON has no form for as text."""
    flat: dict[str, object] = {}
    for name, value in vars(settings).items():
        if hasattr(value, "__dict__") and not isinstance(value, type):
            flat.update(_flat(value, path + name + "."))
        else:
            flat[path + name] = _plain(value)
    return flat


def _plain(value: object) -> object:
    """``value`` if JSON has a form for it; else as text."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return str(value)


if __name__ == "__main__":
    main()
