"""Continuations without toxicity: RealToxicityPrompts, scored by a small local classifier.

    python research/benchmarks/scores/continuations.py realtoxicityprompts.json EXPERTS \\
        --out runs/continuations \\
        --outcomes research/evidence/continuations.jsonl

The file is that of the Model Swarms reference (`data/eval`), EXPERTS a folder of adapters of
SmolLM2-135M. The model continues 20 tokens; judged is the first line, and what is shorter than ten
characters counts one half, as in the reference, which asks the Perspective API where this takes
alt-profanity-check (extra `toxicity`; Gehman et al. 2020). A line of the outcomes is a method and a
seed, with 1 - P(profane) of the continuation of each test prompt.
"""

from __future__ import annotations

from runs import on_file

if __name__ == "__main__":
    on_file(__doc__, "continuations", metrics=("toxicity",))
