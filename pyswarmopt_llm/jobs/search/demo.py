"""The demonstration: a search, and the base beside it."""

from __future__ import annotations

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.jobs.evaluate.model import evaluate_model
from pyswarmopt_llm.jobs.search.loop import SearchResult, search


def demo(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Search on one task, then score the bare base on its test items.

    Returns:
        As `search`; ``others`` in the result has the label, the score and the interval of the base.
    """
    found = search(config, on_event)
    (task,) = config.tasks
    base = evaluate_model(
        config.base,
        None,
        task,
        scoring=str(found.result["scoring"]),
        dtype=config.dtype,
        device=config.device,
        threads=config.threads,
        dev=config.dev,
        test=config.test,
    )
    other = {"label": "base", "test": base.score.value, "test_interval": base.interval}
    return SearchResult(found.run, {**found.result, "others": [other]})


__all__ = ["demo"]
