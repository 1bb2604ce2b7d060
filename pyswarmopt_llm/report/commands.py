"""What to do with a finished search, as commands to copy."""

from __future__ import annotations

import shlex
from dataclasses import replace

from pyswarmopt_llm.common.config import command, search_command
from pyswarmopt_llm.scores.metrics.named_again import metric_to_name
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import About

LABEL = "label new rows"
ASK = "ask a question"
EVALUATE = "score it again"
MERGE = "merge it for Ollama or vLLM"
PUBLISH = "publish it"


def uses(about: About, result: Result) -> dict[str, str]:
    """Purpose -> command, for everything that one can do with a result."""
    run = about.config.out
    found = {}
    if (labelling := labelled(about, result)) is None:
        found[ASK] = command("generate", "YOUR QUESTION", run=run)
    else:
        task = labelling[0] if result.several_tasks else None
        found[LABEL] = command("predict", "new.csv", run=run, task=task, out="labelled.csv")
    found[EVALUATE] = command("eval", run=run, metrics=metric_to_name(about.config))
    if about.kind.adapters:
        found[MERGE] = command("export", run, out=f"{run}-merged")
    if about.kind.library:  # else its files contain paths of this machine
        found[PUBLISH] = shlex.join(["hf", "upload", "YOUR-NAME/YOUR-MODEL", f"{run}/best"])
    return found


def next_steps(kind: str, about: About, result: Result) -> dict[str, str]:
    """Purpose -> command, for one or two next steps after a verdict.

    Args:
        kind: kind of the `Verdict`.
        about: ``run.json``.
        result: ``result.json``.
    """
    if kind == "gamed":
        return {"read the replies": command("report", about.config.out)}
    if kind == "better":
        steps = {name: line for name, line in uses(about, result).items() if name != ASK}
        return {name: steps[name] for name in (*list(steps)[:1], PUBLISH) if name in steps}
    typed = about.typed
    other = replace(typed, seed=typed.seed + 1, out=f"{about.config.out}-seed{typed.seed + 1}")
    return {"search with another seed": search_command(other)}


def labelled(about: About, result: Result) -> tuple[str, Form] | None:
    """The first task whose options are compared, and the form of its questions; None without one."""
    for name, form in (about.forms or {}).items():
        objective = result.objectives.get(name)
        if objective and objective.scoring in ("letter", "likelihood") and not form.written:
            return name, form
    return None
