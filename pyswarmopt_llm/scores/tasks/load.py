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
from pyswarmopt_llm.scores.tasks.items import content, normalise, unordered
from pyswarmopt_llm.scores.tasks.prompts import check_template, fillers, placeholders
from pyswarmopt_llm.scores.tasks.table import Reading, parse_reading, read_task
from pyswarmopt_llm.scores.tasks.types import DEV, TEST, Item, Task

log = logging.getLogger(__name__)

BUILTIN = "builtin"
# Sources of rows that are no files: name, dev, test, reading -> all their items.
_SOURCES: Mapping[str, Callable[..., Task]] = {
    "hub": lazy("pyswarmopt_llm.published.datasets:read_hub"),
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
            read_whole(spec, None, None, reading)


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

    Returns:
        The task, with its dev and test items.

    Raises:
        UserError: the task cannot be found or read, or an item is wrong.

    Example:
        >>> task = load_task("builtin:kinship:3", dev=10, test=20, template="{question} Say it in one word.")
        >>> task.name, len(task.dev), len(task.test), task.prompt
        ('kinship', 10, 20, '{question} Say it in one word.')
    """
    for field, n in (("dev", dev), ("test", test)):
        if n is not None and n < 1:
            raise InvalidOption(field, n, "at least one example is needed")
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
            f"{spec}: a task of lm-evaluation-harness has no examples here; give it to search or eval"
        )
    whole = read_whole(spec, dev, test, reading)
    for split in ("dev", "test"):
        _check_split(whole, split)
    _check_overlap(whole, allow_overlap)
    return _cut(whole, dev, test, reading.seed)


def read_whole(spec: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """All items of a file, unchecked against each other; of a data set so many."""
    kind, _, name = spec.partition(":")
    if kind in _SOURCES:
        return _SOURCES[kind](name, dev, test, reading)
    prompts = spec.startswith(PROMPTS)
    return read_task(Path(name if prompts else spec), reading, prompts)


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


def _cut(task: Task, dev: int | None, test: int | None, seed: int) -> Task:
    """The first items of each split; by default of drawn ones as many as the reference has."""
    for split, count in (("dev", dev), ("test", test)):
        available = len(task.split(split))
        if count is not None and count > available:
            log.warning(
                "%s: %d %s examples requested, only %d available",
                task.name,
                count,
                split,
                available,
            )
    drawn = task.strata is not None
    dev = dev or (DEV if drawn else len(task.dev))
    test = test or (TEST if drawn else len(task.test))
    spare = task.dev[dev:]
    used = replace(
        task,
        dev=task.dev[:dev],
        test=task.test[:test],
        left=len(task.test[test:]),
        spare=() if any(item.choices for item in spare) else spare,
        fingerprint="",
    )
    note = task.note and f"{task.source}: {task.note}"
    if drawn:
        strata = f", stratified by {task.strata}" if task.strata else ""
        rows = "prompts" if task.column == "prompt" else "rows"
        note = (
            f"{task.source} names no split: {len(used.dev)} dev and {len(used.test)} test examples "
            f"drawn from its {len(task.dev) + len(task.test)} {rows} with split seed {seed}{strata}"
        ) + (f"; {task.note}" if task.note else "")
    return replace(used, note=note)


def _check_split(task: Task, split: str) -> None:
    """Refuse an empty split, and tell of repeated questions."""
    items = task.split(split)
    if not items:
        raise UserError(f"{task.source}: the {split} split is empty; add examples to it")
    asked = len(set(map(content, items)))
    if repeats := len(items) - asked:
        other = len({(content(item), item.answer) for item in items}) - asked
        unlike = f", {other} of them with another answer" if other else ""
        message = "%s: %d of %d %s examples repeat another%s"
        log.warning(message, task.source, repeats, len(items), split, unlike)


def _check_overlap(task: Task, allow_overlap: bool) -> None:
    """Refuse questions in both splits, which make a test score mislead; with `allow_overlap` they
    are told only, as are those of other options, of which published data sets have a few.
    """
    shared = _shared(task, content)
    if shared:
        message = (
            f"{task.source}: {len(shared)} dev examples are also in test (the first has the id "
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
        count = len(_shared(task, key))
        if count > told:
            log.warning("%s: %d dev examples are also in test%s", task.source, count - told, how)
            told = count


def _shared(task: Task, key: Callable[[Item], tuple[str, ...]]) -> list[Item]:
    """The dev items whose key a test item has, too."""
    held_out = set(map(key, task.test))
    return [item for item in task.dev if key(item) in held_out]


def _solved(item: Item) -> tuple[str, str]:
    return normalise(item.conversation), normalise(item.answer_text)
