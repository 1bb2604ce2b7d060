"""What the main road takes from the side rooms, by name: the only file that imports both.

An offer is imported when it is asked for, so that a search loads no room that it has not chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyswarmopt_llm.common.registry import offer


@offer
def attach() -> Callable[..., Any]:
    from pyswarmopt_llm.servers.attach import attach as found

    return found


@offer
def check_loaded() -> Callable[..., Any]:
    from pyswarmopt_llm.servers.attach import check_loaded as found

    return found


@offer
def check_served() -> Callable[..., Any]:
    from pyswarmopt_llm.servers.attach import check_served as found

    return found


@offer
def still_same() -> Callable[..., Any]:
    from pyswarmopt_llm.servers.attach import still_same as found

    return found


@offer
def Pools() -> Callable[..., Any]:
    from pyswarmopt_llm.servers.workers.pool import Pools as found

    return found


@offer
def prepare_mixture() -> Callable[..., Any]:
    from pyswarmopt_llm.tokens.space import prepare as found

    return found


@offer
def open_mixture() -> Callable[..., Any]:
    from pyswarmopt_llm.tokens.space import open_mixture as found

    return found


@offer
def read_hub() -> Callable[..., Any]:
    from pyswarmopt_llm.published.datasets import read_hub as found

    return found


@offer
def read_published() -> Callable[..., Any]:
    from pyswarmopt_llm.published.datasets import read_published as found

    return found


@offer
def builtin_task() -> Callable[..., Any]:
    from pyswarmopt_llm.published.builtin import task_of as found

    return found


@offer
def name_and_seed() -> Callable[..., Any]:
    from pyswarmopt_llm.published.builtin import name_and_seed as found

    return found


@offer
def builtin_training_items() -> Callable[..., Any]:
    from pyswarmopt_llm.published.builtin import builtin_training_items as found

    return found


@offer
def LmEvalTask() -> Callable[..., Any]:
    from pyswarmopt_llm.published.lm_eval import LmEvalTask as found

    return found


@offer
def Abstention() -> Callable[..., Any]:
    from pyswarmopt_llm.published.abstention import Abstention as found

    return found


@offer
def graph_answers() -> Callable[..., Any]:
    from pyswarmopt_llm.published.nlgraph import graph_answers as found

    return found


@offer
def harmlessness() -> Callable[..., Any]:
    from pyswarmopt_llm.published.classifiers import harmlessness as found

    return found


@offer
def toxicity_metric() -> Callable[..., Any]:
    from pyswarmopt_llm.published.classifiers import toxicity_metric as found

    return found


@offer
def reward_metric() -> Callable[..., Any]:
    from pyswarmopt_llm.published.classifiers import reward_metric as found

    return found


@offer
def judge_metric() -> Callable[..., Any]:
    from pyswarmopt_llm.published.judge import judge_metric as found

    return found


@offer
def local_judge_metric() -> Callable[..., Any]:
    from pyswarmopt_llm.published.judge import local_judge_metric as found

    return found
