"""Replies to show: of the best expert, the base and the result, to the dev prompts whose scores
changed most.

They are written again at the end, for a few prompts, and kept in ``replies.json``. Test prompts are
never shown.
"""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any, NotRequired

from typing_extensions import TypedDict

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.scores.metrics.written import Written
from pyswarmopt_llm.searching.find import Found
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.result import Model
from pyswarmopt_llm.searching.scoring.run_directory import REPLIES, Run

log = logging.getLogger(__name__)
SHOWN = 5  # prompts per task
RESULT = "result"  # the last model shown
_LEAST = 100  # shorter replies, in bytes, do not count as repetitive
_REPEATED = 0.2  # a repetitive reply compresses to less than this share
_OPENING = 3  # two replies open alike if they share this many words
_OPENED = 50  # dev prompts whose replies are compared for their openings
_FEW = 8  # with fewer replies, equal openings mean nothing


class ModelReply(TypedDict):
    """A model's reply, with the named parts of its value, if any."""

    model: str
    text: str
    value: float
    marks: NotRequired[dict[str, float]]


class Prompt(TypedDict):
    """A prompt and each model's reply."""

    prompt: str
    replies: list[ModelReply]


class ChangedPrompts(TypedDict):
    """The prompts of a task whose scores changed most."""

    task: str
    prompts: list[Prompt]


class RepliesFile(TypedDict):
    """The content of ``replies.json``."""

    tasks: list[ChangedPrompts]


def keep_replies(
    job: Job, run: Run, best: Patch, found: Found, models: Mapping[str, Model]
) -> tuple[list[str], list[str]]:
    """Write ``replies.json``, for tasks with written replies whose scoring costs nothing but time.

    Returns:
        Alarms, see `warnings_about`, and lesser doubts about the replies.

    Args:
        job: the search.
        run: run directory, locked.
        best: the result's patch.
        found: outcome of exploring.
        models: models of the result, by name.
    """
    shown = {"base": Patch()} if "base" in models else {}
    expert = job.pool.space.realise(job.pool.space.vertices()[found.single])
    shown |= {f"best expert, {job.pool.space.expert_names[found.single]}": expert, RESULT: best}
    before = models["best_single"].dev.items
    after = models["best"].dev.items
    tasks = []
    doubts = list[str]()
    cut = list[str]()
    for name, task in job.tasks.items():
        metric = job.objectives.metrics[name]
        numbers = changed_most(before[name], after[name])
        doubts += at_its_top(name, models)
        doubts += _openings(job, name, best, found)
        utility = metric.on(
            [task.dev[i] for i in numbers], found.scorings[name], job.engine.chat, task.prompt
        )
        if numbers and metric.usage is None and isinstance(utility, Written):
            prompts = _answered(job, utility, shown)
            tasks.append({"task": name, "prompts": prompts})
            cut += cut_off(job.engine, name, utility, prompts)
    if tasks:
        write_json(run.path / REPLIES, {"tasks": tasks})
    alarms = warnings_about(tasks)
    doubts += cut
    for line in (*alarms, *doubts):
        log.warning(line)
    return alarms, doubts


def warnings_about(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Warn of each task on which most of the result's shown replies are repetitive, and most of no
    other model's: the score was gamed. Otherwise warn if the result's replies score more than every
    other model's and differ in length.
    """
    lines = []
    for task in tasks:
        replies: dict[str, list[ModelReply]] = {}
        for row in task["prompts"]:
            for reply in row["replies"]:
                replies.setdefault(reply["model"], []).append(reply)
        repeated = {m: sum(repeats_itself(r["text"]) for r in rs) for m, rs in replies.items()}
        if [m for m, count in repeated.items() if 2 * count > len(replies[m])] == [RESULT]:
            lines.append(
                f"{task['task']}: the result's replies repeat one thing over and over, which the "
                "score rewards: read them in the report before you use it"
            )
        elif lengths := other_length(replies):
            lines.append(
                f"{task['task']}: where the score changes most it rises with another length of the "
                f"replies ({lengths}): read them in the report before you use it"
            )
    return lines


def other_length(replies: Mapping[str, Sequence[ModelReply]]) -> str:
    """The mean lengths, if the result's replies score more than every other model's and are at
    least twice as long as the longest, or at most half as long as the shortest; else "".

    Example:
        >>> short = {"model": "base", "text": "Yes.", "value": 0.2}
        >>> long = {"model": "result", "text": "Yes, of course.", "value": 0.6}
        >>> other_length({"base": [short], "result": [long]})
        '15 characters, the others 4'
        >>> other_length({"base": [short], "result": [{**long, "value": 0.2}]})
        ''
    """
    values = {model: fmean(reply["value"] for reply in each) for model, each in replies.items()}
    lengths = {
        model: fmean(len(reply["text"]) for reply in each) for model, each in replies.items()
    }
    value = values.pop(RESULT)
    length = lengths.pop(RESULT)
    least = min(lengths.values())
    most = max(lengths.values())
    if value <= max(values.values()) or least < 2 * length < 4 * most:
        return ""
    others = f"{least:.0f} to {most:.0f}" if round(most) > round(least) else f"{most:.0f}"
    return f"{length:.0f} characters, the others {others}"


def repeats_itself(text: str) -> bool:
    """Whether a reply is repetitive: it compresses to less than a fifth.

    Whisper uses the same measure (Radford et al. 2022, arXiv 2212.04356, section 4.5).

    Example:
        >>> repeats_itself("KeyNot" * 80), repeats_itself("The answer is no. " * 2)
        (True, False)
    """
    raw = text.encode("utf-8", "replace")
    return len(raw) >= _LEAST and len(zlib.compress(raw)) < _REPEATED * len(raw)


def at_its_top(task: str, models: Mapping[str, Model]) -> list[str]:
    """A line if the result scores 1 on every dev prompt and other models do not.

    Args:
        task: name of the task.
        models: models of the result, by name.
    """
    scored = [model.dev.items[task] for model in models.values() if task in model.dev.items]
    best = models["best"].dev.items[task]
    values = set(chain.from_iterable(scored))
    if len(values) < 2 or set(best) != {1.0}:
        return []
    return [
        f"{task}: the result has 1.000 on each of the {counted(len(best), 'dev prompt')}: the "
        "score can tell no more; read the replies, and give harder prompts or a stricter score"
    ]


def same_opening(task: str, replies: Sequence[str]) -> list[str]:
    """A line if most replies to different prompts begin with the same words.

    Example:
        >>> same_opening("wishes", [*["Hello, we are sorry."] * 9, "Yes.", "No."])
        ['wishes: 9 of 11 replies of the result begin "Hello, we are", 3 openings in all; read them in the report']
        >>> same_opening("wishes", ["Yes.", "No."] * 9)
        []
    """
    openings = Counter(" ".join(text.split()[:_OPENING]) for text in replies)
    if len(replies) < _FEW or not openings:
        return []
    opening, count = openings.most_common(1)[0]
    if 2 * count <= len(replies):
        return []
    return [
        f'{task}: {count} of {len(replies)} replies of the result begin "{opening}", '
        f"{counted(len(openings), 'opening')} in all; read them in the report"
    ]


def _openings(job: Job, name: str, best: Patch, found: Found) -> list[str]:
    """See `same_opening`; only for prompts without right answers, since these may open alike."""
    task = job.tasks[name]
    asked = task.dev[:_OPENED]
    if len(asked) < _FEW or any(item.references for item in asked):
        return []
    metric = job.objectives.metrics[name]
    utility = metric.on(asked, found.scorings[name], job.engine.chat, task.prompt)
    if not isinstance(utility, Written):
        return []
    job.engine.load(best)
    return same_opening(name, utility.answers(job.engine))


def changed_most(before: Sequence[float], after: Sequence[float]) -> list[int]:
    """The items whose values differ most, at most `SHOWN`.

    Example:
        >>> changed_most([0.5, 0.5, 0.5, 0.5], [0.5, 0.75, 0.0, 0.5])
        [2, 1]
    """
    changes = [abs(y - x) for x, y in zip(before, after, strict=True)]
    order = sorted(range(len(changes)), key=lambda i: -changes[i])
    return [i for i in order[:SHOWN] if changes[i]]


def _answered(job: Job, utility: Written, models: Mapping[str, Patch]) -> list[dict[str, Any]]:
    """Each prompt with every model's reply and its value."""
    rows: list[dict[str, Any]] = [
        {"prompt": storable(turn), "replies": []} for turn in utility.turns
    ]
    for label, patch in models.items():
        job.engine.load(patch)
        replies = utility.answers(job.engine)
        values = utility.judge(replies)
        marks = utility.marks(replies)
        for row, reply, value, mark in zip(rows, replies, values, marks, strict=True):
            shown = {"model": label, "text": storable(reply), "value": float(value)}
            row["replies"].append({**shown, "marks": mark} if mark else shown)
    return rows


def cut_off(
    engine: Engine, task: str, utility: Written, prompts: Sequence[Mapping[str, Any]]
) -> list[str]:
    """A line if most of the result's shown replies reach the limit of tokens."""
    most = min(limit for _, _, limit in utility.texts()) + engine.thinking
    replies = [row["replies"][-1]["text"] for row in prompts]
    special = engine.count_tokens("")
    cut = sum(engine.count_tokens(reply) - special >= most for reply in replies)
    if 2 * cut <= len(replies):
        return []
    return [
        f"{task}: {cut} of the {len(replies)} replies of the result that are shown end after {most} "
        "tokens, as they have to: with a larger `max_new_tokens` the score may be another"
    ]


def storable(text: str) -> str:
    """Replace characters that a run's files cannot hold: NUL and unpaired surrogates.

    Example:
        >>> storable("a\\0b\\ud800c")
        'a\ufffdb?c'
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def read_replies(run: Run) -> list[dict[str, Any]]:
    """The replies in ``replies.json``; [] without the file.

    Raises:
        UserError: the file is damaged.
    """
    file = run.path / REPLIES
    if not file.is_file():
        return []
    content = read_json(file)
    if not fits(content, RepliesFile):
        raise UserError(f"{file}: is damaged; remove it: the report then shows no replies")
    tasks: list[dict[str, Any]] = content["tasks"]
    return tasks
