"""What works with which architecture: trains a tiny random model of each for a step, exports it and loads it again.

    python benchmarks/architectures.py [--write] [MODEL_TYPE ...]

Each is loaded, probed, trained for one step with LoRA and with all weights, exported, and loaded again; greedy replies
and log-probs must be those of the trained policy. `--write` puts the table into `docs/architectures.md`, with which
`tests/policy/test_architectures.py` compares what it finds.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "policy")]

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from architecture_trial import Trial, try_architecture  # noqa: E402
from tiny_architectures import SHAPES, tiny_model  # noqa: E402
from transformers import PreTrainedModel  # noqa: E402
from transformers.pytorch_utils import Conv1D  # noqa: E402

from medical_team.policy.adapter import attach_adapter  # noqa: E402
from medical_team.policy.transformers_inside import head_of, named_layers  # noqa: E402

PAGE = REPOSITORY / "docs" / "architectures.md"
BEGIN = "<!-- table: python benchmarks/architectures.py --write -->"
END = "<!-- end of table -->"
HEADER = (
    "| architecture | `model_type` | LoRA | all weights | activations recomputed | replies | LoRA adapts "
    "| and leaves out |"
)
EXPERTS = "experts"
NUMBERS = re.compile(r"(\.\d+)+$")
SUFFIXES = ("ForCausalLM", "LMHeadModel", "PreTrainedModel")


@dataclass(frozen=True)
class Row:
    name: str
    model_type: str
    lora: Trial
    full: Trial
    recomputed: Trial
    adapted: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def cells(self) -> Sequence[str]:
        trials = (self.lora, self.full, self.recomputed)
        ways = sorted({trial.replies for trial in trials} - {""})
        return (
            self.name,
            f"`{self.model_type}`",
            *("works" if trial.works else "no" for trial in trials),
            ", ".join(ways),
            ", ".join(self.adapted),
            ", ".join(self.left_out),
        )

    @property
    def failures(self) -> Iterator[str]:
        named = (("LoRA", self.lora), ("all weights", self.full), ("activations recomputed", self.recomputed))
        for what, trial in named:
            if not trial.works:
                yield f"- {self.name}, {what}: {trial.refusal or trial}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model_types", nargs="*", metavar="MODEL_TYPE", help="by default all")
    arguments.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(REPOSITORY)}")
    chosen = arguments.parse_args()
    if unknown := set(chosen.model_types) - set(SHAPES):
        arguments.error(f"no shape for {', '.join(sorted(unknown))}; there are {', '.join(SHAPES)}")
    if chosen.write and chosen.model_types:
        arguments.error("--write wants the whole table")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    rows: list[Row] = []
    print(HEADER)
    for model_type in chosen.model_types or sorted(SHAPES):
        rows.append(row_of(model_type))
        print(line_of(rows[-1].cells), flush=True)
    print("\n".join(failure for row in rows for failure in row.failures))
    if chosen.write:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


def row_of(model_type: str) -> Row:
    model = tiny_model(model_type)
    name = type(model).__name__
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    adapted, left_out = layers_of(model, model_type)
    with tempfile.TemporaryDirectory() as folder:
        lora = try_architecture(model_type, "lora", Path(folder) / "lora", is_verified=True)
        full = try_architecture(model_type, "full", Path(folder) / "full", is_verified=True)
        recomputed = try_architecture(
            model_type, "lora", Path(folder) / "recomputed", gradient_checkpointing=True, is_verified=True
        )
    return Row(name, model_type, lora, full, recomputed, adapted, left_out)


def layers_of(model: PreTrainedModel, model_type: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The last names of the linear layers that LoRA adapts, and of those that it leaves out, the head apart."""
    head = head_of(model)
    linear = {name for name, layer in named_layers(model) if isinstance(layer, (torch.nn.Linear, Conv1D))}
    linear -= {name for name, layer in named_layers(model) if layer is head}
    has_experts = any("expert" in name and weights.ndim > 2 for name, weights in model.named_parameters())
    attached = attach_adapter(model, name=model_type, rank=2, generator_seed=0)
    marked = (name.partition(".lora_A")[0] for name, _ in attached.named_parameters() if ".lora_A" in name)
    adapted = {name.removeprefix("base_model.model.") for name in marked}
    left_out = last_names(linear - adapted) + ((EXPERTS,) if has_experts else ())
    return last_names(adapted), left_out


def last_names(names: set[str]) -> tuple[str, ...]:
    """Without the numbers at the end of layers in a list."""
    return tuple(sorted({NUMBERS.sub("", name).rpartition(".")[2] for name in names}))


def page(text: str, rows: Sequence[Row]) -> str:
    """``text`` with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    count = sum(row.lora.works and row.full.works for row in rows)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    table = "\n".join([HEADER, "|---" * len(rows[0].cells) + "|", *(line_of(row.cells) for row in rows)])
    failures = "\n".join(failure for row in rows for failure in row.failures)
    return (
        f"{before}{BEGIN}\n\n{count} of {len(rows)} work with LoRA and with all weights ({versions}, on a CPU).\n\n"
        f"{table}\n\nWhat doesn't work, in the words of the message that ends the run:\n\n{failures}\n"
        f"{END}{rest.partition(END)[2]}"
    )


def line_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
