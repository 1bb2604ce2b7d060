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


def _control(name: str, text: str, function: str, *arguments: bool) -> Method:
    """A method that trains on dev."""
    paper = "a control, as in Liu et al. 2026, arXiv 2602.12323"
    function = f"methods.training.on_dev:{function}"
    return Method(name, text, paper, function, arguments, DELTA, needs=_DEV | _SEED)


# fmt: off
# name, what it does, paper, code; then what differs from the defaults of `Method`
METHODS = _table(
    "rule",
    Method("uniform-soup", "plain average (Wortsman 2022)",
           "Wortsman et al. 2022, arXiv 2203.05482", "methods.searching.soups:uniform_soup",
           even=True),
    Method("task-arithmetic", "weighted sum (Ilharco 2023)",
           "Ilharco et al. 2023, arXiv 2212.04089", "methods.rules.sparsify:TASK_ARITHMETIC",
           weight=0.4),
    Method("slerp", "spherical interpolation, one expert after another (Shoemake 1985)",
           "Shoemake 1985, SIGGRAPH", "methods.rules.angles:slerp", weight=1.0),
    Method("karcher", "mean direction on the sphere (Karcher 1977)",
           "Karcher 1977, Comm. Pure Appl. Math. 30", "methods.rules.angles:karcher",
           weight=1.0),
    Method("ties", "trim, elect signs, average agreeing entries (Yadav 2023)",
           "Yadav et al. 2023, arXiv 2306.01708", "methods.rules.sparsify:TIES", weight=1.0,
           density=0.2),
    Method("dare-linear", "drop at random, rescale, sum (Yu 2024)",
           "Yu et al. 2024, arXiv 2311.03099",
           "methods.rules.sparsify:DARE_LINEAR", weight=0.4, density=0.5, needs=_SEED),
    Method("dare-ties", "drop at random, rescale, elect signs (Yu 2024)",
           "Yu et al. 2024, arXiv 2311.03099",
           "methods.rules.sparsify:DARE_TIES", weight=1.0, density=0.5, needs=_SEED),
    Method("magnitude-prune", "keep the largest entries, sum (peft)",
           ("the trimming of Yadav et al. 2023, arXiv 2306.01708, without election; peft's "
           "magnitude_prune"),
           "methods.rules.sparsify:MAGNITUDE_PRUNE", weight=0.4, density=0.2),
    Method("della", "drop small entries more often, elect signs (Deep 2024)",
           "Deep, Bhardwaj & Poria 2024, arXiv 2406.11617",
           "methods.rules.sparsify:DELLA", weight=1.0, density=0.5, needs=_SEED),
    Method("breadcrumbs", "drop outliers and small entries, sum (Davari 2023)",
           "Davari & Belilovsky 2023, arXiv 2312.06795",
           "methods.rules.sparsify:BREADCRUMBS", weight=0.2, density=0.15),
    Method("model-stock", "average moved towards the base, by the experts' angles (Jang 2024)",
           "Jang, Yun & Han 2024, arXiv 2403.19522", "methods.rules.angles:model_stock",
           spaces=DELTA),
    Method("knots", "align with a joint SVD, then ties (Stoica 2024)",
           "Stoica et al. 2024, arXiv 2410.19735",
           "methods.rules.sparsify:knots", spaces=DELTA, weight=1.0, density=1.0),
)
SEARCHING = _table(
    "searching",
    Method("best-single", "the expert with the highest dev score",
           "none: the baseline of every comparison",
           "methods.searching.soups:best_single", spaces=FACTOR_FIRST, needs=_DEV),
    Method("greedy-soup", "average of the experts that help on dev (Wortsman 2022)",
           "Wortsman et al. 2022, arXiv 2203.05482",
           "methods.searching.soups:greedy_soup", needs=_DEV),
    Method("regmean", "least-squares fit to the experts' outputs (Jin 2023)",
           "Jin et al. 2023, arXiv 2212.09849", "methods.training.inside:regmean",
           spaces=DELTA, needs=_DATA),
    Method("fisher", "average weighted by Fisher information (Matena 2022)",
           "Matena & Raffel 2022, arXiv 2111.09832", "methods.training.inside:fisher",
           spaces=DELTA, needs=_DATA | _SEED),
    Method("adamerging", "gradient descent on the entropy of dev answers (Yang 2024)",
           "Yang et al. 2024, arXiv 2310.02575", "methods.training.inside:adamerging",
           spaces=DELTA, needs=_DEV),
    Method("lorahub", "weights found by NGOpt on the loss (Huang 2023)",
           "Huang et al. 2023, arXiv 2307.13269",
           "methods.searching.by_optimizer:lorahub", spaces=FACTOR_FIRST, needs=_DEV | _SEED,
           module="nevergrad"),
    Method("evolmerge", "CMA-ES over the parameters of DARE-TIES (Akiba 2024)",
           "Akiba et al. 2024, arXiv 2403.13187",
           "methods.searching.by_optimizer:evolmerge", needs=_DEV | _SEED, module="cma"),
    Method("pso-merging", "a swarm of the base, the experts and sparse copies of them (Zhang 2025)",
           "Zhang, Zhang & Feng 2025, arXiv 2508.19839",
           "methods.searching.by_optimizer:pso_merging", spaces=FACTOR_FIRST,
           needs=_DEV | _SEED),
    Method("natural-niches", "evolution by competition and attraction, M2N2 (Abrantes 2025)",
           "Abrantes, Lange & Tang 2025, arXiv 2508.16204",
           "methods.searching.natural_niches:execute", spaces=DELTA, needs=_DEV | _SEED),
    _control("gradient", "coefficients by gradient descent on dev", "gradient", True),
    _control("gradient-module", "coefficients per module by gradient descent on dev", "gradient", False),
    _control("finetune-dev", "a new LoRA trained on the dev examples", "finetune", False, False),
    _control("finetune-once", "like finetune-dev, but once at a fixed learning rate", "finetune", False, True),
    _control("finetune-best", "a new LoRA on top of the best expert", "finetune", True, False),
    _control("finetune-best-once", "like finetune-best, but once at a fixed learning rate", "finetune", True, True),
    Method("data-merge", "one adapter trained on all data",
           "a trivial baseline in Feng et al. 2024, arXiv 2410.11163",
           "methods.training.data_merge:execute", spaces=FACTOR_FIRST, needs=_DATA | _SEED),
)
ENSEMBLES = _table(
    "ensemble",
    Method("prediction-merge", "plurality vote of all experts",
           "a trivial baseline in Feng et al. 2024, arXiv 2410.11163",
           "methods.ensembles.votes:prediction_merge", open_questions=True),
    Method("pack-sim", "logits weighted by perplexity (Mavromatis 2024)",
           "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
           "methods.ensembles.pack:fit_sim"),
    Method("pack-opt", "logits weighted to minimise perplexity (Mavromatis 2024)",
           "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
           "methods.ensembles.pack:fit_opt"),
    Method("cbtm", "one expert per cluster of inputs (Gururangan 2023)",
           "Gururangan et al. 2023, arXiv 2303.14177", "methods.ensembles.cbtm:fit",
           needs=_DEV | _SEED, module="sklearn"),
    Method("token", "a swarm mixes next-token probabilities (Feng 2024)",
           "Feng et al. 2024, arXiv 2410.11163", "methods.ensembles.token:fit",
           needs=_DEV | _SEED),
    Method("top-k", "the best experts on dev, averaged (Dietterich 2000)",
           "Dietterich 2000, Multiple Classifier Systems, LNCS 1857",
           "methods.ensembles.votes:top_k", needs=_DEV),
    Method("few-shot", "the base model, prompted with dev examples (Brown 2020)",
           "Brown et al. 2020, arXiv 2005.14165",
           "methods.ensembles.few_shot:fit", needs=_SEED, open_questions=True),
)

# fmt: on


def load_method(name: str) -> Method:
    """The method with this name in `METHODS` or `SEARCHING`.

    Raises:
        UserError: there is no such method.
    """
    return lookup("method", name, {**METHODS, **SEARCHING})
