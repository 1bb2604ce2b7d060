"""Baselines: the published ways to combine LoRA experts, in three tables.

`METHODS` are fixed rules, which need no more than a seed. `SEARCHING` methods score candidates or
read texts through a `bench.BudgetedBench`, provided by `swarm-llm compare` and `merge`. `ENSEMBLES`
run all experts on every item instead of merging them.

To add one: a function ``settings -> Merged`` (for an ensemble ``-> Answerer``) in a file, a line in
`functions`, and one in a table. Importing this package loads no torch, so ``--help`` can show the tables.

Example:
    >>> load_method("ties").density
    0.2
    >>> load_method("tiess")
    Traceback (most recent call last):
    pyswarmopt_llm.common.errors.InvalidOption: method tiess is unknown; use one of: ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_rivals.methods.method import DELTA, FACTOR_FIRST, Kind, Method, Need

_SEED: frozenset[Need] = frozenset({"seed"})
_DEV: frozenset[Need] = frozenset({"dev"})
_DATA: frozenset[Need] = frozenset({"data"})


def _table(kind: Kind, *methods: Method) -> Mapping[str, Method]:
    return {method.name: replace(method, kind=kind) for method in methods}


def _control(name: str, function: str, *arguments: bool) -> Method:
    """A method that trains on dev."""
    paper = "a control, as in Liu et al. 2026, arXiv 2602.12323"
    return Method(name, paper, function, arguments, DELTA, needs=_DEV | _SEED)


# fmt: off
# name, paper, code; then what differs from the defaults of `Method`
METHODS = _table(
    "rule",
    Method("uniform-soup", "Wortsman et al. 2022, arXiv 2203.05482",
           "uniform_soup", even=True),
    Method("task-arithmetic", "Ilharco et al. 2023, arXiv 2212.04089",
           "task_arithmetic", weight=0.4),
    Method("slerp", "Shoemake 1985, SIGGRAPH", "slerp", weight=1.0),
    Method("ties", "Yadav et al. 2023, arXiv 2306.01708", "ties", weight=1.0,
           density=0.2),
    Method("dare-linear", "Yu et al. 2024, arXiv 2311.03099",
           "dare_linear", weight=0.4, density=0.5, needs=_SEED),
    Method("dare-ties", "Yu et al. 2024, arXiv 2311.03099",
           "dare_ties", weight=1.0, density=0.5, needs=_SEED),
    Method("magnitude-prune", "the trimming of Yadav et al. 2023, arXiv 2306.01708, as in peft",
           "magnitude_prune", weight=0.4, density=0.2),
    Method("della", "Deep, Bhardwaj & Poria 2024, arXiv 2406.11617",
           "della", weight=1.0, density=0.5, needs=_SEED),
    Method("breadcrumbs", "Davari & Belilovsky 2023, arXiv 2312.06795",
           "breadcrumbs", weight=0.2, density=0.15),
    Method("model-stock", "Jang, Yun & Han 2024, arXiv 2403.19522", "model_stock",
           spaces=DELTA),
    Method("knots", "Stoica et al. 2024, arXiv 2410.19735",
           "knots", spaces=DELTA, weight=1.0, density=1.0),
)
SEARCHING = _table(
    "searching",
    Method("best-single", "none: the baseline of every comparison",
           "best_single", spaces=FACTOR_FIRST, needs=_DEV),
    Method("greedy-soup", "Wortsman et al. 2022, arXiv 2203.05482",
           "greedy_soup", needs=_DEV),
    Method("regmean", "Jin et al. 2023, arXiv 2212.09849", "regmean",
           spaces=DELTA, needs=_DATA),
    Method("fisher", "Matena & Raffel 2022, arXiv 2111.09832", "fisher",
           spaces=DELTA, needs=_DATA | _SEED),
    Method("adamerging", "Yang et al. 2024, arXiv 2310.02575", "adamerging",
           spaces=DELTA, needs=_DEV),
    Method("lorahub", "Huang et al. 2023, arXiv 2307.13269",
           "lorahub", spaces=FACTOR_FIRST, needs=_DEV | _SEED,
           module="nevergrad"),
    Method("evolmerge", "Akiba et al. 2024, arXiv 2403.13187",
           "evolmerge", needs=_DEV | _SEED, module="nevergrad"),
    Method("natural-niches", "Abrantes, Lange & Tang 2025, arXiv 2508.16204",
           "natural_niches", spaces=DELTA, needs=_DEV | _SEED),
    _control("gradient", "gradient", True),
    _control("gradient-module", "gradient", False),
    _control("finetune-dev", "finetune", False, False),
    _control("finetune-once", "finetune", False, True),
    _control("finetune-best", "finetune", True, False),
    _control("finetune-best-once", "finetune", True, True),
    Method("data-merge", "a trivial baseline in Feng et al. 2024, arXiv 2410.11163",
           "data_merge", spaces=FACTOR_FIRST, needs=_DATA | _SEED),
)
ENSEMBLES = _table(
    "ensemble",
    Method("prediction-merge", "a trivial baseline in Feng et al. 2024, arXiv 2410.11163",
           "prediction_merge", open_questions=True),
    Method("pack-sim", "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
           "fit_sim"),
    Method("pack-opt", "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
           "fit_opt"),
    Method("cbtm", "Gururangan et al. 2023, arXiv 2303.14177", "cbtm",
           needs=_DEV | _SEED, module="sklearn"),
    Method("token", "Feng et al. 2024, arXiv 2410.11163", "token",
           needs=_DEV | _SEED),
    Method("top-k", "Dietterich 2000, Multiple Classifier Systems, LNCS 1857",
           "top_k", needs=_DEV),
    Method("few-shot", "Brown et al. 2020, arXiv 2005.14165",
           "few_shot", needs=_SEED, open_questions=True),
)

# fmt: on


def load_method(name: str) -> Method:
    """The method with this name in `METHODS` or `SEARCHING`.

    Raises:
        UserError: there is no such method.
    """
    return lookup("method", name, {**METHODS, **SEARCHING})
