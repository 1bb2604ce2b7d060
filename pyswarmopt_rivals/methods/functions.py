"""The functions of the methods, by the names in their tables; importing this module loads torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyswarmopt_rivals.methods import changes, own
from pyswarmopt_rivals.methods.ensembles import cbtm, few_shot, pack, token, votes
from pyswarmopt_rivals.methods.rules import angles, sparsify
from pyswarmopt_rivals.methods.searching import by_optimizer, natural_niches, optimizers, soups
from pyswarmopt_rivals.methods.training import data_merge, inside, on_dev

# settings -> `Merged`, or `Answerer` for an ensemble; arguments of a method come first
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "uniform_soup": soups.uniform_soup,
    "task_arithmetic": sparsify.TASK_ARITHMETIC,
    "slerp": angles.slerp,
    "ties": sparsify.TIES,
    "dare_linear": sparsify.DARE_LINEAR,
    "dare_ties": sparsify.DARE_TIES,
    "magnitude_prune": sparsify.MAGNITUDE_PRUNE,
    "della": sparsify.DELLA,
    "breadcrumbs": sparsify.BREADCRUMBS,
    "model_stock": angles.model_stock,
    "knots": sparsify.knots,
    "best_single": soups.best_single,
    "greedy_soup": soups.greedy_soup,
    "regmean": inside.regmean,
    "fisher": inside.fisher,
    "adamerging": inside.adamerging,
    "lorahub": by_optimizer.lorahub,
    "evolmerge": by_optimizer.evolmerge,
    "natural_niches": natural_niches.execute,
    "data_merge": data_merge.execute,
    "prediction_merge": votes.prediction_merge,
    "fit_sim": pack.fit_sim,
    "fit_opt": pack.fit_opt,
    "cbtm": cbtm.fit,
    "token": token.fit,
    "top_k": votes.top_k,
    "few_shot": few_shot.fit,
    "gradient": on_dev.gradient,
    "finetune": on_dev.finetune,
    "optimise": optimizers.optimise,
    "own": own.execute,
    "cut_to_adapter": changes.cut_to_adapter,
}
