"""`swarm-llm eval`: the score of a model on a task, or of two models side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.jobs.evaluate.config import EvalConfig
from pyswarmopt_llm.reporting.terminal.progress import items_bar
from pyswarmopt_llm.tasks.load import check_files

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.evaluate.against import Against, Changed
    from pyswarmopt_llm.jobs.evaluate.model import EvalResult

SHOWN = 3  # items gained, and items lost
_LONGEST = 160  # characters of a question or an answer


def command(given: EvalConfig, quiet: Quiet = False, as_json: Json = False) -> None:
    """Score a model with a 95% interval; compare it with another, or with itself on perturbed items.

    Example: swarm-llm eval --base B --adapter runs/first/best --task questions.json --split test
    """
    if given.task and given.run is None and not given.votes:  # a run knows how its tasks are read
        check_files(given, [given.task])
    from pyswarmopt_llm.jobs.evaluate.names import with_run

    config = given if given.votes else with_run(given)
    with items_bar(open_console(stderr=True), quiet or as_json) as on_items:
        lines, record, note = _way(config)(config, on_items)
    if note and not quiet:
        echo(with_flags(note), err=True)
    if as_json:
        typer.echo(json.dumps(record | ({"note": note} if note else {})))
        return
    for line in lines:
        echo(line)


Shown = tuple[Sequence[str], dict[str, Any], str]  # lines, JSON, note
OnItems = Callable[[int, int], None]


def _way(config: EvalConfig) -> Callable[[EvalConfig, OnItems], Shown]:
    if config.votes:
        return _votes
    if config.blind is not None:
        return _blind
    return _perturbed if config.perturb else _one if config.against is None else _two


def _one(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.model import evaluate

    return _score(config, evaluate(config, on_items))


def _score(config: EvalConfig, found: EvalResult) -> Shown:
    low, high = found.interval
    line = (
        f"{found.task} {config.split}: {found.metric} {found.score.value:.3f} (95% interval {low:.3f} to {high:.3f}, "
        f"{counted(found.n, 'item')}, {found.scoring} scoring)"
    )
    record: dict[str, Any] = {"base": config.base, "adapter": config.adapter, "task": found.task}
    record |= {"split": config.split, "value": found.score.value, "interval": [low, high]}
    record |= {"stderr": found.score.stderr, "n": found.n, "scoring": found.scoring, "metric": found.metric}
    if found.score.named:
        named = dict(found.score.named)
        named_line = "  " + ", ".join(f"{name} {value:.3f}" for name, value in named.items())
        return [line, named_line], record | {"named": named}, found.note
    return [line], record, found.note


def _perturbed(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.perturbed import evaluate_perturbed
    from pyswarmopt_llm.reporting.summary import score_text

    plain, found = evaluate_perturbed(config, on_items)
    lines, record, note = _score(config, plain)
    shown, rows = list(lines), {}
    for spec, one in found.items():
        score, paired = one.result.score, one.paired
        low, high = paired.interval
        shown.append(
            f"  {spec}: {score_text(score.value, one.result.interval)}, difference {paired.difference:+.3f} "
            f"[{low:+.3f}, {high:+.3f}], {paired.gained} gained and {paired.lost} lost, p = {paired.p_value:.2g}"
        )
        rows[spec] = {"value": score.value, "interval": list(one.result.interval), "paired": paired.record()}
    return shown, {**record, "seed": config.seed, "perturbed": rows}, note


def _blind(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.blind import write_pairs

    found = write_pairs(config, on_items)
    lines = [
        f"{counted(found.n, 'pair')} of replies in {found.file}, in random order; vote 1, 2 or tie in the last column.",
        f"Which is whose: {found.key} (keep it from those who vote).",
        f"Then: swarm-llm eval --set votes {found.file}",
    ]
    note = f"{counted(found.alike, 'pair')} of equal replies, half a win for each" if found.alike else ""
    record = {"pairs": found.n, "alike": found.alike, "file": str(found.file), "key": str(found.key)}
    return lines, record, note


def _votes(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.blind import count_votes
    from pyswarmopt_llm.reporting.summary import score_text

    found = count_votes(config.votes)
    ours, theirs = found.names
    lines = [found.verdict.sentence, *found.verdict.reasons]
    lines.append(f"{ours} wins {score_text(found.rate.value, found.interval)} against {theirs}, a tie being half a win")
    alike = "" if found.agreement is None else f"; voters agree on {found.agreement:.0%} of what two of them judged"
    lines.append(
        f"Of {counted(found.paired.n, 'pair')} {found.paired.gained} won, {found.paired.lost} lost, {found.ties} tied; "
        f"p = {found.paired.p_value:.2g} (paired permutation test){alike}."
    )
    record = {"task": found.task, "names": list(found.names), "value": found.rate.value, "agreement": found.agreement}
    record |= {"interval": list(found.interval), "ties": found.ties, "paired": found.paired.record()}
    record |= {"verdict": {"kind": found.verdict.kind, "sentence": found.verdict.sentence}}
    return lines, record, ""


def _two(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.jobs.evaluate.against import evaluate_against

    found = evaluate_against(config, on_items)
    ours, theirs = (_model_record(found, k) for k in range(2))
    record = {
        **ours,
        **{"task": found.task, "split": config.split, "n": found.paired.n},
        **{"scoring": found.scoring, "metric": found.metric, "against": theirs, "paired": found.paired.record()},
        "verdict": {"kind": found.verdict.kind, "sentence": found.verdict.sentence},
        "gained": [one.record() for one in found.gained],
        "lost": [one.record() for one in found.lost],
    }
    return list(_lines(found)), record, found.note


def _model_record(found: Against, k: int) -> dict[str, Any]:
    (base, adapter), score = found.models[k], found.scores[k]
    values = {"value": score.value, "interval": list(found.intervals[k]), "stderr": score.stderr}
    return {"base": base, "adapter": adapter, **values}


def _lines(found: Against) -> Iterator[str]:
    """The verdict, the scores, the test, and the first items on which the models differ."""
    from pyswarmopt_llm.reporting.summary import score_text

    yield from (found.verdict.sentence, *found.verdict.reasons)
    width = max(map(len, found.names))
    for name, score, limits in zip(found.names, found.scores, found.intervals, strict=True):
        yield f"  {name:{width}}  {found.metric} {score_text(score.value, limits)}"
    gained, lost, n = len(found.gained), len(found.lost), counted(found.paired.n, "item")
    test = f"p = {found.paired.p_value:.2g} (paired permutation test), {found.scoring} scoring"
    yield f"Of {n} {gained} are gained and {lost} lost; {test}."
    for heading, items in (("Gained", found.gained), ("Lost", found.lost)):
        if items:
            yield f"{heading} ({min(SHOWN, len(items))} of {len(items)}; all of them with --json):"
        for one in items[:SHOWN]:
            yield from _item_lines(one, found.names)


def _item_lines(one: Changed, names: Sequence[str]) -> Iterator[str]:
    yield f"  {_short(one.item.question)}"
    if one.item.references:
        yield f"    right: {_short(one.item.answer_text)}"
    answers = one.answers or tuple(f"{value:.3f}" for value in one.values)
    for name, answer in zip(names, answers, strict=True):
        yield f"    {name}: {_short(answer) or '(no answer)'}"


def _short(text: str) -> str:
    """A text on one line, cut off where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
