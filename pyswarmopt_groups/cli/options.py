"""The commands ensemble and negotiate: progress on stderr, a table or an answer on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.base.words import counted, cut, one_line
from pyswarmopt.cli.terminal import echo
from pyswarmopt_groups.config import GroupConfig
from pyswarmopt_groups.registry import Strategy, find_names
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Config, Json, Quiet, names_block
from pyswarmopt_llm.cli.running import (
    check_adapters,
    interruptible,
    items_bar,
    loading,
    nothing_written,
    print_either,
    repeating,
)
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import Option

if TYPE_CHECKING:
    from pyswarmopt_groups.context import GroupVerdict
    from pyswarmopt_groups.run import OnStep

Prompt = Annotated[
    str | None, typer.Argument(metavar="[PROMPT]", help="One question, instead of --task.")
]


def group_command(
    summary: str, strategies: Mapping[str, Strategy], default: str, more: Sequence[str] = ()
) -> Callable[..., None]:
    """A command that makes members answer a prompt or a task.

    Args:
        summary: help text, followed by the names of the strategies.
        strategies: the command's strategies.
        default: strategy by default.
        more: further strategies named in the help.
    """

    def command(
        group: GroupConfig,
        *,
        prompt: Prompt = None,
        strategy: Annotated[
            str, Option("Strategies (listed below), separated by commas, or all.", "S,S")
        ] = default,
        config: Config = None,
        quiet: Quiet = False,
        as_json: Json = False,
    ) -> None:
        words = [word.strip() for word in strategy.split(",") if word.strip()]
        names = find_names(words, strategies)
        # Strategies from `all` are skipped where they are not supported.
        chosen = replace(group, strategies=tuple(names), skip="all" in words)
        run_group(chosen, prompt, quiet, as_json)

    usages = [strategy.usage for strategy in strategies.values()]
    command.__doc__ = summary + "\n\b\n" + "\n".join(names_block("Strategies", [*usages, *more]))
    return command


def run_group(config: GroupConfig, prompt: str | None, quiet: bool, as_json: bool) -> None:
    """Answer the prompt, or decide the task and show the table."""
    if (prompt is None) == (not config.task):
        raise UserError(
            "use --task T or a PROMPT; place a PROMPT after an option other than --members"
        )
    if prompt is not None:
        _answer(config, prompt, as_json)
        return
    with loading(quiet):
        check_adapters(config.members)
        from pyswarmopt_groups.run import decide_task
    advice = nothing_written if config.out is None else repeating
    with following(quiet, _scores, advice) as on_step:
        result = decide_task(config, on_step)
    print_either(result, _report(result, config.out), as_json)


def _answer(config: GroupConfig, prompt: str, as_json: bool) -> None:
    from pyswarmopt_groups.run import decide_prompt

    verdicts, members = decide_prompt(config, prompt)
    record = {name: {**asdict(each), "members": members} for name, each in verdicts.items()}
    print_either(record, _lines(verdicts, members), as_json)


def _lines(verdicts: Mapping[str, GroupVerdict], members: Sequence[str]) -> Iterator[str]:
    """Each strategy's answer, who agrees, and each member's vote."""
    width = max(map(len, members))
    for name, verdict in verdicts.items():
        answer = verdict.answer or "(no answer)"
        if len(verdicts) > 1:
            answer = f"{name}: {answer}"
        yield answer
        votes = sum(ballot is not None for ballot in verdict.ballots)
        tokens = counted(verdict.tokens, "token")
        yield f"  {verdict.agreement:.0%} agree, {votes} of {len(verdict.ballots)} answered, {tokens}"
        # a society may have more agents than members, which then speak in turn
        for member, ballot in zip(cycle(members), verdict.ballots, strict=False):
            yield f"  {member:<{width}}  {cut(one_line(ballot or '-'))}"


def _scores(row: Mapping[str, Any]) -> str:
    return f"test {row['test']:.3f}, {row['tokens']:,.0f} tokens per example"


@contextmanager
def following(
    quiet: bool,
    scores: Callable[[Mapping[str, Any]], str],
    advice: Callable[[], str] = repeating,
) -> Iterator[OnStep]:
    """Show the steps of a job on stderr; Ctrl-C ends it with advice.

    Args:
        quiet: whether to show nothing.
        scores: puts the row of a finished step into words.
        advice: how to resume.
    """
    with interruptible(advice), items_bar(quiet, "loading") as show:

        def on_step(done: int, total: int, name: str, row: Mapping[str, Any] | None) -> None:
            show(done, total, name)
            if row is not None and not quiet:
                said = f": {scores(row)}" if row else ""
                echo(f"[{done}/{total}] {name}{said}", err=True)

        yield on_step


def _report(result: Mapping[str, Any], out: str | None) -> Iterator[str]:
    """The verdict, then members and strategies with test scores, intervals and costs."""
    import pandas as pd

    yield from result["verdict"]
    yield (
        f"{result['task']}: fitted on {counted(result['dev_items'], 'dev example')} and "
        f"scored on {counted(result['test_items'], 'test example')} "
        f"({result['scoring']} scoring); best member on dev: {result['best_single']}, "
        f"strongest on test: {result['strongest']}"
    )
    if result["note"]:
        yield with_flags(result["note"])
    for head, rows in _tables(result).items():
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(head, axis=1)
        yield f"\n{table.to_string()}"
    for name, why in result["left_out"].items():
        yield f"left out: {name} ({with_flags(why)})"
    if out is not None:
        yield f"wrote {Path(out) / 'result.json'} and verdicts.jsonl"


def _tables(result: Mapping[str, Any]) -> dict[str, dict[str, dict[str, str]]]:
    """Heading -> name -> column -> text."""
    from pyswarmopt_llm.report.against import against_text

    members = {}
    for name, row in result["members"].items():
        members[name] = {
            "dev": f"{row['dev']:.3f}",
            **_scored(row),
            "no answer": str(row["silent"]),
        }
    strategies = {}
    for name, row in result["strategies"].items():
        strategies[name] = {
            **_scored(row),
            "agree": f"{row['agreement']:.2f}",
            "against strongest member": against_text(row["against_strongest"]),
        }
    return {"member": members, "strategy": strategies}


def _scored(row: Mapping[str, Any]) -> dict[str, str]:
    from pyswarmopt_llm.report.phrases import score_text

    score = score_text(row["test"], row["test_interval"])
    return {"test": score, "tokens/example": f"{row['tokens']:,.0f}"}
