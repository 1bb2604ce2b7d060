"""Rules of searches that run in several processes, on a server, or with several models."""

from __future__ import annotations

import os

from pyswarmopt_llm.common.config import TRANSFORMERS, SearchConfig, is_server
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.http import server_url
from pyswarmopt_llm.searching.plan import Plan, Rule

RAY = "ray"
MOST = 4096  # workers on one machine


def check_place(config: SearchConfig) -> None:
    """Refuse an engine that is neither here nor a server, and workers that are no number and not
    Ray's.

    Raises:
        UserError: names the option.
    """
    if not (config.engine == TRANSFORMERS or is_server(config.engine)):
        why = "unknown; use transformers or http://HOST:PORT"
        raise InvalidOption("engine", config.engine, why)
    server_url(config.engine)
    address = config.workers.partition("ray://")[2]
    on_ray = config.workers in (RAY, f"ray://{address}") and config.workers != "ray://"
    if not on_ray and not 1 <= config.processes <= MOST:
        raise InvalidOption(
            "workers", config.workers, "give a number from 1 on, ray, or ray://HOST"
        )


def _paid(plan: Plan) -> str:
    """The metric that is paid for by the request; "" if none is."""
    metrics = plan.objectives.metrics.values()
    return next((metric.name for metric in metrics if metric.usage is not None), "")


RULES = (
    Rule(
        "workers",
        lambda f: f.alone or not f.kind.several_models,
        "space {f.kind.name} has several models in one process; remove it",
    ),
    Rule(
        "budget_minutes",
        lambda f: f.config.processes > 0,
        "the number of Ray's workers is not known ahead; give `budget_items`",
    ),
    Rule(
        "mix",
        lambda f: not f.config.served,
        "`engine` {f.config.engine} adds adapters at run time; remove it",
    ),
    Rule(
        "space",
        lambda f: not f.config.served or f.kind.name == "delta",
        "a server takes candidates of space delta; give that",
    ),
    Rule(
        "engine",
        lambda f: not f.config.served or f.alone,
        "makes its own batches in one process; remove `workers`",
    ),
    Rule(
        "temperature",
        lambda f: f.config.engine == TRANSFORMERS and not f.kind.several_models,
        "`engine` {f.config.engine} with `space` {f.kind.name} writes greedy replies only; remove it",
    ),
    Rule(
        "workers",
        lambda f: f.alone or not _paid(f),
        "a metric that is paid for counts and limits its requests in one process; remove it",
    ),
    Rule(
        "space",
        lambda f: not (f.kind.several_models and f.objectives.externals),
        "a function or harness task scores one model, not several; give task files",
    ),
)


def threads_of(processes: int) -> int | None:
    """Threads of each of several workers: the cores, divided among them; None for one.

    It is written into ``run.json``: the last bits of a score may depend on the number of threads.

    Args:
        processes: on this machine; 0: Ray's.
    """
    if processes == 1:
        return None
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // processes) if processes else 1
