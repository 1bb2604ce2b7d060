#!/usr/bin/env python3
"""Training data of one demo expert: its own skill, and the other skills as the base answers them, right or wrong.

Without such rehearsal an expert of a small model forgets how to answer anything else, and no sum of experts keeps what
each of them knows (Li & Hoiem 2016, arXiv 1606.09282, with the base's answers in the place of its distributions).

    python examples/rehearsal.py --skill tables --out tables.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

SKILLS = ("arithmetic", "kinship", "sentiment", "strings", "tables")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skill", required=True, choices=SKILLS)
    parser.add_argument("--own", type=int, default=1800, help="examples of the skill itself")
    parser.add_argument("--others", type=int, default=1200, help="examples of the other skills together")
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    from pyswarmopt_llm.models import resolve_base
    from pyswarmopt_llm.spaces.load import load_engine
    from pyswarmopt_llm.tasks.builtin import builtin_examples

    engine = load_engine(resolve_base(args.base), "auto", "cpu", args.threads)
    others = [name for name in SKILLS if name != args.skill]
    rehearsed = [chat for name in others for chat in builtin_examples(name, args.others // len(others), seed=1)]
    prompts = [engine.chat(chat["messages"][0]["content"]) for chat in rehearsed]
    for chat, said in zip(rehearsed, engine.generate(prompts, max_new_tokens=16), strict=True):
        chat["messages"][1]["content"] = said.strip() or "?"
    chats = builtin_examples(args.skill, args.own, seed=0) + rehearsed
    random.Random(0).shuffle(chats)
    args.out.write_text("".join(json.dumps(chat) + "\n" for chat in chats), encoding="utf-8")


if __name__ == "__main__":
    main()
