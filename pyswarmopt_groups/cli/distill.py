"""`swarm-llm distill`: one adapter that learns a group's answers."""

from __future__ import annotations

from pyswarmopt.base.words import counted
from pyswarmopt_groups.config import DistillConfig
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import check_adapters, items_bar, loading, print_either
from pyswarmopt_llm.common.files.regular import check_free, user_path


def command(config: DistillConfig, *, quiet: Quiet = False, as_json: Json = False) -> None:
    """Train one adapter on a group's answers, so that one model replaces the group.

    Example: swarm-llm distill --base B --members adapters/* --task questions.json --strategy
    weighted --out student
    """
    check_free(user_path(config.out))
    with loading(quiet):
        check_adapters(config.members)
        from pyswarmopt_groups.distillation import distill
        from pyswarmopt_llm.report.phrases import score_text

    with items_bar(quiet, "loss -") as show:
        result = distill(config, lambda step, steps, loss: show(step, steps, f"loss {loss:.3f}"))
    lines = []
    for who in ("base", "group", "student"):
        row = result[who]
        test = score_text(row["test"], row["test_interval"])
        lines.append(f"{who:8}test {test}, {row['tokens']:,.0f} tokens per example")
    questions = counted(result["questions"], "dev question")
    lines.append(f"wrote {config.out}: {counted(result['steps'], 'step')} on {questions}")
    print_either(result, lines, as_json, result["note"])
