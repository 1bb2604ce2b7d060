"""Comparisons of recipes: searches as `minimize` does them, tests against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 2
MINE = pso.compose([pso.inertia(0.6), pso.cognitive(1.5), pso.social(1.5)], name="mine")


@pytest.fixture(scope="module")
def found() -> pso.Comparison:
    recipes = ["constriction", MINE, "fips"]
    return pso.compare(pso.functions.rastrigin, BOX, recipes, seeds=7, max_evals=320)


def test_every_recipe_has_its_searches_seed_by_seed(found):
    assert list(found.results) == ["constriction", "mine", "fips"]
    for seed in range(7):
        alone = pso.minimize(pso.functions.rastrigin, BOX, MINE, max_evals=320, seed=seed)
        assert found.finals("mine")[seed] == alone.fun
    # of seven the smallest and the largest are a 98% interval of the median
    assert found.interval("mine") == (found.finals("mine").min(), found.finals("mine").max())


def test_pairs_have_one_seed_and_several_tests_are_corrected(found):
    first, paired = found.finals("constriction"), found.paired()
    raw = {}
    for name in ("mine", "fips"):
        better = int(sum(a < b for a, b in zip(found.finals(name), first, strict=True)))
        assert paired[name].better == better and paired[name].worse == 7 - better
        raw[name] = scipy.stats.binomtest(better, 7).pvalue
    low, high = sorted(raw, key=raw.get)
    assert paired[low].p == pytest.approx(min(1.0, 2 * raw[low]))
    assert paired[high].p == pytest.approx(max(paired[low].p, raw[high]))
    turned = found.paired(against="mine")
    assert turned["constriction"].better == paired["mine"].worse


def test_the_table_has_a_row_for_each_recipe(found):
    heads, *rows, about = str(found).splitlines()
    assert "Holm" in about
    assert "constriction" in heads and "95% interval" in heads
    assert [row.split()[0] for row in rows] == list(found.results)
    assert f"{np.median(found.finals('fips')):.3g}" in rows[2]


@pytest.mark.parametrize(
    ("recipes", "reason"),
    [([], "at least one"), (["fips", "fips"], "two recipes"), (["fip"], "did you mean fips")],
)
def test_bad_recipes_are_told_in_a_line(recipes, reason):
    with pytest.raises(ValueError, match=reason):
        pso.compare(pso.functions.sphere, BOX, recipes, seeds=1, max_evals=20)
