"""Load and check the tasks that ``--task`` names."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt.base.words import SEED
from pyswarmopt_llm.common.config import PROMPTS
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.scores.tasks.columns import Reading, parse_reading
from pyswarmopt_llm.scores.tasks.formats import SPLITS
from pyswarmopt_llm.scores.tasks.items import content, normalise, unordered
from pyswarmopt_llm.scores.tasks.prompts import check_template, fillers, placeholders
from pyswarmopt_llm.scores.tasks.table import read_task
from pyswarmopt_llm.scores.tasks.types import DEV, TEST, Item, RawTask, Task

log = logging.getLogger(__name__)

BUILTIN = "builtin"
# Sources of rows that are no files: name, dev, test, reading -> raw task.
_SOURCES: Mapping[str, Callable[..., RawTask]] = {
    "hub": lazy("pyswarmopt_llm.published.hub:read_hub"),
    "published": lazy("pyswarmopt_llm.published.datasets:read_published"),
}
_NO_FILES = (BUILTIN, "lm-eval", *_SOURCES)
_builtin_task = lazy("pyswarmopt_llm.published.builtin:builtin_task")
_WORDS = 4  # of a text that a prompt may need
_TASK_TEMPLATE = re.compile(r"([\w.-]+)=(.*)", re.DOTALL)


def load_task_of(config: Any, spec: str, **other: Any) -> Task:
    """`load_task` with the fields of a configuration; `other` replaces some of them."""
    names = ("dev", "test", "allow_overlap", "columns", "template", "split_seed", "skip_bad_rows")
    return load_task(spec, **{name: getattr(config, name) for name in names} | other)


def check_files(config: Any, specs: Sequence[str]) -> None:
    """Read the task files of a configuration, to say what is wrong before a model is loaded.

    Args:
        config: see `load_task_of`.
        specs: its tasks; those that are no files are not looked at.

    Raises:
        UserError: no such file, or one that cannot be read.
    """
    reading = parse_reading(config.columns, config.split_seed, config.skip_bad_rows)
    for spec in specs:
        if spec.partition(":")[0] not in _NO_FILES:
            read_raw(spec, None, None, reading)


def load_task(
    spec: str,
    *,
    dev: int | None = None,
    test: int | None = None,
    allow_overlap: bool = False,
    columns: Sequence[str] = (),
    template: str | Sequence[str] = (),
    split_seed: int = 0,
    skip_bad_rows: bool = False,
) -> Task:
    """Load and check a task.

    Args:
        spec: a path (``.json``, ``.jsonl``, ``.csv``, ``.tsv``), ``builtin:NAME[:SEED]``,
            ``hub:DATASET[:CONFIG]``, ``published:NAME[:PATH]``, or ``prompts:FILE``, whose items
            need no answers.
        dev: number of dev items, the first of the split (a generated task has exactly so many).
        test: number of test items.
        allow_overlap: accept questions that are both in dev and in test.
        columns: other names of a file's columns: ``"question=text"``, ``"label=mood"``;
            ``"0=bad"`` names a label.
        template: the user turn, with ``{question}`` and perhaps ``{choices}`` or other columns; see
            `with_templates`.
        split_seed: draws dev (a third; half of prompts) and test of a file that has no splits; 200
            and 1,000 of them are used unless `dev` and `test` say otherwise.
        skip_bad_rows: leave out rows of a file that cannot be read; `Task.note` says which.

    Raises:
        UserError: the task cannot be found or read, or an item is wrong.

    Example:
        >>> task = load_task("builtin:kinship:3", dev=10, test=20, template="{question} Say it in one word.")
        >>> task.name, len(task.dev), len(task.test), task.prompt
        ('kinship', 10, 20, '{question} Say it in one word.')
    """
    for field, n in (("dev", dev), ("test", test)):
        if n is not None and n < 1:
            raise InvalidOption(field, n, "at least one item is needed")
    task = _load(spec, dev, test, allow_overlap, parse_reading(columns, split_seed, skip_bad_rows))
    templates = (template,) if isinstance(template, str) else template
    return with_templates({task.name: task}, templates)[task.name]


def with_templates(tasks: Mapping[str, Task], templates: Sequence[str]) -> dict[str, Task]:
    """The tasks with their prompts replaced: by ``TEXT``, for all of them, or by ``TASK=TEXT``.

    Example:
        >>> task = Task("mood", (), ())
        >>> with_templates({"mood": task}, ["{question}\\nMood:", "mood={question}\\n"])["mood"].prompt
        '{question}\\n'
    """
    texts: dict[str | None, str] = {}  # by task; None: for all others
    for template in templates:
        named = _TASK_TEMPLATE.match(template)
        name, text = (None, template) if named is None else (named[1], named[2])
        if name is None and None in texts:
            raise InvalidOption(
                "template", template, f"a second one for all tasks; write TASK={template}"
            )
        if name is not None and name not in tasks:
            raise InvalidOption(
                "template", template, f"no task is called {name}; choose one of: {', '.join(tasks)}"
            )
        texts[name] = text
    return {
        name: _with_prompt(task, texts.get(name, texts.get(None))) for name, task in tasks.items()
    }


def _with_prompt(task: Task, template: str | None) -> Task:
    """The task with its prompt, and a note on columns of text that the prompt leaves out."""
    items = (*task.dev, *task.test)
    columns = set.intersection(*(set(fillers(item)) for item in items)) if items else set()
    prompt, where = (template, "`template`") if template is not None else (task.prompt, task.source)
    if prompt is not None:
        check_template(prompt, where, sorted(columns))
    left_out = columns - {"question", "choices", *placeholders(prompt or "")}
    texts = [
        name
        for name in sorted(left_out)
        if any(len(item.meta[name].split()) >= _WORDS for item in items)  # sentences, not codes
    ]
    note = task.note
    if note and texts:
        note += f"; not in the prompt: {', '.join(texts)} (add {{{texts[0]}}} to `template`)"
    return replace(task, prompt=prompt, note=note)


def _load(
    spec: str, dev: int | None, test: int | None, allow_overlap: bool, reading: Reading
) -> Task:
    kind = spec.partition(":")[0]
    if kind in (BUILTIN, "published", "lm-eval") and (reading.columns or reading.labels):
        raise InvalidOption("columns", None, f"{spec} has no columns to name; remove it")
    if kind == BUILTIN:
        task: Task = _builtin_task(*name_and_seed(spec), dev, test)
        return task
    if kind == "lm-eval":
        raise UserError(
            f"{spec}: a task of lm-evaluation-harness has no items here; give it to search or eval"
        )
    raw, source = read_raw(spec, dev, test, reading)
    for split in SPLITS:
        _check_split(raw, split, source)
    _check_overlap(raw, source, allow_overlap)
    return _task(raw, source, dev, test, reading.seed)


def read_raw(spec: str, dev: int | None, test: int | None, reading: Reading) -> tuple[RawTask, str]:
    """The raw task, and the name of its source in messages."""
    kind, _, name = spec.partition(":")
    if kind in _SOURCES:
        return _SOURCES[kind](name, dev, test, reading), spec
    prompts = spec.startswith(PROMPTS)
    path = Path(name if prompts else spec)
    return read_task(path, reading, prompts), str(path)


def name_and_seed(spec: str, default: int = 0) -> tuple[str, int]:
    """The name and seed in ``builtin:NAME[:SEED]``.

    Raises:
        UserError: the seed is no whole number, or more than 63 bits.
    """
    name, _, seed = spec.partition(":")[2].partition(":")
    if not seed:
        return name, default
    # The length first: Python reads no number of thousands of digits.
    if not (seed.isascii() and seed.isdigit()) or len(seed) > len(str(SEED)) or int(seed) > SEED:
        raise UserError(
            f"{spec[:60]}: the seed must be a whole number of at most {SEED}; write "
            f"builtin:{name}:1"
        )
    return name, int(seed)


def _task(raw: RawTask, source: str, dev: int | None, test: int | None, seed: int) -> Task:
    """The task of the first items of each split; the default of drawn ones is the reference's."""
    dev_items, test_items = (tuple(item for _, item in raw.splits[split]) for split in SPLITS)
    for split, count, items in (("dev", dev, dev_items), ("test", test, test_items)):
        if count is not None and count > len(items):
            log.warning(
                "%s: %d %s items requested, only %d available", raw.name, count, split, len(items)
            )
    drawn = raw.strata is not None
    dev_items, spare = _parted(dev_items, dev or (DEV if drawn else None))
    test_items, left = _parted(test_items, test or (TEST if drawn else None))
    note = raw.note and f"{source}: {raw.note}"
    if drawn:
        strata = f", stratified by {raw.strata}" if raw.strata else ""
        rows = "prompts" if raw.column == "prompt" else "rows"
        note = (
            f"{source} names no split: {len(dev_items)} dev and {len(test_items)} test items drawn "
            f"from its {sum(map(len, raw.splits.values()))} {rows} with split seed {seed}{strata}"
        ) + (f"; {raw.note}" if raw.note else "")
    return Task(
        raw.name,
        dev_items,
        test_items,
        raw.prompt,
        source,
        metric=raw.metric,
        note=note,
        column=raw.column,
        left=len(left),
        spare=() if any(item.choices for item in spare) else spare,
    )


def _parted(items: tuple[Item, ...], n: int | None) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    return (items, ()) if n is None else (items[:n], items[n:])


def _check_split(raw: RawTask, split: str, source: str) -> None:
    """Refuse an empty split or repeated ids, and tell of repeated questions."""
    items = raw.splits[split]
    if not items:
        raise UserError(f"{source}: the {split} split is empty; add items to it")
    # Per split: published data sets number each split from 0.
    seen: dict[tuple[str, str], str] = {}
    for where, item in items:
        other = seen.setdefault((_id_space(raw.name, item), item.id), where)
        if other != where:
            raise UserError(
                f"{where}: the id {item.id!r} is already used at {other}; make ids unique"
            )
    repeats = len(items) - len({content(item) for _, item in items})
    if repeats:
        log.warning("%s: %d of %d %s items repeat another", source, repeats, len(items), split)


def _id_space(name: str, item: Item) -> str:
    """The namespace of an item's id, for files of the Model Swarms reference that repeat ids.

    In HellaSwag (Zellers et al. 2019) ids are row numbers of one of its two sources; a ``[header]``
    distinguishes WikiHow from ActivityNet captions. GSM8k's are all 0; crosswords are drawn with
    replacement, each time with other options.
    """
    if name in ("GSM8k", "knowledge_crosswords"):
        return "\n".join(content(item))
    return str(item.question.startswith("[header]")) if name == "hellaswag" else ""


def _check_overlap(raw: RawTask, source: str, allow_overlap: bool) -> None:
    """Refuse questions in both splits, which make a test score mislead; with `allow_overlap` they
    are told only, as are those of other options, of which published data sets have a few.
    """
    shared = _shared(raw, content)
    if shared:
        message = (
            f"{source}: {len(shared)} dev items are also in test (the first has the id "
            f"{shared[0].id!r})"
        )
        if not allow_overlap:
            raise UserError(f"{message}; remove them from one split, or add `allow_overlap`")
        log.warning("%s; the test score will be optimistic", message)
    told = len(shared)
    for key, how in (
        (unordered, " with their options in another order"),
        (_solved, ", with the same answer among other options"),
    ):
        count = len(_shared(raw, key)) - told
        if count > 0:
            log.warning("%s: %d dev items are also in test%s", source, count, how)
        told += max(count, 0)


def _shared(raw: RawTask, key: Callable[[Item], tuple[str, ...]]) -> list[Item]:
    """The dev items whose key a test item has, too."""
    held_out = {key(item) for _, item in raw.splits["test"]}
    return [item for _, item in raw.splits["dev"] if key(item) in held_out]


def _solved(item: Item) -> tuple[str, str]:
    return normalise(item.conversation), normalise(item.answer_text)
