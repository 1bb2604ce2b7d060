"""The field's standard test functions, to be minimised, for NumPy and torch alike.

Each maps (..., D) to (...), and knows its domain, its optimum, its formula and its source (see
`pyswarmopt.teaching.functions.function`). ``pyswarmopt list`` shows them.
"""

from __future__ import annotations

from pyswarmopt.teaching.functions.function import ToyFunction
from pyswarmopt.teaching.functions.multimodal import (
    MULTIMODAL,
    ackley,
    alpine,
    griewank,
    happy_cat,
    levy,
    lunacek,
    qing,
    rastrigin,
    salomon,
    schaffer_f7,
    schwefel,
    styblinski_tang,
    weierstrass,
)
from pyswarmopt.teaching.functions.planar import PLANAR, beale, easom, goldstein_price, himmelblau, six_hump_camel
from pyswarmopt.teaching.functions.unimodal import (
    UNIMODAL,
    cigar,
    different_powers,
    discus,
    dixon_price,
    ellipsoid,
    rosenbrock,
    schwefel_1_2,
    schwefel_2_21,
    schwefel_2_22,
    sphere,
    sum_squares,
    zakharov,
)

ALL: dict[str, ToyFunction] = {f.name: f for f in (*UNIMODAL, *MULTIMODAL, *PLANAR)}

__all__ = [
    "ALL",
    "ToyFunction",
    "ackley",
    "alpine",
    "beale",
    "cigar",
    "different_powers",
    "discus",
    "dixon_price",
    "easom",
    "ellipsoid",
    "goldstein_price",
    "griewank",
    "happy_cat",
    "himmelblau",
    "levy",
    "lunacek",
    "qing",
    "rastrigin",
    "rosenbrock",
    "salomon",
    "schaffer_f7",
    "schwefel",
    "schwefel_1_2",
    "schwefel_2_21",
    "schwefel_2_22",
    "six_hump_camel",
    "sphere",
    "styblinski_tang",
    "sum_squares",
    "weierstrass",
    "zakharov",
]
