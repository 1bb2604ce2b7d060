"""Write training items with wrong labels, as in a table whose answers slipped by a row.

    python examples/mislabelled.py mislabelled.json

The items are requests to five businesses. Each label is one of the wrong options.
"""

import json
import random
import sys
from pathlib import Path

from pyswarmopt_llm.published.builtin import builtin_training_items

BUSINESSES = ("bank", "travel", "clinic", "shop", "internet")


def main(out: Path) -> None:
    rng = random.Random(0)
    rows = []
    for business in BUSINESSES:
        for seed in (0, 1):
            for item in builtin_training_items(f"requests-{business}", 20, seed):
                wrong = [letter for letter in item.choices or {} if letter != item.answer]
                answer = rng.choice(wrong)
                rows.append(
                    {
                        "question": item.question,
                        "choices": dict(item.choices or {}),
                        "answer": answer,
                    }
                )
    unused = {"question": "x?", "choices": {"A": "y", "B": "z"}, "answer": "A"}
    out.write_text(json.dumps({"dev": rows, "test": [unused]}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
