"""Adapters of random factors: as large as the experts, in other directions, never mistaken for
them.
"""

from __future__ import annotations

from dataclasses import replace

from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.run.record import Store
from pyswarmopt_rivals.bench import Bench
from pyswarmopt_rivals.comparison.contestants import contestant, run
from pyswarmopt_rivals.methods.changes import random_adapters


def test_the_search_on_random_adapters_never_takes_the_experts_scores(bench: Bench) -> None:
    """Both searches begin at the same coefficients; each one's first scores are those of its own
    weights.
    """
    own = run(contestant("item-model"), bench, 0, 200)
    random = run(contestant("random-adapters"), bench, 0, 200)
    other = run(contestant("random-adapters"), bench, 1, 200)
    alone = run(contestant("random-adapters"), replace(bench, store=Store(None)), 0, 200)
    del alone["seconds"], random["seconds"]
    assert alone == random and random["models"] == 1
    assert random["items"] <= 200 and own["items"] <= 200
    assert bench.store.all("words modelled") and bench.store.all("words modelled random-adapters 1")
    assert other["items"] <= 200
    for seed in (0, 1):
        space = build_space("delta", random_adapters(bench.experts, seed))
        best = max(bench.score(space.realise(x), "dev").value for x in space.vertices())
        scored = bench.store.all(f"words modelled random-adapters {seed}")
        assert max(row["value"] for row in scored[:3]) == best  # the three adapters alone


# Some items of dev
