"""Numbers and behaviour that the authors of other implementations have published.

LoraHub: the released loop (sail-sg/lorahub, lorahub/algorithm.py). mergekit: the package itself on
the same weights where it is installed.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trials import NearTo, flat

from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.mix import build_space
from pyswarmopt_rivals.methods import load_method

SCRIPT = Path(__file__).parents[3] / "research" / "benchmarks" / "peers" / "mergekit_check.py"


@pytest.fixture
def experts(relatives: list[Adapter]) -> list[Adapter]:
    return relatives


# LoraHub


@pytest.mark.parametrize("steps", [12, 40])
def test_lorahub_looks_at_the_weights_of_the_released_loop(
    steps: int, experts: list[Adapter]
) -> None:
    """NGOpt on an array that starts at 0 within +-1.5; loss plus 0.05 times the mean magnitude."""
    import nevergrad as ng

    space = build_space("factor", experts)
    goal = flat(space.realise(torch.tensor([0.6, -0.3, 0.9], dtype=torch.float64)))
    settings = load_method("lorahub").settings(3, "factor", seed=42)
    ours, theirs = NearTo(goal, steps), NearTo(goal, steps)
    found = load_method("lorahub").execute(experts, replace(settings, trial=ours)).patch

    looked: list[tuple[float, np.ndarray]] = []

    def get_score(weights: np.ndarray) -> float:
        loss = theirs.loss(space.realise(torch.tensor(weights, dtype=torch.float64)))
        value = loss + 0.05 * sum(abs(x) for x in weights) / len(weights)
        looked.append((value, np.array(weights)))
        return value

    box = ng.p.Array(init=[0] * 3, upper=[1.5] * 3, lower=[-1.5] * 3)
    box.random_state = np.random.RandomState(42)
    before = np.random.get_state()
    optimizer = ng.optimizers.NGOpt(parametrization=box, budget=steps)
    optimizer.minimize(get_score)
    np.random.set_state(before)
    del optimizer  # ends the thread that NGOpt may keep
    gc.collect()

    assert len(ours.seen) == len(theirs.seen) == steps
    assert all(torch.equal(one, other) for one, other in zip(ours.seen, theirs.seen, strict=True))
    best = min(looked, key=lambda pair: pair[0])[1]
    assert torch.equal(flat(found), flat(space.realise(torch.tensor(best, dtype=torch.float64))))


# mergekit itself


@pytest.fixture(scope="module")
def script() -> Any:
    pytest.importorskip("mergekit", reason="compares with mergekit where that is installed")
    spec = importlib.util.spec_from_file_location("mergekit_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_our_rules_are_mergekits(script: Any, experts: list[Adapter]) -> None:
    generator = torch.Generator().manual_seed(0)
    base = {
        module: torch.randn(len(part.b), part.a.shape[1], generator=generator, dtype=torch.float64)
        for module, part in sorted(experts[0].factors.items())
    }
    for case in script.CASES:
        found = script.agreement(*script.compared(base, experts, case, same_draws=True))
        assert found[0] <= 0, f"{case.ours} / {case.theirs}: {found}"
