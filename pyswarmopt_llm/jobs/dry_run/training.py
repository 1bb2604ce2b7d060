"""``--dry-run`` of train-expert, and of the training in distill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.jobs.dry_run.plan import Plan, plan
from pyswarmopt_llm.jobs.train_on_options import options_training_cost
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.files import check_free
from pyswarmopt_llm.models.training.train import TrainingCost, TrainingOptions, training_cost
from pyswarmopt_llm.tasks import Item

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "README.md")


def dry_run_training(
    base: str,
    data: Sequence[Mapping[str, Any]] | Sequence[Item],
    out: str,
    options: TrainingOptions,
    *,
    dtype: str = "auto",
    device: str = "auto",
) -> Plan:
    """The cost of training on chats, or on items (``--loss options``)."""
    check_free(Path(out))
    where = pick_device(device)
    kind, items = pick_dtype(dtype, where), [one for one in data if isinstance(one, Item)]
    if items:
        cost = options_training_cost(base, items, options, dtype=dtype, device=device)
    else:
        chats = [one for one in data if not isinstance(one, Item)]
        cost = training_cost(resolve_base(base), chats, options, dtype=kind, device=where)
    found = plan((), 0, cost.seconds, dtype=kind, device=device, out=out, writes=ADAPTER_FILES)
    return with_training(found, cost)


def with_training(found: Plan, cost: TrainingCost) -> Plan:
    """A plan with the steps of a training."""
    return replace(found, steps=cost.steps, tokens=cost.tokens)
