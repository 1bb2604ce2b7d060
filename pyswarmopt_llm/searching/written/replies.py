"""Replies to show: of the best expert, the base and the result, to the dev prompts whose scores
changed most.

They are written again at the end, for a few prompts, and kept in ``result.json``. Test prompts are
never shown.
"""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from pyswarmopt_llm.common.files.regular import storable
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.run.result import Model
from pyswarmopt_llm.scores.metrics.metric import Written
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.find import Explored
from pyswarmopt_llm.searching.prepare import Job

log = logging.getLogger(__name__)
SHOWN = 5  # prompts per task
RESULT = "result"  # the last model shown
_LEAST = 100  # shorter replies, in bytes, do not count as repetitive
_REPEATED = 0.2  # a repetitive reply compresses to less than this share
_GAMED = "the result's replies repeat themselves, which the metric rewards"


def shown_replies(
    job: Job, best: Patch, found: Explored, models: Mapping[str, Model]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Replies, for tasks with written replies whose scoring costs nothing but time.

    Args:
        job: the search.
        best: the result's patch.
        found: outcome of exploring.
        models: models of the result, by name.

    Returns:
        For each task, its prompts with every model's reply; and alarms: the tasks on which most of
            the result's shown replies are repetitive or all alike, and most of no other model's.
    """
    shown = {}
    if "base" in models:
        shown["base"] = Patch()
    expert = job.pool.space.realise(job.pool.space.vertices()[found.single])
    shown |= {f"best expert, {job.pool.space.expert_names[found.single]}": expert, RESULT: best}
    tasks: list[dict[str, Any]] = []
    alarms = []
    # several scores of one reply: the replies are shown once, for the first of them
    first: dict[str, str] = {}
    for name, task in job.tasks.items():
        if first.setdefault(task.name, name) != name:
            continue
        metric = job.objectives.metrics[name]
        before, after = (models[model].dev.tasks[name] for model in ("best_single", "best"))
        items = [task.dev[k] for k in changed_most(before.per_item, after.per_item)]
        utility = metric.on(items, found.answer_formats[name], job.engine.chat, task.prompt)
        if items and metric.usage is None and isinstance(utility, Written):
            prompts, repetitive = _answered(job, utility, shown)
            tasks.append({"task": name, "prompts": prompts})
            if repetitive == [RESULT]:
                alarms.append(f"{name}: {_GAMED}; read them in the report before you use it")
    for line in alarms:
        log.warning(line)
    return tasks, alarms


def repeats_itself(text: str) -> bool:
    """Whether a reply is repetitive: it compresses to less than a fifth.

    Whisper uses the same measure (Radford et al. 2022, arXiv 2212.04356, section 4.5).

    Example:
        >>> repeats_itself("KeyNot" * 80), repeats_itself("The answer is no. " * 2)
        (True, False)
    """
    raw = text.encode("utf-8", "replace")
    return len(raw) >= _LEAST and len(zlib.compress(raw)) < _REPEATED * len(raw)


def all_alike(items: Sequence[Item], replies: Sequence[str]) -> bool:
    """Whether most prompts, at least three, get one and the same reply though no answer is known.

    Example:
        >>> items = [Item(str(n), f"Sort {n}", None, "") for n in range(4)]
        >>> all_alike(items, ["a a", "a a", "a a", "b"]), all_alike(items, ["a a", "a a", "b", "c"])
        (True, False)
        >>> all_alike([Item("1", "Is 4 even?", None, "yes")] * 4, ["yes"] * 4)  # may be right
        False
    """
    most = max(Counter(replies).values())
    return most > max(2, len(items) // 2) and not any(item.references for item in items)


def changed_most(before: Sequence[float], after: Sequence[float]) -> list[int]:
    """The items whose values differ most, at most `SHOWN`.

    Example:
        >>> changed_most([0.5, 0.5, 0.5, 0.5], [0.5, 0.75, 0.0, 0.5])
        [2, 1]
    """
    changes = np.abs(np.subtract(after, before))
    order = np.argsort(-changes, kind="stable")[:SHOWN].tolist()
    return [number for number in order if changes[number]]


def _answered(
    job: Job, utility: Written, models: Mapping[str, Patch]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Each prompt with every model's reply and its value; and the models most of whose replies are
    repetitive or all alike.
    """
    rows: list[dict[str, Any]] = [
        {"prompt": storable(turn), "replies": []} for turn in utility.turns
    ]
    repetitive = []
    for model, patch in models.items():
        job.engine.load(patch)
        replies = utility.answers(job.engine)
        parts = utility.parts(replies, engine=job.engine)
        for row, text, named in zip(rows, replies, parts, strict=True):
            reply = {
                "model": model,
                "text": storable(text),
                "value": fmean(named.values()),
            }
            if "" not in named:
                reply["marks"] = named
            row["replies"].append(reply)
        most = 2 * sum(map(repeats_itself, replies)) > len(replies)
        if most or all_alike(utility.items, replies):
            repetitive.append(model)
    return rows, repetitive
