"""How far two runs, one for a verbose and one for a concise reward, obey: on held-out prompts, who writes more.

    python examples/objectives/controllability.py runs/verbose runs/concise
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.metrics.classifiers.reward import REWARD_TOKENS, controllability
from pyswarmopt_llm.metrics.questions.written import Written
from pyswarmopt_llm.spaces.load import adapter_patch, open_model
from pyswarmopt_llm.tasks import load_task


def main(verbose: Path, concise: Path) -> None:
    """Print the measure and both mean lengths."""
    config = Run.open(verbose).config
    task = load_task(config.tasks[0])
    engine = open_model(config.base, None, config.dtype, config.device, config.threads)
    asked = Written(task.test, lambda items, texts: [0.0] * len(texts), engine.chat, task.prompt, REWARD_TOKENS)
    replies = []
    for run in (verbose, concise):
        engine.load(adapter_patch(config.base, str(run / "best")))
        replies.append(asked.answers(engine))
        print(f"{run}: {sum(len(text.split()) for text in replies[-1]) / len(task.test):.1f} words on average")
    print(f"controllability {controllability(*replies):.2f} on {len(task.test)} prompts (0.5 is none, 1 is full)")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
