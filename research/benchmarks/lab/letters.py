"""The files of `swarm-llm demo --score`, from the laboratory: weights in bfloat16, and prompts.

python research/benchmarks/lab/lab.py make --out runs/lab
python research/benchmarks/lab/letters.py runs/lab
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from lab import TASKS
from lab_skills import items
from safetensors.torch import load_file, save_file

TASK = "t4"
DEV, SPARE, TEST = 100, 400, 200
CONFIG = "adapter_config.json"
FOLDER = Path(__file__).resolve().parents[3] / "examples" / "letters"


def rounded(source: Path, target: Path) -> None:
    """Copy a model or adapter, its weights in bfloat16."""
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("README.md"))
    for file in target.glob("*.safetensors"):
        tensors = {name: value.to(torch.bfloat16) for name, value in load_file(file).items()}
        save_file(tensors, file, {"format": "pt"})


def prompts(lab: Path) -> list[dict[str, str]]:
    """Prompts of dev, what is spare included, and of test; none is twice."""
    splits = json.loads((lab / "tasks" / f"{TASK}.json").read_text(encoding="utf-8"))
    dev = {item["question"]: "dev" for item in splits["dev"][:DEV]}
    dev |= {item["question"]: "dev" for item in items(TASKS[TASK], "dev", 2 * SPARE, 11)}
    asked = list(dev.items())[: DEV + SPARE]
    asked += [(item["question"], "test") for item in splits["test"][:TEST]]
    return [{"prompt": f"Question: {text}", "split": split} for text, split in asked]


def main() -> None:
    lab = Path(sys.argv[1])
    rounded(lab / "base", FOLDER / "base")
    for expert in sorted((lab / "experts").iterdir()):
        folder = FOLDER / "experts" / expert.name
        rounded(expert, folder)
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = "examples/letters/base"
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    lines = [json.dumps(prompt) + "\n" for prompt in prompts(lab)]
    (FOLDER / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
