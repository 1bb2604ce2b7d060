"""`swarm-llm eval`: the score of a model on a task, or of two models side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.common.config import is_server
from pyswarmopt_llm.jobs.evaluate.config import EvalConfig
from pyswarmopt_llm.reporting.terminal import items_bar
from pyswarmopt_llm.tasks.load import check_files

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.evaluate.against import Against, Changed
    from pyswarmopt_llm.jobs.evaluate.model import EvalResult

SHOWN = 3  # items gained, and items lost
_LONGEST = 160  # characters of a question or an answer


def command(options: EvalConfig, quiet: Quiet = False, as_json: Json = False) -> None:
    """Score a model with a 95% interval; compare it with another, or with itself on perturbed
    items.

    Example: swarm-llm eval --base B --adapter runs/first/best --task questions.json --split test
    """
    # a run knows how its tasks are read
    if options.task and options.run is None and not options.votes:
        check_files(options, [options.task])
    from pyswarmopt_llm.jobs.evaluate.names import with_run

    config = options if options.votes else with_run(options)
    placed(config.engine, config.run, quiet=quiet or as_json)
    with items_bar(open_console(stderr=True), quiet or as_json) as on_items:
        lines, record, note = _way(config)(config, on_items)
    if note and not quiet:
        echo(with_flags(note), err=True)
    if as_json:
        typer.echo(json.dumps(record | ({"note": note} if note else {})))
        return
    for line in lines:
        echo(line)


def placed(engine: str, run: str | Path | None, *, quiet: bool) -> str:
    """The engine on which a model runs (see `place_of`); a server is named on stderr."""
    from pyswarmopt_llm.jobs.evaluate.names import place_of

    place = place_of(engine, run)
    if is_server(place) and not quiet:
        echo(f"runs on the server at {place} (here: --engine transformers)", err=True)
    return place


Shown = tuple[Sequence[str], dict[str, Any], str]  # lines, JSON, note
OnItems = Callable[[int, int], None]


def _way(config: EvalConfig) -> Callable[[EvalConfig, OnItems], Shown]:
    if config.votes:
        return _votes
    if config.blind is not None:
        return _blind
    return _perturbed if config.perturb else _single if config.against is None else _two


def _single(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.model import evaluate

    return _score(config, evaluate(config, on_items))


def _score(config: EvalConfig, result: EvalResult) -> Shown:
    low, high = result.interval
    line = (
        f"{result.task} {config.split}: {result.metric} {result.score.value:.3f} "
        f"(95% interval {low:.3f} to {high:.3f}, {counted(result.n, 'item')}, {result.scoring} "
        "scoring)"
    )
    record: dict[str, Any] = {"base": config.base, "adapter": config.adapter, "task": result.task}
    record |= {"split": config.split, "value": result.score.value, "interval": [low, high]}
    record |= {
        "stderr": result.score.stderr,
        "n": result.n,
        "scoring": result.scoring,
        "metric": result.metric,
    }
    if result.score.named:
        named = dict(result.score.named)
        named_line = "  " + ", ".join(f"{name} {value:.3f}" for name, value in named.items())
        return [line, named_line], record | {"named": named}, result.note
    return [line], record, result.note


def _perturbed(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.perturbed import evaluate_perturbed
    from pyswarmopt_llm.reporting.summary import score_text

    plain, results = evaluate_perturbed(config, on_items)
    lines, record, note = _score(config, plain)
    shown, rows = list(lines), {}
    for spec, perturbed in results.items():
        score, paired = perturbed.result.score, perturbed.paired
        low, high = paired.interval
        shown.append(
            f"  {spec}: {score_text(score.value, perturbed.result.interval)}, difference "
            f"{paired.difference:+.3f} "
            f"[{low:+.3f}, {high:+.3f}], {paired.gained} gained and {paired.lost} lost, p = "
            f"{paired.p_value:.2g}"
        )
        rows[spec] = {
            "value": score.value,
            "interval": list(perturbed.result.interval),
            "paired": paired.record(),
        }
    return shown, {**record, "seed": config.seed, "perturbed": rows}, note


def _blind(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.blind import write_pairs

    pairs = write_pairs(config, on_items)
    lines = [
        (
            f"{counted(pairs.n, 'pair')} of replies in {pairs.file}, in random order; vote 1, 2 or "
            "tie in the last column."
        ),
        f"Which is whose: {pairs.key} (keep it from those who vote).",
        f"Then: swarm-llm eval --votes {pairs.file}",
    ]
    note = (
        f"{counted(pairs.alike, 'pair')} of equal replies, half a win for each"
        if pairs.alike
        else ""
    )
    record = {
        "pairs": pairs.n,
        "alike": pairs.alike,
        "file": str(pairs.file),
        "key": str(pairs.key),
    }
    return lines, record, note


def _votes(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.blind import count_votes
    from pyswarmopt_llm.reporting.summary import score_text

    votes = count_votes(config.votes)
    first, second = votes.names
    lines = [votes.verdict.sentence, *votes.verdict.reasons]
    lines.append(
        f"{first} wins {score_text(votes.rate.value, votes.interval)} against {second}, a tie "
        "being half a win"
    )
    alike = (
        ""
        if votes.agreement is None
        else f"; voters agree on {votes.agreement:.0%} of what two of them judged"
    )
    lines.append(
        f"Of {counted(votes.paired.n, 'pair')} {votes.paired.gained} won, {votes.paired.lost} "
        "lost, "
        f"{votes.ties} tied; p = {votes.paired.p_value:.2g} (paired permutation test){alike}."
    )
    record = {
        "task": votes.task,
        "names": list(votes.names),
        "value": votes.rate.value,
        "agreement": votes.agreement,
    }
    record |= {
        "interval": list(votes.interval),
        "ties": votes.ties,
        "paired": votes.paired.record(),
    }
    record |= {"verdict": {"kind": votes.verdict.kind, "sentence": votes.verdict.sentence}}
    return lines, record, ""


def _two(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.against import evaluate_against

    result = evaluate_against(config, on_items)
    model, other = (_model_record(result, k) for k in range(2))
    record = {
        **model,
        **{"task": result.task, "split": config.split, "n": result.paired.n},
        **{
            "scoring": result.scoring,
            "metric": result.metric,
            "against": other,
            "paired": result.paired.record(),
        },
        "verdict": {"kind": result.verdict.kind, "sentence": result.verdict.sentence},
        "gained": [item.record() for item in result.gained],
        "lost": [item.record() for item in result.lost],
    }
    return list(_lines(result)), record, result.note


def _model_record(result: Against, k: int) -> dict[str, Any]:
    (base, adapter), score = result.models[k], result.scores[k]
    values = {"value": score.value, "interval": list(result.intervals[k]), "stderr": score.stderr}
    return {"base": base, "adapter": adapter, **values}


def _lines(result: Against) -> Iterator[str]:
    """The verdict, the scores, the test, and the first items on which the models differ."""
    from pyswarmopt_llm.reporting.summary import score_text

    yield from (result.verdict.sentence, *result.verdict.reasons)
    width = max(map(len, result.names))
    for name, score, limits in zip(result.names, result.scores, result.intervals, strict=True):
        yield f"  {name:{width}}  {result.metric} {score_text(score.value, limits)}"
    gained, lost, n = len(result.gained), len(result.lost), counted(result.paired.n, "item")
    test = f"p = {result.paired.p_value:.2g} (paired permutation test), {result.scoring} scoring"
    yield f"Of {n} {gained} are gained and {lost} lost; {test}."
    for heading, items in (("Gained", result.gained), ("Lost", result.lost)):
        if items:
            yield f"{heading} ({min(SHOWN, len(items))} of {len(items)}; all of them with --json):"
        for item in items[:SHOWN]:
            yield from _item_lines(item, result.names)


def _item_lines(changed: Changed, names: Sequence[str]) -> Iterator[str]:
    yield f"  {_short(changed.item.question)}"
    if changed.item.references:
        yield f"    right: {_short(changed.item.answer_text)}"
    answers = changed.answers or tuple(f"{value:.3f}" for value in changed.values)
    for name, answer in zip(names, answers, strict=True):
        yield f"    {name}: {_short(answer) or '(no answer)'}"


def _short(text: str) -> str:
    """A text on one line, cut off where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
