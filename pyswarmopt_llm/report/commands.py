"""What to do with a finished search, as commands to copy."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.config import command, search_command
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.result import Result, read_result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About, read_about

LABEL = "label new rows"
ASK = "ask a question"
EVALUATE = "score it again"
MERGE = "merge it for Ollama or vLLM"
PUBLISH = "publish it"


def uses(about: About, result: Result) -> dict[str, str]:
    """Purpose -> command, for everything that one can do with a result."""
    config = about.config
    run = config.out.rstrip("/")
    found = {}
    if (labelling := labelled(about, result)) is None:
        found[ASK] = command("generate", "YOUR QUESTION", run=run)
    else:
        task = labelling[0] if len(config.tasks) > 1 else None
        found[LABEL] = command("predict", "new.csv", run=run, task=task, out="labelled.csv")
    metric = None
    if config.metrics:
        from pyswarmopt_llm.scores.metrics.named_again import metric_to_name

        metric = metric_to_name(config)
    found[EVALUATE] = command("eval", run=run, metrics=metric)
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
    run = about.config.out.rstrip("/")
    typed = about.typed
    if kind == "gamed":
        return {"read the replies": command("report", run)}
    if kind == "better":
        known = uses(about, result)
        use = next(purpose for purpose in (LABEL, MERGE, EVALUATE) if purpose in known)
        return {purpose: known[purpose] for purpose in (use, PUBLISH) if purpose in known}
    if UNTRAINED in about.notes:
        more = replace(typed, dev=None, out=f"{run}-more")  # `--dev` may have left some out
        return {"train the result, too, with more examples": search_command(more)}
    other = replace(typed, seed=typed.seed + 1, out=f"{run}-seed{typed.seed + 1}")
    return {"search with another seed": search_command(other)}


def labelled(about: About, result: Result) -> tuple[str, Form | None] | None:
    """The first task with choices, and its form (None if unknown); None without such a task."""
    for name in about.task_names or about.forms or ():
        objective = result.objectives.get(name)
        if objective is None or objective.scoring not in ("letter", "likelihood"):
            continue
        form = (about.forms or {}).get(name)
        if about.forms is None or (form is not None and not form.written):
            return name, form
    return None


def chooses(run: Path) -> bool:
    """Whether a run has a result that compares options: its replies were never scored."""
    result = read_result(run)
    return result is not None and labelled(read_about(run), result) is not None
