"""Flatten, swarm, load: a swarm moves the weights of LoRA adapters, scored by a metric of `evaluate`.

    python examples/flatten_swarm_load.py --out runs/flat

Ten adapters for a Llama with 0.9 million weights write letters (`examples/letters`). A particle is
the flat tensor of one adapter's 81,920 weights. `--metric FOLDER` loads a downloaded metric, because
`evaluate` cannot find one by name without a network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import evaluate
import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import pyswarmopt as pso

LETTERS = Path(__file__).parent / "letters"
PLACES = {"reverse": (3, 2, 1, 0), "pairs": (1, 0, 3, 2), "halves": (2, 3, 0, 1)}


def prompts_and_answers(split: str, count: int) -> tuple[list[str], list[str]]:
    """Prompts such as ``Question: reverse a b c d``, and their right answers."""
    lines = (LETTERS / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    prompts = [row["prompt"] for row in rows if row["split"] == split][:count]
    answers = []
    for prompt in prompts:
        _, rule, *letters = prompt.split()
        answers.append(" ".join(letters[place] for place in PLACES[rule]))
    return prompts, answers


def replies(model: PeftModel, tokenizer: Any, prompts: Sequence[str]) -> list[str]:
    """The model's reply to each prompt, decoded greedily."""
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    inputs = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, return_tensors="pt", return_dict=True, padding=True
    )
    read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    written = model.generate(**read, max_new_tokens=6, do_sample=False)
    return tokenizer.batch_decode(
        written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metric", default="exact_match")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dev", type=int, default=100)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--moves", type=int, default=10)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(LETTERS / "base", padding_side="left")
    base = AutoModelForCausalLM.from_pretrained(LETTERS / "base", dtype=torch.float32)
    folders = sorted((LETTERS / "experts").iterdir())
    model = PeftModel.from_pretrained(base, folders[0])
    metric = evaluate.load(options.metric)

    experts = [load_file(folder / "adapter_model.safetensors") for folder in folders]
    layout = pso.FlatView(experts[0])
    positions = torch.stack([layout.flatten(expert).float() for expert in experts])

    def utility(weights: torch.Tensor, split: str, count: int) -> float:
        set_peft_model_state_dict(model, layout.views(weights))
        prompts, answers = prompts_and_answers(split, count)
        said = [text.strip() for text in replies(model, tokenizer, prompts)]
        (score,) = metric.compute(predictions=said, references=answers).values()
        return float(score)

    recipe = pso.recipes.model_swarms()
    swarm = pso.Swarm(positions=positions, population=20, recipe=recipe, maximize=True, seed=0)
    for _ in range(1 + options.moves):
        candidates = swarm.ask()
        scores = [utility(weights, "dev", options.dev) for weights in candidates]
        swarm.tell(candidates, torch.tensor(scores))
        print(f"best on dev {swarm.best.value:.3f}")

    set_peft_model_state_dict(model, layout.views(swarm.best.x))
    model.save_pretrained(options.out)
    alone = [utility(weights, "dev", options.dev) for weights in positions]
    best_expert = positions[alone.index(max(alone))]
    print(f"{positions.shape[1]:,} weights; best adapter on dev {max(alone):.3f}")
    of_best = utility(best_expert, "test", options.test)
    of_swarm = utility(swarm.best.x, "test", options.test)
    print(f"test: best adapter {of_best:.3f}, swarm {of_swarm:.3f}")


if __name__ == "__main__":
    main()
