"""Rivals: the published ways to combine LoRA experts. One file per method, one line in a table below.

A method declares what it needs, then executes. Its file defines `METHOD`, a `method.Method`:

- ``spaces``: where it is defined, its own first. ``factor``: on A and B each; ``delta``: on dW = s B A.
- ``weight``, ``density``, ``t``: the defaults of the options that it takes; None where it takes none.
- ``needs``: what it cannot run without, beyond the experts. Empty for a fixed rule; ``"seed"`` where chance is part
  of it; ``"dev"`` for methods that score candidates, ``"data"`` for those that look at training or dev texts.
- ``execute(experts, settings) -> Merged``: the patch, and what truncation to a rank lost.

`METHODS` need no more than a seed. What `SEARCHING` methods need beyond is `Settings.trial`, which `swarm-llm compare`
fills. `ENSEMBLES` run all experts on every item instead of merging them: theirs is an `ensemble.Ensemble`.

To add one: a file ``<name with _>.py`` in this folder and a line in a table below. Importing this package loads no
torch, so that ``--help`` can show the tables at once.

Example:
    >>> load_method("ties").density
    0.2
    >>> load_method("tiess")
    Traceback (most recent call last):
    pyswarmopt_llm.common.errors.UserError: --method tiess: unknown; did you mean ties?
"""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from pyswarmopt_llm.common.errors import UserError

if TYPE_CHECKING:
    from pyswarmopt_llm.baselines.ensembles.ensemble import Ensemble
    from pyswarmopt_llm.baselines.method import Method

METHODS = {
    "uniform-soup": "plain average (Wortsman 2022)",
    "task-arithmetic": "weighted sum (Ilharco 2023)",
    "slerp": "along the arc between experts, in turn (Shoemake 1985)",
    "karcher": "mean direction on the sphere (Karcher 1977)",
    "ties": "trim, elect signs, average what agrees (Yadav 2023)",
    "dare-linear": "drop at random, rescale, sum (Yu 2024)",
    "dare-ties": "drop at random, rescale, elect signs (Yu 2024)",
    "magnitude-prune": "keep the largest entries, sum (peft)",
    "della": "drop small entries more often, elect signs (Deep 2024)",
    "breadcrumbs": "drop outliers and the small, sum (Davari 2023)",
    "model-stock": "towards the base by the experts' angle (Jang 2024)",
    "knots": "align by a common SVD, then ties (Stoica 2024)",
}

SEARCHING = {
    "best-single": "the expert that is best on dev",
    "greedy-soup": "average of those that help on dev (Wortsman 2022)",
    "regmean": "nearest outputs in least squares (Jin 2023)",
    "fisher": "average by Fisher information (Matena 2022)",
    "adamerging": "gradient descent on entropy (Yang 2024)",
    "lorahub": "weights by NGOpt on the loss (Huang 2023)",
    "evolmerge": "CMA-ES over DARE-TIES (Akiba 2024)",
    "pso-merging": "a swarm of base, experts, sparse experts (Zhang 2025)",
    "natural-niches": "competition and attraction, M2N2 (Abrantes 2025)",
    "data-merge": "one adapter trained on all data",
}

ENSEMBLES = {
    "prediction-merge": "plurality vote of all experts",
    "pack-sim": "logits weighted by perplexity (Mavromatis 2024)",
    "pack-opt": "logits for least perplexity (Mavromatis 2024)",
    "cbtm": "experts by cluster of the input (Gururangan 2023)",
    "token": "a swarm mixes next-token probabilities (Feng 2024)",
}


def load_method(name: str) -> Method:
    """The method of that name out of `METHODS` or `SEARCHING`.

    Raises:
        UserError: there is none; names the nearest, or all.
    """
    known = {**METHODS, **SEARCHING}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"
        raise UserError(f"--method {name}: unknown; {hint}")
    found: Method = _module("rules" if name in METHODS else "searching", name).METHOD
    return found


def load_ensemble(name: str) -> Ensemble:
    """The ensemble of that name, a key of `ENSEMBLES`."""
    found: Ensemble = _module("ensembles", name).METHOD
    return found


def _module(folder: str, name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{folder}.{name.replace('-', '_')}")


__all__ = ["ENSEMBLES", "METHODS", "SEARCHING", "load_ensemble", "load_method"]
