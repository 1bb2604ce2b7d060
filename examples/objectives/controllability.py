"""Measure controllability: how often a run for a verbose reward writes more on held-out prompts than
a run for a concise reward.

python examples/objectives/controllability.py runs/verbose runs/concise
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyswarmopt_llm as sl
from pyswarmopt_llm.external.classifiers import controllability
from pyswarmopt_llm.scores.metrics.metric import Written

TOKENS = 200  # maximum per reply, as in searches with a reward model


def main(verbose: Path, concise: Path) -> None:
    """Print the controllability and both mean lengths."""
    config = json.loads((verbose / "run.json").read_text())["config"]
    task = sl.load_task(config["tasks"][0])
    engine = sl.open_model(
        config["base"], None, config["dtype"], config["device"], config["threads"]
    )
    written = Written(
        task.test, lambda items, texts: [0.0] * len(texts), engine.chat, task.prompt, TOKENS
    )
    replies = []
    for run in (verbose, concise):
        engine.load(sl.adapter_patch(config["base"], str(run / "best")))
        replies.append(written.answers(engine))
        print(
            f"{run}: {sum(len(text.split()) for text in replies[-1]) / len(task.test):.1f} words "
            "on average"
        )
    print(
        f"controllability {controllability(*replies):.2f} on {len(task.test)} prompts (0.5 is "
        "none, 1 is full)"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
