"""What ``--train.agent_func_path`` of OpenRLHF names: the class ``AgentExecutor``, which plays our games.

OpenRLHF loads this file by its path, so it has no package around it. The package that it lies in is loaded from where
it lies, under its own folder's name, without a change to ``sys.path``: whatever else the engine's environment has
installed, the games are played by this very copy.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from openrlhf.utils.agent import AgentExecutorBase


def _agent_module() -> ModuleType:
    """The module with the agent's logic, inside the package that this file belongs to."""
    folder = Path(__file__).resolve().parents[2]
    name = _loaded_name(folder)
    try:
        return importlib.import_module(f"{name}.engines.openrlhf.agent")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is missing in the environment of OpenRLHF ({sys.executable}). Install what playing needs "
            "there: python -m pip install httpx pydantic rapidfuzz tomli-w"
        ) from error


def _loaded_name(folder: Path) -> str:
    """The name under which the package in ``folder`` is loaded; it is loaded if it is not."""
    name = folder.name
    while (loaded := sys.modules.get(name)) is not None:
        if loaded.__file__ and Path(loaded.__file__).resolve().parent == folder:
            return name
        # Another package has this name. Ours works under any.
        name += "_agent"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} holds no package that can be loaded")
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return name


class AgentExecutor(AgentExecutorBase):
    """Plays the games of the run that the environment variable MEDICAL_TEAM_RUN names."""

    def __init__(self) -> None:
        self._agent = _agent_module().agent_from_environment()

    async def execute(
        self,
        prompt: str,
        label: str,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """One sample of one game; see the package's engines/openrlhf/agent.py."""
        return await self._agent.execute(
            prompt, label, sampling_params, max_length, hf_tokenizer, llm_engine, images=images
        )
