"""The methods on adapters: what every one of them keeps to, and what each makes of whole
experts.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trials import dense as dense_changes

from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_rivals.comparison.contestants import contestant
from pyswarmopt_rivals.methods import ENSEMBLES, METHODS, SEARCHING, load_method
from pyswarmopt_rivals.methods.changes import as_adapter
from pyswarmopt_rivals.methods.functions import FUNCTIONS
from pyswarmopt_rivals.methods.method import Merged

EACH = [(name, space) for name in METHODS for space in load_method(name).spaces]


def test_the_tables_and_the_functions_name_each_other() -> None:
    tables = [*METHODS.values(), *SEARCHING.values(), *ENSEMBLES.values()]
    made = [contestant("ties:adapter"), contestant("nevergrad:PSO")]
    named = {method.function for method in (*tables, *made)}
    assert named | {"own"} == set(FUNCTIONS)  # own: functions of users


def merge(experts: list[Adapter], name: str, space: str | None = None, **options: object) -> Merged:
    """What a method makes; with a rank, as an adapter."""
    method = load_method(name)
    merged: Merged = method.execute(experts, method.settings(len(experts), space, **options))
    rank = options.get("rank")
    return merged if rank is None else as_adapter(merged, experts, rank)


def dense(merged: Merged) -> dict[str, torch.Tensor]:
    return dense_changes(merged.patch)


def changes(experts: list[Adapter], module: str) -> torch.Tensor:
    """(n, out, in) float64, from the raw numbers."""
    parts = [expert.factors[module] for expert in experts]
    return torch.stack([part.b.double() @ part.a.double() for part in parts])


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def experts(relatives: list[Adapter]) -> list[Adapter]:
    return relatives


# What holds for every method


@pytest.mark.parametrize(("name", "space"), EACH)
def test_the_same_settings_give_the_same_bits(
    name: str, space: str, experts: list[Adapter]
) -> None:
    torch.manual_seed(0)
    first = dense(merge(experts, name, space))
    before = torch.random.get_rng_state()
    second = dense(merge(experts, name, space))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.keys() == {f"{module}.weight" for module in experts[0].factors}
    for module, change in first.items():
        assert torch.equal(second[module], change) and change.abs().max() > 0


def test_default_weights_and_densities_are_those_of_the_papers_or_of_the_page() -> None:
    """docs/how-to/baselines.md says which is which: TIES keeps a fifth and has weight 1, task arithmetic
    weighs .4.
    """
    defaults = {name: (method.weight, method.density) for name, method in METHODS.items()}
    assert defaults == {
        "uniform-soup": (None, None), "model-stock": (None, None),
        "task-arithmetic": (0.4, None), "slerp": (1.0, None),
        "ties": (1.0, 0.2), "dare-linear": (0.4, 0.5), "dare-ties": (1.0, 0.5),
        "magnitude-prune": (0.4, 0.2), "della": (1.0, 0.5), "breadcrumbs": (0.2, 0.15),
        "knots": (1.0, 1.0),
    }  # fmt: skip


# What each makes of whole experts


def test_uniform_soup_is_the_mean_of_the_changes_or_of_the_factors(experts: list[Adapter]) -> None:
    delta, factor = (dense(merge(experts, "uniform-soup", space)) for space in ("delta", "factor"))
    for module in experts[0].factors:
        parts = [expert.factors[module] for expert in experts]
        b, a = sum(part.b for part in parts) / 3, sum(part.a for part in parts) / 3
        assert_close(delta[f"{module}.weight"].double(), changes(experts, module).mean(0))
        assert_close(factor[f"{module}.weight"], b @ a)


def test_knots_against_the_dense_svd(experts: list[Adapter]) -> None:
    """The paper's steps on dense matrices: SVD of the changes side by side, TIES an entry at a
    time, and back.
    """
    found = dense(merge(experts, "knots", density=0.5))
    for module in list(experts[0].factors)[:2]:
        parts = changes(experts, module).numpy()
        left, values, right = np.linalg.svd(np.concatenate(parts, axis=1), full_matrices=False)
        aligned = np.split((values[:, None] * right)[:12], 3, axis=1)  # rank 4 + 4 + 4
        kept = []
        for part in aligned:
            threshold = np.sort(np.abs(part).ravel())[-part.size // 2]
            kept.append(np.where(np.abs(part) >= threshold, part, 0))
        merged = np.zeros_like(kept[0])
        for index in np.ndindex(merged.shape):
            column = np.array([part[index] for part in kept])
            agree = column[column * np.sign(column.sum()) > 0]
            merged[index] = agree.mean() if agree.size else 0
        np.testing.assert_allclose(
            found[f"{module}.weight"], left[:, :12] @ merged, rtol=1e-3, atol=1e-4
        )


# Options
