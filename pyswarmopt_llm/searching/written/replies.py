"""Replies to show: of the best expert, the base and the result, to the dev prompts whose scores
changed most.

They are written again at the end, for a few prompts, and kept in ``replies.json``. Test prompts are
never shown.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NotRequired

from typing_extensions import TypedDict

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.scores.metrics.metric import Written
from pyswarmopt_llm.searching.find import Found
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.result import Model
from pyswarmopt_llm.searching.scoring.run_directory import REPLIES, Run

log = logging.getLogger(__name__)
SHOWN = 5  # prompts per task
RESULT = "result"  # the last model shown
_LEAST = 100  # shorter replies, in bytes, do not count as repetitive
_REPEATED = 0.2  # a repetitive reply compresses to less than this share


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
) -> list[str]:
    """Write ``replies.json``, for tasks with written replies whose scoring costs nothing but time.

    Args:
        job: the search.
        run: run directory, locked.
        best: the result's patch.
        found: outcome of exploring.
        models: models of the result, by name.

    Returns:
        Alarms, see `warnings_about`.
    """
    shown = {"base": Patch()} if "base" in models else {}
    expert = job.pool.space.realise(job.pool.space.vertices()[found.single])
    shown |= {f"best expert, {job.pool.space.expert_names[found.single]}": expert, RESULT: best}
    before = models["best_single"].dev.items
    after = models["best"].dev.items
    tasks: list[ChangedPrompts] = []
    for name, task in job.tasks.items():
        metric = job.objectives.metrics[name]
        changed = [task.dev[number] for number in changed_most(before[name], after[name])]
        utility = metric.on(changed, found.scorings[name], job.engine.chat, task.prompt)
        if changed and metric.usage is None and isinstance(utility, Written):
            tasks.append({"task": name, "prompts": _answered(job, utility, shown)})
    if tasks:
        write_json(run.path / REPLIES, {"tasks": tasks})
    alarms = warnings_about(tasks)
    for line in alarms:
        log.warning(line)
    return alarms


def warnings_about(tasks: Sequence[ChangedPrompts]) -> list[str]:
    """Warn of each task on which most of the result's shown replies are repetitive, and most of no
    other model's: the score was gamed. Otherwise warn if the result's replies score more than every
    other model's and differ in length.
    """
    lines = []
    for task in tasks:
        replies: dict[str, list[ModelReply]] = {}
        for prompt in task["prompts"]:
            for reply in prompt["replies"]:
                replies.setdefault(reply["model"], []).append(reply)
        repetitive = [model for model, said in replies.items() if _repetitive(said)]
        lengths = other_length(replies)
        sign = ""
        if repetitive == [RESULT]:
            sign = "the result's replies repeat one thing over and over, which the score rewards"
        elif lengths:
            sign = f"where the score changes most it rises with the replies' length ({lengths})"
        if sign:
            lines.append(f"{task['task']}: {sign}: read them in the report before you use it")
    return lines


def _repetitive(replies: Sequence[ModelReply]) -> bool:
    """Whether most of these replies repeat themselves."""
    return 2 * sum(repeats_itself(reply["text"]) for reply in replies) > len(replies)


def other_length(replies: Mapping[str, Sequence[ModelReply]]) -> str:
    """The mean lengths, if the result's replies score more than every other model's and are at
    least twice as long as the longest, or at most half as long as the shortest; else "".

    Example:
        >>> short = {"model": "base", "text": "Yes.", "value": 0.2}
        >>> long = {"model": "result", "text": "Yes, of course.", "value": 0.6}
        >>> other_length({"base": [short], "result": [long]})
        '15 characters, the others 4 to 4'
        >>> other_length({"base": [short], "result": [{**long, "value": 0.2}]})
        ''
    """
    values = {}
    lengths = {}
    for model, said in replies.items():
        values[model] = fmean(reply["value"] for reply in said)
        lengths[model] = fmean(len(reply["text"]) for reply in said)
    value = values.pop(RESULT)
    length = lengths.pop(RESULT)
    least = min(lengths.values())
    most = max(lengths.values())
    if value <= max(values.values()) or least < 2 * length < 4 * most:
        return ""
    return f"{length:.0f} characters, the others {least:.0f} to {most:.0f}"


def repeats_itself(text: str) -> bool:
    """Whether a reply is repetitive: it compresses to less than a fifth.

    Whisper uses the same measure (Radford et al. 2022, arXiv 2212.04356, section 4.5).

    Example:
        >>> repeats_itself("KeyNot" * 80), repeats_itself("The answer is no. " * 2)
        (True, False)
    """
    raw = text.encode("utf-8", "replace")
    return len(raw) >= _LEAST and len(zlib.compress(raw)) < _REPEATED * len(raw)


def changed_most(before: Sequence[float], after: Sequence[float]) -> list[int]:
    """The items whose values differ most, at most `SHOWN`.

    Example:
        >>> changed_most([0.5, 0.5, 0.5, 0.5], [0.5, 0.75, 0.0, 0.5])
        [2, 1]
    """
    changes = [abs(y - x) for x, y in zip(before, after, strict=True)]
    order = sorted(range(len(changes)), key=lambda i: -changes[i])
    return [i for i in order[:SHOWN] if changes[i]]


def _answered(job: Job, utility: Written, models: Mapping[str, Patch]) -> list[Prompt]:
    """Each prompt with every model's reply and its value."""
    rows: list[Prompt] = [{"prompt": storable(turn), "replies": []} for turn in utility.turns]
    for model, patch in models.items():
        job.engine.load(patch)
        replies = utility.answers(job.engine)
        for row, text, named in zip(rows, replies, utility.parts(replies), strict=True):
            value = sum(named.values()) / len(named)
            reply: ModelReply = {"model": model, "text": storable(text), "value": value}
            if "" not in named:
                reply["marks"] = named
            row["replies"].append(reply)
    return rows


def storable(text: str) -> str:
    """Replace characters that a run's files cannot hold: NUL and unpaired surrogates.

    Example:
        >>> storable("a\\0b\\ud800c")
        'a\ufffdb?c'
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def read_replies(run: Run) -> list[ChangedPrompts]:
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
    tasks: list[ChangedPrompts] = content["tasks"]
    return tasks
