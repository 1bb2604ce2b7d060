"""Checks across the items of a task: no empty split, no repeated id, no question in both splits."""

from __future__ import annotations

import logging

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks.items import content, unordered
from pyswarmopt_llm.tasks.tables.names import SPLITS
from pyswarmopt_llm.tasks.types import Item, RawTask

log = logging.getLogger(__name__)


def check(raw: RawTask, source: str, allow_overlap: bool = False) -> None:
    """Refuse a task whose scores would be misleading: an empty split, a repeated id, questions in both splits.

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
            raise UserError(f"{where}: the id {item.id!r} is already used at {seen[key]}; make ids unique")
        seen[key] = where


def _id_space(name: str, item: Item) -> str:
    """The namespace of an item's id, for files of the Model Swarms reference that repeat ids.

    In HellaSwag (Zellers et al. 2019) ids are row numbers of one of its two sources; a ``[header]`` distinguishes
    WikiHow from ActivityNet captions. GSM8k's are all 0; the crosswords' are drawn with replacement.
    """
    if name in ("GSM8k", "knowledge_crosswords"):
        return item.question
    return str(item.question.startswith("[header]")) if name == "hellaswag" else ""


def _report_repeats(raw: RawTask, split: str, source: str) -> None:
    repeats = len(raw.splits[split]) - len({content(item) for _, item in raw.splits[split]})
    if repeats:
        log.warning("%s: %d of %d %s items repeat another", source, repeats, len(raw.splits[split]), split)


def _check_overlap(raw: RawTask, source: str, allow_overlap: bool) -> None:
    held_out = {content(item) for _, item in raw.splits["test"]}
    shared = [item for _, item in raw.splits["dev"] if content(item) in held_out]
    if shared:
        first = shared[0].id
        message = f"{source}: {len(shared)} dev items are also in test (the first has the id {first!r})"
        if not allow_overlap:
            raise UserError(f"{message}; remove them from one split, or add --allow-overlap")
        log.warning("%s; the test score will be optimistic", message)
    # Published data sets have a few of these, so they are reported, not refused.
    held_out = {unordered(item) for _, item in raw.splits["test"]}
    alike = sum(unordered(item) in held_out for _, item in raw.splits["dev"]) - len(shared)
    if alike > 0:
        log.warning("%s: %d dev items are also in test with their options in another order", source, alike)
