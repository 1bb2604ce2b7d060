"""Use your own metric, without labels: a program checks what the model writes.

python examples/gallery/own_score.py score.png
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import pyswarmopt_llm as sl

LETTERS = Path(__file__).parents[1] / "letters"
RULES = {
    "reverse": lambda word: word[::-1],
    "pairs": lambda word: [word[1], word[0], word[3], word[2]],
    "halves": lambda word: word[2:] + word[:2],
}
LABELS = {
    "base": "base model",
    "uniform": "average",
    "best_single": "best adapter",
    "best": "search",
}


def check(prompt: str, reply: str) -> float:
    """1 if the reply applies the rule to the letters, as in "Question: reverse a b c d"."""
    rule, *word = prompt.removeprefix("Question: ").split()
    return float(reply.split() == RULES[rule](word))


def main(picture: str) -> None:
    """Search, and draw the scores of four models."""
    with tempfile.TemporaryDirectory() as folder:
        config = sl.SearchConfig(
            base=str(LETTERS / "base"),
            experts=tuple(str(path) for path in sorted((LETTERS / "experts").iterdir())),
            tasks=(),
            metrics=(f"{__file__}:check",),
            prompts=str(LETTERS / "prompts.jsonl"),
            dev=100,
            train="off",  # on: further training on the best replies
            max_new_tokens=6,
            dtype="float32",
            out=f"{folder}/run",
        )
        models = sl.search(config).result["models"]

    scores = {label: models[name]["test"]["value"] for name, label in LABELS.items()}
    print(scores)
    figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    ax.barh(list(scores), list(scores.values()))
    ax.set(xlim=(0, 1), xlabel="right replies to test prompts")
    figure.savefig(picture)


if __name__ == "__main__":
    main(sys.argv[1])
