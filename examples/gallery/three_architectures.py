"""A Llama, a GPT-2 and a Gemma 3 answer together by mixing their next-token distributions.

    python examples/gallery/three_architectures.py tokens.png

Their architectures and vocabularies differ, so their weights cannot be averaged, but their
probabilities can.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import pyswarmopt_llm as sl

MODELS = Path(__file__).parents[1] / "unlike"

with tempfile.TemporaryDirectory() as folder:
    config = sl.SearchConfig(
        base="",  # each expert is a whole model
        experts=tuple(str(MODELS / name) for name in ("llama", "gpt2", "gemma3")),
        tasks=(str(MODELS / "task.json"),),
        space="token",
        dev=100,
        test=300,
        dtype="float32",
        out=f"{folder}/run",
    )
    result = sl.search(config).result

LABELS = {"best_single": "best model", "uniform": "uniform average", "best": "search"}
scores = {label: result["models"][name]["test"] for name, label in LABELS.items()}
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for i, (name, score) in enumerate(scores.items()):
    low, high = score["interval"]
    ax.errorbar(score["value"], i, xerr=[[score["value"] - low], [high - score["value"]]], fmt="o")
    print(f"{name}: {score['value']:.3f} [{low:.3f}, {high:.3f}]")
ax.set_yticks(range(len(scores)), scores)
ax.set(xlim=(0, 1), xlabel="right on test, 95% interval")
figure.savefig(sys.argv[1])
