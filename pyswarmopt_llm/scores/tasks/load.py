"""Load and check the tasks of ``--task``: generated, from a data set, or a table: JSON in the Model
Swarms reference's format, JSONL, CSV or lines of text.

Six column names are known, a user gives others (question=text,label=mood,0=bad). Labels become
choices; dev and test come from the file, or are drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import Reading, parse_reading
from pyswarmopt_llm.scores.tasks.items import content
from pyswarmopt_llm.scores.tasks.rows import read_task
from pyswarmopt_llm.scores.tasks.templates import prompted
from pyswarmopt_llm.scores.tasks.types import DEV, SPLITS, TEST, Task

log = logging.getLogger(__name__)
BUILTIN = "builtin"
SPARE = 4  # most spare items per dev item
NO_FILES = (BUILTIN, "lm-eval", "hub", "published")


def load_task_of(config: Any, spec: str, **other: Any) -> Task:
    """`load_task` with a configuration's fields; `other` overrides them."""
    names = ("dev", "test", "allow_overlap", "columns", "template")
    return load_task(spec, **{name: getattr(config, name) for name in names} | other)


def load_task(
    spec: str,
    *,
    dev: int | None = None,
    test: int | None = None,
    allow_overlap: bool = False,
    columns: Sequence[str] = (),
    template: str | Sequence[str] | None = (),
) -> Task:
    """Load and check a task.

    Args:
        spec: a path (``.json``, ``.jsonl``, ``.csv``, ``.tsv``), ``builtin:NAME[:SEED]``,
            ``hub:DATASET[:CONFIG]``, ``published:NAME[:PATH]``, or ``prompts:FILE``, whose items
            need no answers.
        dev: number of dev items, the first of the split (a generated task has exactly that many).
            If a file has no splits, dev is drawn: half of the prompts, or a third of the rows with
            answers, but up to two thirds until it has 40; by default at most 200 dev and 1,000 test
            items are used.
        test: number of test items.
        allow_overlap: accept questions that are in both dev and test.
        columns: names of a file's columns, if they differ: ``"question=text"``, ``"label=mood"``;
            ``"0=bad"`` names a label.
        template: the user turn, with ``{question}`` and optionally ``{choices}`` or other columns;
            see `templates.prompted`. None: `prompted` will be called later.

    Returns:
        The task, with its dev and test items.

    Raises:
        UserError: the task cannot be found or read, or an item is wrong.

    Example:
        >>> task = load_task("builtin:kinship:3", dev=10, test=20, template="{question} Say it in one word.")
        >>> task.name, len(task.dev), len(task.test), task.prompt
        ('kinship', 10, 20, '{question} Say it in one word.')
    """
    for split, n in (("dev", dev), ("test", test)):
        if n is not None and n < 1:
            raise InvalidOption(split, n, ": at least one example is needed")
    reading = parse_reading(columns)
    kind = spec.partition(":")[0]
    if kind in (BUILTIN, "published", "lm-eval") and columns:
        raise InvalidOption("columns", None, f": {spec} has no columns to name; remove it")
    if kind == "lm-eval":
        raise UserError(
            f"{spec}: tasks of lm-evaluation-harness have no examples to read; pass them to search or eval"
        )
    if kind == BUILTIN:
        from pyswarmopt_llm.published.builtin import builtin_task, name_and_seed

        task = builtin_task(*name_and_seed(spec), dev, test)
    else:
        whole = read_whole(spec, dev, test, reading)
        _check_splits(whole, allow_overlap)
        task = _cut(whole, dev, test)
    if template is None:
        return task
    templates = (template,) if isinstance(template, str) else template
    return prompted({task.name: task}, templates)[task.name]


def read_whole(spec: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """All items of a file, without checks between them; of a data set, `dev` and `test` items."""
    kind, _, name = spec.partition(":")
    if kind == "prompts":
        return read_task(Path(name), reading, prompts=True)
    if kind == "hub":
        from pyswarmopt_llm.published.datasets import read_hub

        return read_hub(name, dev, test, reading)
    if kind == "published":
        from pyswarmopt_llm.published.datasets import read_published

        return read_published(name, dev, test, reading)
    return read_task(Path(spec), reading)


def _cut(task: Task, dev: int | None, test: int | None) -> Task:
    """The first items of each split; drawn splits are by default as large as the reference's."""
    notes = [task.note, *_missing(task, dev, test)]
    if task.drawn:
        dev = dev or DEV
        test = test or TEST
    used = replace(task, dev=task.dev[:dev], test=task.test[:test])
    if task.drawn:
        sizes = f"{len(used.dev)} dev and {len(used.test)} test examples"
        notes.insert(0, f"no split, so {sizes} were drawn")
    note = "; ".join(filter(None, notes))
    spare = task.dev[len(used.dev) :][: SPARE * len(used.dev)]
    if len(spare) < len(used.dev) or any(item.choices for item in spare):
        spare = ()
    return replace(used, note=note and f"{task.source}: {note}", spare=spare)


def _missing(task: Task, dev: int | None, test: int | None) -> Iterator[str]:
    """What is said of a split with fewer items than asked for."""
    for split, asked in zip(SPLITS, (dev, test), strict=True):
        there = len(task.split(split))
        if asked is not None and there < asked:
            yield f"`{split}` asks for {asked:,} examples, but there are only {there:,}"


def _check_splits(task: Task, allow_overlap: bool) -> None:
    """Refuse an empty split, and questions in both splits, which make the test score misleading;
    with `allow_overlap` only warn.
    """
    for split in SPLITS:
        if not task.split(split):
            raise UserError(f"{task.source}: the {split} split is empty; add examples to it")
    held_out = set(map(content, task.test))
    shared = [item for item in task.dev if content(item) in held_out]
    if not shared:
        return
    message = (
        f"{task.source}: {len(shared)} dev examples are also in test (first id: {shared[0].id!r})"
    )
    if not allow_overlap:
        raise UserError(f"{message}; remove them from one split, or add `allow_overlap`")
    log.warning("%s; the test score will be optimistic", message)
