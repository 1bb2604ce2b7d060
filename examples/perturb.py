"""Score a model on the questions of a file, with and without typos.

    python examples/perturb.py 0.1 my/base adapters/math questions.json

The given share of the letters is dropped, doubled, swapped with the next character or replaced (after
Belinkov and Bisk 2018, arXiv 1711.02173). Digits are kept, because a different number would make a
different question.
"""

import json
import random
import sys
import tempfile
from pathlib import Path
from string import ascii_lowercase

import pyswarmopt_llm as sl


def with_typos(text: str, rng: random.Random, share: float) -> str:
    typed = list(text)
    for i, letter in enumerate(text):
        if typed[i] != letter or not letter.isalpha() or rng.random() >= share:
            continue
        kind = rng.choice(["drop", "double", "swap", "replace"])
        if kind == "swap" and i + 1 < len(text) and not text[i + 1].isdigit():
            typed[i], typed[i + 1] = text[i + 1], letter
        elif kind == "replace":
            typed[i] = rng.choice(ascii_lowercase)
        elif kind != "swap":
            typed[i] = "" if kind == "drop" else 2 * letter
    return "".join(typed)


def main(share: float, base: str, adapter: str, file: str) -> None:
    task = sl.load_task(file)
    splits = {
        split: [
            {
                "question": with_typos(item.question, random.Random(item.question), amount),
                "choices": item.choices,
                "answer": item.answer,
            }
            for item in items
        ]
        for split, items, amount in (("dev", task.dev, 0.0), ("test", task.test, share))
    }
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / "typos.json"
        changed.write_text(json.dumps(splits), encoding="utf-8")
        plain = sl.evaluate(base, adapter, file).score
        typos = sl.evaluate(base, adapter, str(changed)).score
    lost = sum(a > b for a, b in zip(plain.per_item, typos.per_item, strict=True))
    gained = sum(a < b for a, b in zip(plain.per_item, typos.per_item, strict=True))
    print(
        f"{plain.value:.3f} without typos, {typos.value:.3f} with typos: {lost} lost, {gained} gained"
    )


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
