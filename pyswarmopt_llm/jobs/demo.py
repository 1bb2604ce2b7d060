"""The demonstration: a search, and what else could be made of the same base and the same examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyswarmopt_llm.baselines import load_method
from pyswarmopt_llm.baselines.method import Options
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.jobs.compare.bench import Bench, BudgetedTrial
from pyswarmopt_llm.jobs.compare.store import Store
from pyswarmopt_llm.jobs.search.loop import SearchResult, search
from pyswarmopt_llm.models.adapters.adapter import load_adapter, read_adapter
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.choices import training_passes
from pyswarmopt_llm.spaces.load import load_engine
from pyswarmopt_llm.tasks import load_task


def demo(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Search, then score the base and a LoRA that is trained on all dev items, on test.

    Returns:
        As `search`; ``others`` in the result has a label, a score and its interval of both.
    """
    found = search(config, on_event)
    if on_event is not None:
        on_event(Event("note", {"text": "for comparison: the base, and fine-tuning on the same dev items"}))
    bench = _bench(config, str(found.result["scoring"]))
    method = load_method("finetune-dev")
    settings = method.settings(len(bench.experts), None, Options(seed=config.seed))
    trial = BudgetedTrial(bench, training_passes(bench.dev_items))
    tuned = method.execute(bench.experts, replace(settings, trial=trial)).patch
    label = f"fine-tuned on the {bench.dev_items} dev items"
    others = [_other("base", bench.score(Patch(), "test")[0]), _other(label, bench.score(tuned, "test")[0])]
    return SearchResult(found.run, {**found.result, "others": others})


def _bench(config: SearchConfig, scoring: Any) -> Bench:
    base, task = resolve_base(config.base), load_task(config.tasks[0])
    task = replace(task, dev=task.dev[: config.dev], test=task.test[: config.test])
    engine = load_engine(base, config.dtype, config.device, config.threads)
    return Bench(base, engine, [load_adapter(read_adapter(path)) for path in config.experts], task, scoring, Store())


def _other(label: str, score: Score) -> Mapping[str, Any]:
    return {"label": label, "test": score.value, "test_interval": interval(score.per_item)}


__all__ = ["demo"]
