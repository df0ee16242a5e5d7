"""Run by the Python that will train, with a model's folder: does its chat template show a message as it is?

Prints one line of JSON: ``problem``, empty where all is well, or ``skipped``, why it could not be looked at.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Read the tokenizer of the folder that is named, and fill its chat template."""
    # The folder of this file comes first, and its modules are not meant by `import secrets` or `import ray`.
    sys.path.pop(0)
    # A tokenizer needs no torch, whose import takes long and may fail for reasons that are told elsewhere.
    sys.modules["torch"] = None  # type: ignore[assignment]
    package = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(package.parent))
    sys.stdout.write("\n" + json.dumps(_told(sys.argv[1], package.name)) + "\n")


def _told(folder: str, package: str) -> dict[str, str]:
    probe: Any = importlib.import_module(f"{package}.chat_template")
    try:
        tokenizers: Any = importlib.import_module("transformers").AutoTokenizer
    except Exception as error:  # noqa: BLE001 - a broken installation is told elsewhere
        return {"problem": "", "skipped": f"transformers can't be imported ({type(error).__name__})"}
    try:
        tokenizer = tokenizers.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - a tokenizer may be broken in any way
        return {"problem": f"can't be read, since its tokenizer can't: {_reason(error)}", "skipped": ""}
    if not tokenizer.chat_template:
        return {"problem": "is missing: take the model's instruct variant", "skipped": ""}

    def render(messages: object, is_thinking: bool) -> Any:
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=is_thinking
        )

    try:
        return {"problem": probe.template_problem(render) or "", "skipped": ""}
    except Exception as error:  # noqa: BLE001 - a template may fail in any way
        return {"problem": f"can't be filled with a user's message: {_reason(error)}", "skipped": ""}


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    main()
