"""The example that ranks adapters: the one that was trained on the task comes first."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

from search_helpers import louder, questions, write_task

import pyswarmopt_llm as sl

SCRIPT = Path(__file__).parents[2] / "examples" / "find_adapters.py"


def test_the_last_adapters_are_ranked_on_all_examples(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    """Against each one's own probabilities, by the scores of its options."""
    task = write_task(tmp_path / "words.json", questions(10, 1), questions(2, 2))
    adapters = [str(folder) for folder in louder(tiny_experts, tmp_path / "loud")]
    found = runpy.run_path(str(SCRIPT))["rank"](str(tiny_base), str(task), adapters, 2)
    expected = {}
    for adapter in adapters:
        engine = sl.open_model(str(tiny_base), adapter)
        values = []
        for item in sl.load_task(str(task)).dev:
            odds = {
                letter: math.exp(
                    engine.loglikelihood([(engine.chat(f"Question: {item.question}"), text)])[0]
                )
                for letter, text in item.choices.items()
            }
            values.append(odds[item.answer] / sum(odds.values()))
        expected[adapter] = sum(values) / len(values)
    assert len(found) == 2 and [score for score, _ in found] == sorted(
        (s for s, _ in found), reverse=True
    )
    for score, adapter in found:
        assert math.isclose(score, expected[adapter], rel_tol=1e-3)
