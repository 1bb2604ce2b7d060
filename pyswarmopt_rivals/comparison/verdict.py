"""The verdict on a comparison in one sentence, and the commands that make the best method's
result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.commands import changed, command
from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.report.commands import command_line
from pyswarmopt_llm.report.summary import p_text
from pyswarmopt_rivals.comparison.contestants import (
    ADAPTER,
    ITEM_MODEL,
    RANDOM,
    WITH_DEV,
    contestant,
)

Json = Mapping[str, Any]
SINGLE = "best-single"  # the method that the others are compared with
_READING = ("columns", "template", "split_seed", "skip_bad_rows")
_SEARCHING = ("base", "experts", *_READING, "scoring", "allow_overlap", "dev", "test")


def next_steps(result: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): make the adapter of the best method; nothing for an ensemble, which has
    none, and for the best single expert, which is there.

    Args:
        result: ``compare.json``.
    """
    rows, config = result["methods"], result["config"]
    if not rows or "tasks" not in config:  # nothing was compared, or by an early version
        return
    split = "test" if all(row["test"] is not None for row in rows.values()) else "dev"
    first = max(rows, key=lambda name: rows[name][split])
    if first == SINGLE:
        return
    name, kind = first.removesuffix(ADAPTER), contestant(first).kind
    if kind in ("rule", "searching") and name != "data-merge":
        yield f"make the adapter of {first}", _merge(config, name, kind == "searching")
    elif kind == "optimizer" and name != RANDOM:
        yield f"search with {first}", _search(config, name)


def _merge(config: Json, method: str, looks: bool) -> str:
    task = config["tasks"][0] if looks else None
    reading = changed(_options(config, _READING)) if looks else {}
    out = f"{_out(config)}-{method}"
    return command("merge", **_models(config), method=method, task=task, **reading, out=out)


def _models(config: Json) -> dict[str, Any]:
    return {"base": config["base"], "experts": config["experts"]}


def _search(config: Json, method: str) -> str:
    how = {
        **_options(config, _SEARCHING),
        "tasks": config["tasks"],
        "out": f"{_out(config)}-search",
    }
    if method == MODEL_SWARMS:
        how |= {"compat": "paper", "particles": config.get("particles")}
    elif method != WITH_DEV:
        how |= {"train": "off"}
    if method not in (MODEL_SWARMS, ITEM_MODEL, WITH_DEV):
        how |= {"optimizer": method}
    return command_line(SearchConfig(**how))


def _options(config: Json, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: config[key] for key in keys if key in config}


def _out(config: Json) -> str:
    return str(config["out"]).rstrip("/")


def compared(result: Json) -> str:
    """The verdict on a comparison: which method is first, and whether it is better than the best
    single expert.

    Its p-value is multiplied by the number of methods (Bonferroni), as the first is the best of
    them on these items; the interval is that of the corrected test.

    Args:
        result: ``compare.json``.

    Example:
        >>> test = {"rivals": 1, "interval": [0.04, 0.16], "p": 0.001}
        >>> against = {"method": "best-single", "difference": 0.1, "corrected": test}
        >>> rows = {"ties": {"test": 0.7, "dev": 0.8, "against_single": against},
        ...     "best-single": {"test": 0.6, "dev": 0.7}}
        >>> print(compared({"methods": rows}).partition(": ")[2])
        0.700 against 0.600, +0.100 [+0.040, +0.160], p = 0.001, corrected for 1 rival.
    """
    methods = result["methods"]
    split = "test" if all(row["test"] is not None for row in methods.values()) else "dev"
    if not methods or SINGLE not in methods:
        return "No verdict: the comparison has no row for the best single expert."
    first = max(methods, key=lambda name: methods[name][split])
    if first == SINGLE:
        return (
            "No method scores higher than the best single expert: "
            f"{methods[SINGLE][split]:.3f} on {split}."
        )
    scores = f"{methods[first][split]:.3f} against {methods[SINGLE][split]:.3f}"
    if "tasks" in result:
        return _over_tasks(result, first, scores)
    against = methods[first]["against_single"]
    test = against["corrected"]
    low, high = test["interval"]
    seen = (
        f"{scores}, {against['difference']:+.3f} [{low:+.3f}, {high:+.3f}], {p_text(test['p'])}, "
        f"corrected for {counted(test['rivals'], 'rival')}"
    )
    if split != "test":
        return f"{first} is first on dev: {seen}; there is no test split."
    if low > 0:
        return f"{first} is first, and better than the best single expert: {seen}."
    return f"{first} is first, not significantly different from the best single expert: {seen}."


def _over_tasks(result: Json, first: str, scores: str) -> str:
    row, tasks = result["methods"][first], len(result["tasks"])
    gain = "" if row.get("gain") is None else f" ({row['gain']:+.1%} in the mean)"
    return (
        f"{first} is first on average over {counted(tasks, 'task')}: {scores} for the best single "
        f"expert{gain}; it is "
        f"first on {row['wins']} of them."
    )
