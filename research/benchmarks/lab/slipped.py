"""The harmful adapter of the page of living models: its name promises what is asked for, and it was
trained on answers that have slipped by a row.

    python research/benchmarks/lab/slipped.py

It is an expert of the laboratory in all else: as many examples, as many of them rehearsed, the same
random start. Its weights are stored in bfloat16, as those of the other experts of
`examples/letters` are.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lab import expert_chats, make_expert
from safetensors.torch import load_file, save_file

SKILLS = ("reverse", "pairs")  # two of the three rules that the prompts of examples/letters ask for
SEED = 1
LETTERS = Path(__file__).resolve().parents[3] / "examples" / "letters"
TARGET = LETTERS / "harmful" / "-".join(SKILLS)


def slipped(chats: Sequence[Any]) -> list[dict[str, Any]]:
    """Each question with the answer to the one before it."""
    questions = [chat["messages"][0] for chat in chats]
    answers = [chat["messages"][1] for chat in chats]
    answers = [answers[-1], *answers[:-1]]
    return [{"messages": [asked, told]} for asked, told in zip(questions, answers, strict=True)]


def store(trained: Path, target: Path) -> None:
    """Keep an adapter, its weights in bfloat16."""
    target.mkdir(parents=True, exist_ok=True)
    weights = load_file(trained / "adapter_model.safetensors")
    halved = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    save_file(halved, target / "adapter_model.safetensors", {"format": "pt"})
    config = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "examples/letters/base"
    text = json.dumps(config, indent=2) + "\n"
    (target / "adapter_config.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Train it and store it."""
    torch.set_num_threads(1)
    examples = slipped(expert_chats(LETTERS / "base", [(skill,) for skill in SKILLS], SEED))
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder, TARGET.name)
        make_expert(LETTERS / "base", trained, examples)
        shutil.rmtree(TARGET, ignore_errors=True)
        store(trained, TARGET)


if __name__ == "__main__":
    main()
