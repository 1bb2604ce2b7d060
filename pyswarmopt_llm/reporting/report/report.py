"""`report.html`: a run as one self-contained page that works offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.reporting.card import method_text
from pyswarmopt_llm.reporting.commands import as_typed, command_line, near, next_steps, usage
from pyswarmopt_llm.reporting.reading import best_row, origin, searched, swarm_of
from pyswarmopt_llm.reporting.report import lines
from pyswarmopt_llm.reporting.report.figures import curve, paths
from pyswarmopt_llm.reporting.report.items import CASES, changes, emerged
from pyswarmopt_llm.reporting.report.pages import render
from pyswarmopt_llm.reporting.summary import SMALL, WEIGHTS, costs, dev_remark, mixture_text, remarks, score_text
from pyswarmopt_llm.reporting.verdict import verdict
from pyswarmopt_llm.tasks import Task

Json = Mapping[str, Any]


def render_report(
    run: Json,
    result: Json,
    history: Iterable[Row],
    tasks: Mapping[str, Task] | None = None,
    replies: Sequence[Json] = (),
) -> str:
    """The page, a pure function of what the run wrote down.

    Args:
        run: ``run.json``, see `pyswarmopt_llm.reporting.card.model_card`.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.
        tasks: name -> task, for the texts of questions; without it they are only counted.
        replies: ``replies.json``.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    journal = list(history)
    rows = [row for row in journal if row.phase == "search"]
    whole, config = searched(rows), near(run["config"])
    base = run.get("base_name") or config["base"]
    bars, zero, small = lines.weights(result["coefficients"])
    judged = verdict(result)
    return render(
        "pyswarmopt_llm/reporting/report/report.html.j2",
        tasks=list(run.get("fingerprints", {}).get("tasks", config["tasks"])),
        experts=len(config["experts"]),
        verdict=judged,
        steps=list(next_steps(judged.kind, result, config, near(as_typed(run)), run)),
        remarks=remarks(result),
        models=lines.models(result, whole),
        about_dev=dev_remark(result),
        by_task=_by_task(result),
        curve=curve(rows, _references(result)),
        evaluations=len(rows),
        bars=bars,
        zero=zero,
        small=small,
        smallest=SMALL,
        mixture=mixture_text(result["coefficients"]),
        about_weights=WEIGHTS,
        paired=result.get("paired", {}),
        facts=costs(result) | _provenance(run, base),
        usage=usage(config, base, run, result),
        command=command_line(near(as_typed(run))),
        cases=CASES,
        replies=replies,
        width=lines.WIDTH,
        **_of_the_search(journal, result, tasks or {}),
    )


def _of_the_search(journal: Sequence[Row], result: Json, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """What takes complete evaluations; nothing where there are none."""
    rows = [row for row in journal if row.phase == "search"]
    whole = searched(rows)
    if not whole:
        return {"emerged": [], "changes": [], "paths": None, "particles": [], "origin": None} | {
            "later": 0, "iterated": False, "trained": False
        }
    swarm = swarm_of(rows)
    return {
        "emerged": emerged(journal, result),
        "changes": changes(journal, result, tasks),
        "paths": paths(rows, result["coefficients"], best_row(whole, result)),
        "particles": lines.particles(rows, result),
        "later": sum(row.iteration > 0 for row in rows),
        "trained": bool(result.get("trained")),
        "iterated": any(row.iteration and row.particle in swarm for row in rows),
        "origin": origin(rows, result),
    }


def _by_task(result: Json) -> list[tuple[str, list[str]]]:
    """Task -> dev and test of the best single expert and of the result, where there are several tasks."""
    keys = ("best_single_dev", "best_dev", "best_single_test", "best_test")
    return [(name, [score_text(row.get(key)) for key in keys]) for name, row in result.get("tasks", {}).items()]


def _references(result: Json) -> dict[str, float]:
    """Scores to compare the curve with."""
    uniform = result.get("uniform_dev")
    return {"best expert": result["best_single_dev"]} | ({} if uniform is None else {"average": uniform})


def _provenance(run: Json, base: str) -> dict[str, str]:
    config, prints = run["config"], run.get("fingerprints", {})
    experts = prints.get("experts", {})
    return {
        "Base": base,
        "Experts": ", ".join(f"{name} ({mark[:8]})" for name, mark in experts.items()) or ", ".join(config["experts"]),
        "Tasks": ", ".join([*config["tasks"], *config.get("utilities", ())]),
        "Optimizer": method_text(config),
        "Seed": str(config.get("seed", 0)),
        "Versions": ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items()),
    }
