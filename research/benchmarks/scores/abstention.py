"""Abstention: a right answer counts 1, a wrong one -1, "I do not know" 0 (AbstainQA).

    python research/benchmarks/scores/abstention.py TASKS/intent.json EXPERTS \\
        --out runs/abstention --outcomes research/evidence/abstention.jsonl

The file has questions with options, EXPERTS is a folder of adapters of SmolLM2-135M. The model
chooses by likelihood, then judges whether its answer is true. Who never answers has 0, who never
abstains twice the accuracy less 1. A line of the outcomes is a method and a seed, with the value of
each test item.
"""

from __future__ import annotations

from runs import on_file

if __name__ == "__main__":
    on_file(__doc__, metrics=("abstain",), scoring="likelihood")
