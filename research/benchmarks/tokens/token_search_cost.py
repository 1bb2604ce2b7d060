"""What a token search costs, against asking each of its members once: CPU seconds of one process,
models loaded before.

    python research/benchmarks/tokens/token_search_cost.py --experts EXPERTS/* --task TASK --dev 200 \\
        --test 200

The search makes every iteration (no patience), scores its result on dev and test, and writes its
run directory; the members' own evaluations are what `swarm-llm eval` asks, on dev and on test.
Goal: a ratio of at most 1.1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy, possible_scorings
from pyswarmopt_llm.searching.prepare import prepare


def own_evaluations(config: SearchConfig) -> float:
    """CPU seconds that the members take, one after the other, for dev and test."""
    job = prepare(config)
    (task,) = job.tasks.values()
    (scoring,) = possible_scorings(config.scoring, task.dev)
    total = 0.0
    for name, member in job.engine.members.items():
        start = time.process_time()
        dev, test = (
            Accuracy(items, scoring, member.chat, task.prompt)(member)
            for items in (task.dev, task.test)
        )
        total += time.process_time() - start
        print(f"{name}: dev {dev.value:.3f}, test {test.value:.3f}", flush=True)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experts", nargs="+", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--base", default="")
    parser.add_argument("--dev", type=int, default=200)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--particles", type=int, default=20)
    parser.add_argument("--max-iter", type=int, default=50)
    parser.add_argument("--scoring", default="likelihood", choices=["likelihood", "letter"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = SearchConfig(
            base=args.base,
            experts=tuple(args.experts),
            tasks=(args.task,),
            out=str(Path(folder) / "run"),
            preset="none",
            space="token",
            particles=args.particles,
            max_iter=args.max_iter,
            patience=args.max_iter + 1,
            dev=args.dev,
            test=args.test,
            scoring=args.scoring,
        )
        asking = own_evaluations(config)
        moments: dict[str, float] = {}
        result = search(
            config, lambda event: moments.update({event.kind: time.process_time()})
        ).result
    spent = moments["done"] - moments["start"]
    print(
        f"members' own evaluations {asking:.1f} s, search {spent:.1f} s ({result['evaluations']} "
        "evaluations)"
    )
    print(f"search / own evaluations: {spent / asking:.3f}")


if __name__ == "__main__":
    main()
