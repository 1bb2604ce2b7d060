"""The four types of objective in Python: the searches that README.md runs on the command line.

    python examples/objectives/from_python.py single runs/py-single
    python examples/objectives/from_python.py several runs/py-several --quick

The types are single, several, reward (which trains the reward model first if it is missing) and judge
(an endpoint if SWARM_LLM_JUDGE_URL is set, otherwise the embedded model itself, a poor judge).
`--quick` is a smoke test with two experts, two items and no iterations.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import train_reward

from pyswarmopt_llm import SearchConfig, search

HERE = Path(__file__).parent
EMBEDDED = "embedded:smollm2-135m"
EXPERTS = tuple(str(path) for path in sorted((HERE.parent / "experts").iterdir()))


def configuration(kind: str, out: Path) -> SearchConfig:
    """The configuration of a search; the other settings are the defaults of `swarm-llm search`."""
    prompts = str(HERE / "prompts.json")
    if kind == "single":
        return SearchConfig(EMBEDDED, EXPERTS, ("builtin:requests",), str(out), dev=96, test=200)
    if kind == "several":
        tasks = ("builtin:requests-bank", "builtin:requests-travel")
        return SearchConfig(EMBEDDED, EXPERTS, tasks, str(out), dev=24, test=40)
    small = SearchConfig(EMBEDDED, EXPERTS, (prompts,), str(out), particles=8, max_iter=3)
    if kind == "reward":
        model = out.with_name("reward-concise")
        if not model.exists():
            train_reward.main("concise", model)
        return replace(small, metrics=(f"reward:{model}",))
    return replace(
        small,
        metrics=("judge" if "SWARM_LLM_JUDGE_URL" in os.environ else f"local-judge:{EMBEDDED}",),
    )


def main(kind: str, out: Path, quick: bool) -> None:
    """Run the search and print its scores."""
    config = configuration(kind, out)
    if quick:
        config = replace(config, experts=EXPERTS[:2], particles=2, max_iter=0, dev=2, test=2)
    result = search(config).result
    for name in ("best", "best_single"):
        print(f"{name}: dev {result[f'{name}_dev']:.3f}, test {result[f'{name}_test']:.3f}")


if __name__ == "__main__":
    kinds = ("single", "several", "reward", "judge")
    quick = sys.argv[3:] == ["--quick"]
    if len(sys.argv) != 3 + quick or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), quick)
