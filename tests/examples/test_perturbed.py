"""The example that scores a model on questions with typos."""

from __future__ import annotations

import math
import random
import runpy
from pathlib import Path

SCRIPT = str(Path(__file__).parents[2] / "examples" / "perturb.py")
with_typos = runpy.run_path(SCRIPT)["with_typos"]


def test_each_kind_of_typo_is_as_frequent_as_the_share_says_and_digits_stay() -> None:
    n, share = 20_000, 0.2
    words = with_typos("x. " * n, random.Random(0), share).split(" ")[:n]
    seen = {
        "swap": words.count(".x"),
        "double": words.count("xx."),
        "drop": words.count("."),
        # one in 26 is x again
        "replace": sum(len(word) == 2 and word[0] not in ".x" for word in words) * 26 / 25,
    }
    sigma = math.sqrt(n * share / 4)
    assert all(abs(count - n * share / 4) < 5 * sigma for count in seen.values()), seen
    typed = with_typos("a1b22c 333 " * 50, random.Random(1), 0.9)
    assert "".join(filter(str.isdigit, typed)) == "122333" * 50
