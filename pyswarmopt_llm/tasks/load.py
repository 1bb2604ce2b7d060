"""Load and check the tasks that ``--task`` names."""

from __future__ import annotations

import logging
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks.formats import RawTask, read_file
from pyswarmopt_llm.tasks.types import Task
from pyswarmopt_llm.tasks.validate import check

log = logging.getLogger(__name__)


def load_task(spec: str, *, dev: int | None = None, test: int | None = None, allow_overlap: bool = False) -> Task:
    """Load and check a task.

    Args:
        spec: a path (``.json``, ``.jsonl``, ``.csv``), ``builtin:NAME[:SEED]``, ``hub:DATASET[:CONFIG]`` or
            ``published:NAME[:PATH]``.
        dev: number of dev items, the first of the split (a generated task has exactly so many).
        test: number of test items.
        allow_overlap: accept questions that are both in dev and in test.

    Raises:
        UserError: the task cannot be found or read, or an item is wrong.

    Example:
        >>> task = load_task("builtin:kinship:3", dev=10, test=20)
        >>> task.name, len(task.dev), len(task.test)
        ('kinship', 10, 20)
    """
    for option, n in (("--dev", dev), ("--test", test)):
        if n is not None and n < 1:
            raise UserError(f"{option} {n}: at least one item is needed")
    kind, _, rest = spec.partition(":")
    if kind == "builtin":
        from pyswarmopt_llm.tasks.builtin import builtin_task

        name, seed = _name_and_seed(spec, rest)
        return builtin_task(name, seed, dev, test)
    if kind == "lm-eval":
        raise UserError(f"{spec}: a task of lm-evaluation-harness has no items here; give it to search or eval")
    raw, source = _read(spec, kind, rest, dev, test)
    check(raw, source, allow_overlap)
    return _task(raw, source).limited(_available(raw, "dev", dev), _available(raw, "test", test))


def _read(spec: str, kind: str, rest: str, dev: int | None, test: int | None) -> tuple[RawTask, str]:
    """What the reader of that kind of task finds, and what messages call its source."""
    if kind == "hub":
        from pyswarmopt_llm.tasks.hub import read_hub

        return read_hub(rest, dev, test), spec
    if kind == "published":
        from pyswarmopt_llm.tasks.published import read_published

        return read_published(rest, dev, test), spec
    return read_file(Path(spec)), str(Path(spec))


def _name_and_seed(spec: str, rest: str) -> tuple[str, int]:
    name, _, seed = rest.partition(":")
    if not seed:
        return name, 0
    if not (seed.isascii() and seed.isdigit()):
        raise UserError(f"{spec}: the seed must be a whole number, not {seed!r}; write builtin:{name}:1")
    return name, int(seed)


def _task(raw: RawTask, source: str) -> Task:
    dev, test = (tuple(item for _, item in raw.splits[split]) for split in ("dev", "test"))
    return Task(raw.name, dev, test, raw.prompt, source, metric=raw.metric)


def _available(raw: RawTask, split: str, wanted: int | None) -> int | None:
    there = len(raw.splits[split])
    if wanted is not None and wanted > there:
        log.warning("%s: %d %s items requested, only %d available", raw.name, wanted, split, there)
    return wanted
