"""Compare the best of ten adapters and their average with the mixture that a search finds.

    python examples/gallery/adapters.py adapters.png

Each adapter of a small letter model knows two rules, but the questions need three.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import pyswarmopt_llm as sl

LETTERS = Path(__file__).parents[1] / "letters"
TASK = LETTERS.parent / "unlike" / "task.json"
NAMES = {
    "best_single": "best adapter",
    "uniform": "average",
    "mixture": "mixture",
    "trained": "mixture,\nfine-tuned",
}

with tempfile.TemporaryDirectory() as folder:
    config = sl.SearchConfig(
        base=str(LETTERS / "base"),
        experts=tuple(str(path) for path in sorted((LETTERS / "experts").iterdir())),
        tasks=(str(TASK),),
        out=f"{folder}/run",
        dtype="float32",
    )
    models = sl.search(config).result["models"]

scores = {label: models[name]["test"] for name, label in NAMES.items() if name in models}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for i, (label, score) in enumerate(scores.items()):
    low, high = score["interval"]
    ax.errorbar(i, score["value"], [[score["value"] - low], [high - score["value"]]], fmt="o")
    print(f"{label!r}: {score['value']:.3f} [{low:.3f}, {high:.3f}]")
ax.set_xticks(range(len(scores)), scores)
ax.set(ylim=(0, 1), ylabel="right on test, 95% interval")
figure.savefig(sys.argv[1])
