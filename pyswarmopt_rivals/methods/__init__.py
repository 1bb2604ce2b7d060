"""Baselines: the published ways to combine LoRA experts, in three tables.

`METHODS` are fixed rules, which need no more than a seed. `SEARCHING` methods score candidates or
read texts through a `method.Trial`, provided by `swarm-llm compare` and `merge`. `ENSEMBLES` run
all experts on every item instead of merging them.

To add one: a function ``settings -> Merged`` (for an ensemble ``-> Answerer``) in a file, and a
line in a table. Importing this package loads no torch, so ``--help`` can show the tables.

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
    function = f"methods.training.on_dev:{function}"
    return Method(name, paper, function, arguments, DELTA, needs=_DEV | _SEED)


# fmt: off
# name, paper, code; then what differs from the defaults of `Method`
METHODS = _table(
    "rule",
    Method("uniform-soup", "Wortsman et al. 2022, arXiv 2203.05482",
           "methods.searching.soups:uniform_soup", even=True),
    Method("task-arithmetic", "Ilharco et al. 2023, arXiv 2212.04089",
           "methods.rules.sparsify:TASK_ARITHMETIC", weight=0.4),
    Method("slerp", "Shoemake 1985, SIGGRAPH", "methods.rules.angles:slerp", weight=1.0),
    Method("ties", "Yadav et al. 2023, arXiv 2306.01708", "methods.rules.sparsify:TIES", weight=1.0,
           density=0.2),
    Method("dare-linear", "Yu et al. 2024, arXiv 2311.03099",
           "methods.rules.sparsify:DARE_LINEAR", weight=0.4, density=0.5, needs=_SEED),
    Method("dare-ties", "Yu et al. 2024, arXiv 2311.03099",
           "methods.rules.sparsify:DARE_TIES", weight=1.0, density=0.5, needs=_SEED),
    Method("magnitude-prune", "the trimming of Yadav et al. 2023, arXiv 2306.01708, as in peft",
           "methods.rules.sparsify:MAGNITUDE_PRUNE", weight=0.4, density=0.2),
    Method("della", "Deep, Bhardwaj & Poria 2024, arXiv 2406.11617",
           "methods.rules.sparsify:DELLA", weight=1.0, density=0.5, needs=_SEED),
    Method("breadcrumbs", "Davari & Belilovsky 2023, arXiv 2312.06795",
           "methods.rules.sparsify:BREADCRUMBS", weight=0.2, density=0.15),
    Method("model-stock", "Jang, Yun & Han 2024, arXiv 2403.19522", "methods.rules.angles:model_stock",
           spaces=DELTA),
    Method("knots", "Stoica et al. 2024, arXiv 2410.19735",
           "methods.rules.sparsify:knots", spaces=DELTA, weight=1.0, density=1.0),
)
SEARCHING = _table(
    "searching",
    Method("best-single", "none: the baseline of every comparison",
           "methods.searching.soups:best_single", spaces=FACTOR_FIRST, needs=_DEV),
    Method("greedy-soup", "Wortsman et al. 2022, arXiv 2203.05482",
           "methods.searching.soups:greedy_soup", needs=_DEV),
    Method("regmean", "Jin et al. 2023, arXiv 2212.09849", "methods.training.inside:regmean",
           spaces=DELTA, needs=_DATA),
    Method("fisher", "Matena & Raffel 2022, arXiv 2111.09832", "methods.training.inside:fisher",
           spaces=DELTA, needs=_DATA | _SEED),
    Method("adamerging", "Yang et al. 2024, arXiv 2310.02575", "methods.training.inside:adamerging",
           spaces=DELTA, needs=_DEV),
    Method("lorahub", "Huang et al. 2023, arXiv 2307.13269",
           "methods.searching.by_optimizer:lorahub", spaces=FACTOR_FIRST, needs=_DEV | _SEED,
           module="nevergrad"),
    Method("evolmerge", "Akiba et al. 2024, arXiv 2403.13187",
           "methods.searching.by_optimizer:evolmerge", needs=_DEV | _SEED, module="nevergrad"),
    Method("natural-niches", "Abrantes, Lange & Tang 2025, arXiv 2508.16204",
           "methods.searching.natural_niches:execute", spaces=DELTA, needs=_DEV | _SEED),
    _control("gradient", "gradient", True),
    _control("gradient-module", "gradient", False),
    _control("finetune-dev", "finetune", False, False),
    _control("finetune-once", "finetune", False, True),
    _control("finetune-best", "finetune", True, False),
    _control("finetune-best-once", "finetune", True, True),
    Method("data-merge", "a trivial baseline in Feng et al. 2024, arXiv 2410.11163",
           "methods.training.data_merge:execute", spaces=FACTOR_FIRST, needs=_DATA | _SEED),
)
ENSEMBLES = _table(
    "ensemble",
    Method("prediction-merge", "a trivial baseline in Feng et al. 2024, arXiv 2410.11163",
           "methods.ensembles.votes:prediction_merge", open_questions=True),
    Method("pack-sim", "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
           "methods.ensembles.pack:fit_sim"),
    Method("pack-opt", "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
           "methods.ensembles.pack:fit_opt"),
    Method("cbtm", "Gururangan et al. 2023, arXiv 2303.14177", "methods.ensembles.cbtm:fit",
           needs=_DEV | _SEED, module="sklearn"),
    Method("token", "Feng et al. 2024, arXiv 2410.11163", "methods.ensembles.token:fit",
           needs=_DEV | _SEED),
    Method("top-k", "Dietterich 2000, Multiple Classifier Systems, LNCS 1857",
           "methods.ensembles.votes:top_k", needs=_DEV),
    Method("few-shot", "Brown et al. 2020, arXiv 2005.14165",
           "methods.ensembles.few_shot:fit", needs=_SEED, open_questions=True),
)

# fmt: on


def load_method(name: str) -> Method:
    """The method with this name in `METHODS` or `SEARCHING`.

    Raises:
        UserError: there is no such method.
    """
    return lookup("method", name, {**METHODS, **SEARCHING})
