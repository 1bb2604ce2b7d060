"""Baselines: the published ways to combine LoRA experts, in three tables.

`METHODS` are fixed rules, which need no more than a seed. `SEARCHING` methods score candidates or
look at texts through a `method.Trial`, which `swarm-llm compare` and `merge` give them. `ENSEMBLES`
run all experts on every item instead of merging them.

To add one: a file with ``execute(experts, settings) -> Merged`` (an ensemble: ``fit(panel, dev,
seed)``) and a line in a table. Importing this package loads no torch, so that ``--help`` can show
the tables.

Example:
    >>> load_method("ties").density
    0.2
    >>> load_method("tiess")
    Traceback (most recent call last):
    pyswarmopt_llm.common.errors.InvalidOption: method tiess: unknown; did you mean ties?
"""

from __future__ import annotations

from collections.abc import Mapping

from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_rivals.methods.method import Ensemble, Method, Need, on_call

_FACTOR_FIRST = ("factor", "delta")
_DELTA = ("delta",)
_SEED: frozenset[Need] = frozenset({"seed"})
_DEV: frozenset[Need] = frozenset({"dev"})
_DATA: frozenset[Need] = frozenset({"data"})
_BUDGET: frozenset[Need] = frozenset({"budget"})

# fmt: off
# name, what it does, paper, code; then what differs from the defaults of `Method`
_METHODS = (
    Method("uniform-soup", "plain average (Wortsman 2022)",
           "Wortsman et al. 2022, arXiv 2203.05482", on_call("searching.soups", "uniform_soup"),
           spaces=_FACTOR_FIRST),
    Method("task-arithmetic", "weighted sum (Ilharco 2023)",
           "Ilharco et al. 2023, arXiv 2212.04089", on_call("rules.sparsify", "TASK_ARITHMETIC"),
           weight=0.4),
    Method("slerp", "along the arc between experts, in turn (Shoemake 1985)",
           "Shoemake 1985, SIGGRAPH", on_call("rules.angles", "slerp"), weight=1.0, t=True),
    Method("karcher", "mean direction on the sphere (Karcher 1977)",
           "Karcher 1977, Comm. Pure Appl. Math. 30", on_call("rules.angles", "karcher"),
           weight=1.0),
    Method("ties", "trim, elect signs, average what agrees (Yadav 2023)",
           "Yadav et al. 2023, arXiv 2306.01708", on_call("rules.sparsify", "TIES"), weight=1.0,
           density=0.2),
    Method("dare-linear", "drop at random, rescale, sum (Yu 2024)",
           "Yu et al. 2024, arXiv 2311.03099",
           on_call("rules.sparsify", "DARE_LINEAR"), weight=0.4, density=0.5, needs=_SEED),
    Method("dare-ties", "drop at random, rescale, elect signs (Yu 2024)",
           "Yu et al. 2024, arXiv 2311.03099",
           on_call("rules.sparsify", "DARE_TIES"), weight=1.0, density=0.5, needs=_SEED),
    Method("magnitude-prune", "keep the largest entries, sum (peft)",
           ("the trimming of Yadav et al. 2023, arXiv 2306.01708, without election; peft's "
           "magnitude_prune"),
           on_call("rules.sparsify", "MAGNITUDE_PRUNE"), weight=0.4, density=0.2),
    Method("della", "drop small entries more often, elect signs (Deep 2024)",
           "Deep, Bhardwaj & Poria 2024, arXiv 2406.11617",
           on_call("rules.sparsify", "DELLA"), weight=1.0, density=0.5, needs=_SEED),
    Method("breadcrumbs", "drop outliers and the small, sum (Davari 2023)",
           "Davari & Belilovsky 2023, arXiv 2312.06795",
           on_call("rules.sparsify", "BREADCRUMBS"), weight=0.2, density=0.15),
    Method("model-stock", "towards the base by the experts' angle (Jang 2024)",
           "Jang, Yun & Han 2024, arXiv 2403.19522", on_call("rules.angles", "model_stock"),
           spaces=_DELTA),
    Method("knots", "align by a common SVD, then ties (Stoica 2024)",
           "Stoica et al. 2024, arXiv 2410.19735",
           on_call("rules.sparsify", "knots"), spaces=_DELTA, weight=1.0, density=1.0),
)
_SEARCHING = (
    Method("best-single", "the expert that is best on dev",
           "none: the choice that everything else is compared with",
           on_call("searching.soups", "best_single"), spaces=_FACTOR_FIRST, needs=_DEV),
    Method("greedy-soup", "average of those that help on dev (Wortsman 2022)",
           "Wortsman et al. 2022, arXiv 2203.05482",
           on_call("searching.soups", "greedy_soup"), spaces=_FACTOR_FIRST, needs=_DEV),
    Method("regmean", "nearest outputs in least squares (Jin 2023)",
           "Jin et al. 2023, arXiv 2212.09849", on_call("training.inside", "regmean"),
           spaces=_DELTA, needs=_DATA),
    Method("fisher", "average by Fisher information (Matena 2022)",
           "Matena & Raffel 2022, arXiv 2111.09832", on_call("training.inside", "fisher"),
           spaces=_DELTA, needs=_DATA | _SEED),
    Method("adamerging", "gradient descent on the entropy of dev answers (Yang 2024)",
           "Yang et al. 2024, arXiv 2310.02575", on_call("training.inside", "adamerging"),
           spaces=_DELTA, needs=_DEV),
    Method("lorahub", "weights by NGOpt on the loss (Huang 2023)",
           "Huang et al. 2023, arXiv 2307.13269",
           on_call("searching.by_optimizer", "lorahub"), spaces=_FACTOR_FIRST, needs=_DEV | _SEED,
           module="nevergrad"),
    Method("evolmerge", "the parameter-space half: CMA-ES over DARE-TIES (Akiba 2024)",
           "Akiba et al. 2024, arXiv 2403.13187",
           on_call("searching.by_optimizer", "evolmerge"), needs=_DEV | _SEED, module="cma"),
    Method("pso-merging", "a swarm of base, experts, sparse experts (Zhang 2025)",
           "Zhang, Zhang & Feng 2025, arXiv 2508.19839",
           on_call("searching.by_optimizer", "pso_merging"), spaces=_FACTOR_FIRST,
           needs=_DEV | _SEED),
    Method("natural-niches", "competition and attraction, M2N2 (Abrantes 2025)",
           "Abrantes, Lange & Tang 2025, arXiv 2508.16204",
           on_call("searching.natural_niches"), spaces=_DELTA, needs=_DEV | _SEED),
    Method("gradient", "coefficients by gradient descent on dev",
           "a control, as in Liu et al. 2026, arXiv 2602.12323",
           on_call("training.on_dev", "gradient"), spaces=_DELTA, needs=_DEV | _SEED),
    Method("gradient-module", "coefficients of each module by gradient",
           "a control, as in Liu et al. 2026, arXiv 2602.12323",
           on_call("training.on_dev", "gradient_of_modules"), spaces=_DELTA, needs=_DEV | _SEED),
    Method("finetune-dev", "a new LoRA trained on the dev items",
           "a control, as in Liu et al. 2026, arXiv 2602.12323",
           on_call("training.on_dev", "finetune"), spaces=_DELTA, needs=_DEV | _SEED),
    Method("finetune-once", "the same, at a fixed rate, once",
           "a control, as in Liu et al. 2026, arXiv 2602.12323",
           on_call("training.on_dev", "at_fixed_rate"), spaces=_DELTA, needs=_DEV | _SEED),
    Method("finetune-best", "a new LoRA on top of the best expert",
           "a control, as in Liu et al. 2026, arXiv 2602.12323",
           on_call("training.on_dev", "from_best"), spaces=_DELTA, needs=_DEV | _SEED),
    Method("finetune-best-once", "the same, at a fixed rate, once",
           "a control, as in Liu et al. 2026, arXiv 2602.12323",
           on_call("training.on_dev", "from_best_at_fixed_rate"), spaces=_DELTA,
           needs=_DEV | _SEED),
    Method("data-merge", "one adapter trained on all data",
           "a trivial rival of Feng et al. 2024, arXiv 2410.11163",
           on_call("training.data_merge"), spaces=_FACTOR_FIRST, needs=_DATA | _SEED),
)
_ENSEMBLES = (
    Ensemble("prediction-merge", "plurality vote of all experts",
             "a trivial rival of Feng et al. 2024, arXiv 2410.11163",
             on_call("ensembles.votes", "prediction_merge"), open_questions=True),
    Ensemble("pack-sim", "logits weighted by perplexity (Mavromatis 2024)",
             "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
             on_call("ensembles.pack", "fit_sim")),
    Ensemble("pack-opt", "logits for least perplexity (Mavromatis 2024)",
             "Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
             on_call("ensembles.pack", "fit_opt")),
    Ensemble("cbtm", "given experts by cluster of the input (Gururangan 2023)",
             "Gururangan et al. 2023, arXiv 2303.14177", on_call("ensembles.cbtm", "fit"),
             needs=_DEV | _SEED, module="sklearn"),
    Ensemble("token", "a swarm mixes next-token probabilities (Feng 2024)",
             "Feng et al. 2024, arXiv 2410.11163", on_call("ensembles.token", "fit"),
             needs=_DEV | _SEED),
    Ensemble("top-k", "the best experts on dev, averaged (Dietterich 2000)",
             "Dietterich 2000, Multiple Classifier Systems, LNCS 1857",
             on_call("ensembles.votes", "top_k"), needs=_DEV),
    Ensemble("few-shot", "the base, shown dev items (Brown 2020)",
             "Brown et al. 2020, arXiv 2005.14165",
             on_call("ensembles.few_shot", "fit"), needs=_BUDGET | _SEED, open_questions=True),
)

# fmt: on

METHODS: Mapping[str, Method] = {method.name: method for method in _METHODS}
SEARCHING: Mapping[str, Method] = {method.name: method for method in _SEARCHING}
ENSEMBLES: Mapping[str, Ensemble] = {ensemble.name: ensemble for ensemble in _ENSEMBLES}


def load_method(name: str) -> Method:
    """The method of that name, out of `METHODS` or `SEARCHING`.

    Raises:
        UserError: there is none.
    """
    return lookup("method", name, {**METHODS, **SEARCHING})
