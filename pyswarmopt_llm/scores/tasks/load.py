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
from pyswarmopt_llm.scores.tasks.formats import read_file
from pyswarmopt_llm.scores.tasks.items import content, normalise, unordered
from pyswarmopt_llm.scores.tasks.prompts import check_template, fillers, placeholders
from pyswarmopt_llm.scores.tasks.tables.names import SPLITS, Reading, parse_reading
from pyswarmopt_llm.scores.tasks.types import DEV, TEST, Item, RawTask, Task

log = logging.getLogger(__name__)

_NO_FILES = ("builtin", "hub", "published", "lm-eval")  # kinds of tasks
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
        split_seed: draws dev (a third; half of prompts) and test of a file that has no splits; 200 and 1,000 of them
            are used unless `dev` and `test` say otherwise.
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
    if template is not None:
        check_template(template, "`template`", sorted(columns))
    prompt = template if template is not None else task.prompt
    left = [
        name for name in sorted(columns - set(placeholders(prompt or ""))) if _is_text(name, items)
    ]
    note = task.note
    if note and left:
        note += f"; not in the prompt: {', '.join(left)} (add {{{left[0]}}} to `template`)"
    return replace(task, prompt=prompt, note=note)


def _is_text(column: str, items: Sequence[Item]) -> bool:
    """Whether a column that is not question, answer or options holds sentences, not codes."""
    return column not in ("question", "choices") and any(
        len(item.meta[column].split()) >= _WORDS for item in items
    )


def _load(
    spec: str, dev: int | None, test: int | None, allow_overlap: bool, reading: Reading
) -> Task:
    kind = spec.partition(":")[0]
    if reading.names_columns and kind in ("builtin", "published", "lm-eval"):
        raise InvalidOption("columns", None, f"{spec} has no columns to name; remove it")
    if reading.labels and kind == "hub":
        raise InvalidOption(
            "columns",
            f"{next(iter(reading.labels))}=...",
            "names the labels of a file only; remove it",
        )
    if kind == "builtin":
        from pyswarmopt_llm.published.builtin import builtin_task

        name, seed = name_and_seed(spec)
        return builtin_task(name, seed, dev, test)
    if kind == "lm-eval":
        raise UserError(
            f"{spec}: a task of lm-evaluation-harness has no items here; give it to search or eval"
        )
    raw, source = read_raw(spec, dev, test, reading)
    _check(raw, source, allow_overlap)
    return _task(raw, source, dev, test, reading.seed)


def read_raw(spec: str, dev: int | None, test: int | None, reading: Reading) -> tuple[RawTask, str]:
    """The raw task, and the name of its source in messages."""
    kind, _, rest = spec.partition(":")
    if kind == "hub":
        from pyswarmopt_llm.published.hub import read_hub

        return read_hub(rest, dev, test, reading.columns), spec
    if kind == "published":
        from pyswarmopt_llm.published.datasets import read_published

        return read_published(rest, dev, test), spec
    if spec.startswith(PROMPTS):
        from pyswarmopt_llm.scores.tasks.prompt_lists import read_prompts

        return read_prompts(Path(rest), reading), str(Path(rest))
    return read_file(Path(spec), reading), str(Path(spec))


def name_and_seed(spec: str, default: int = 0) -> tuple[str, int]:
    """The name and seed in ``builtin:NAME[:SEED]``.

    Raises:
        UserError: the seed is no whole number, or more than 63 bits.
    """
    name, _, seed = spec.partition(":")[2].partition(":")
    if not seed:
        return name, default
    if not (seed.isascii() and seed.isdigit()):
        raise UserError(
            f"{spec}: the seed must be a whole number, not {seed!r}; write builtin:{name}:1"
        )
    # The length first: Python reads no number of thousands of digits.
    if len(seed) > len(str(SEED)) or int(seed) > SEED:
        raise UserError(f"{spec[:60]}: the seed has {len(seed)} digits; give at most {SEED}")
    return name, int(seed)


def _task(raw: RawTask, source: str, dev: int | None, test: int | None, seed: int) -> Task:
    items = {split: tuple(item for _, item in raw.splits[split]) for split in SPLITS}
    task = Task(
        raw.name,
        items["dev"],
        items["test"],
        raw.prompt,
        source,
        metric=raw.metric,
        column=raw.column,
    )
    for split, count in (("dev", dev), ("test", test)):
        available = len(raw.splits[split])
        if count is not None and count > available:
            log.warning(
                "%s: %d %s items requested, only %d available", raw.name, count, split, available
            )
    if raw.strata is None:
        task = task.limited(dev, test)
        return replace(
            task,
            spare=_spare(items["dev"][len(task.dev) :]),
            left=len(items["test"]) - len(task.test),
            note=raw.note and f"{source}: {raw.note}",
        )
    task = task.limited(dev or DEV, test or TEST)
    strata = f", stratified by {raw.strata}" if raw.strata else ""
    decided = f"; {raw.note}" if raw.note else ""
    sizes = f"{len(task.dev)} dev and {len(task.test)} test items"
    rows = f"{sum(map(len, raw.splits.values()))} {'prompts' if raw.column == 'prompt' else 'rows'}"
    note = (
        f"{source} names no split: {sizes} drawn from its {rows} with split seed "
        f"{seed}{strata}{decided}"
    )
    left = len(items["test"]) - len(task.test)
    return replace(task, left=left, note=note, spare=_spare(items["dev"][len(task.dev) :]))


def _spare(rest: tuple[Item, ...]) -> tuple[Item, ...]:
    """Dev items that were left out, unless they have options."""
    return () if any(item.choices for item in rest) else rest


def _check(raw: RawTask, source: str, allow_overlap: bool = False) -> None:
    """Refuse a task whose scores would mislead: an empty split, repeated ids, shared questions.

    With `allow_overlap` questions in both splits are logged only.
    """
    for split in SPLITS:
        if not raw.splits[split]:
            raise UserError(f"{source}: the {split} split is empty; add items to it")
        _check_ids(raw, split)
        _report_repeats(raw, split, source)
    _check_overlap(raw, source, allow_overlap)


def _check_ids(raw: RawTask, split: str) -> None:
    # Per split: published data sets number each split from 0.
    seen: dict[tuple[str, str], str] = {}
    for where, item in raw.splits[split]:
        key = (_id_space(raw.name, item), item.id)
        if key in seen:
            raise UserError(
                f"{where}: the id {item.id!r} is already used at {seen[key]}; make ids unique"
            )
        seen[key] = where


def _id_space(name: str, item: Item) -> str:
    """The namespace of an item's id, for files of the Model Swarms reference that repeat ids.

    In HellaSwag (Zellers et al. 2019) ids are row numbers of one of its two sources; a ``[header]``
    distinguishes WikiHow from ActivityNet captions. GSM8k's are all 0; crosswords are drawn with
    replacement, each time with other options.
    """
    if name in ("GSM8k", "knowledge_crosswords"):
        return "\n".join(content(item))
    return str(item.question.startswith("[header]")) if name == "hellaswag" else ""


def _report_repeats(raw: RawTask, split: str, source: str) -> None:
    repeats = len(raw.splits[split]) - len({content(item) for _, item in raw.splits[split]})
    if repeats:
        log.warning(
            "%s: %d of %d %s items repeat another", source, repeats, len(raw.splits[split]), split
        )


def _check_overlap(raw: RawTask, source: str, allow_overlap: bool) -> None:
    shared = _shared(raw, content)
    if shared:
        first = shared[0].id
        message = (
            f"{source}: {len(shared)} dev items are also in test (the first has the id {first!r})"
        )
        if not allow_overlap:
            raise UserError(f"{message}; remove them from one split, or add `allow_overlap`")
        log.warning("%s; the test score will be optimistic", message)
    # Published data sets have a few of these, so they are reported, not refused.
    alike = max(len(_shared(raw, unordered)) - len(shared), 0)
    solved = len(_shared(raw, _solved)) - len(shared) - alike
    for count, how in (
        (alike, " with their options in another order"),
        (solved, ", with the same answer among other options"),
    ):
        if count > 0:
            log.warning("%s: %d dev items are also in test%s", source, count, how)


def _shared(raw: RawTask, key: Callable[[Item], tuple[str, ...]]) -> list[Item]:
    """The dev items whose key a test item has, too."""
    held_out = {key(item) for _, item in raw.splits["test"]}
    return [item for _, item in raw.splits["dev"] if key(item) in held_out]


def _solved(item: Item) -> tuple[str, str]:
    return normalise(item.asked), normalise(item.answer_text)
