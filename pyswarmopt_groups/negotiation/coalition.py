"""A coalition: planning, filling slots and answering are separate jobs, each given to the most
suitable member.

Mangal et al. 2024, arXiv 2408.01380, divide tool use this way. Here the jobs are a plan with slots,
the filled slots, and the answer. A member's quality at a job is the accuracy of the whole pipeline
on dev.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_for
from pyswarmopt_groups.members.protocol import Sampling
from pyswarmopt_groups.negotiation.debate import ending_of, question_of
from pyswarmopt_groups.reading import is_right, read_ballot
from pyswarmopt_llm.scores.tasks import Item

JOBS = ("answer", "slots", "plan")  # in order of assignment: the most important first
MOST_PIPELINES = 64  # most assignments to try exhaustively: four members

_PLAN = Sampling(max_new_tokens=96)
Jobs = Mapping[str, int]
"""Job -> number of its member."""


def coalition(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """Assign the jobs on dev, by the accuracy of the whole pipeline.

    With up to four members every assignment is tried, since a bad choice for one job hides good
    ones for others. With more, the best single member starts with all jobs, and from the pipeline's
    last job on, each job goes to the first member that improves it.
    """
    if context.n**3 <= MOST_PIPELINES:
        jobs = _best_of_all(context)
    else:
        jobs = _one_by_one(context)
    names = {job: context.members[k].name for job, k in jobs.items()}
    verdicts = []
    for item, (text, tokens) in zip(items, work(context, jobs, items), strict=True):
        answer = read_ballot(item, text)
        ballots: list[str | None] = [None] * context.n
        ballots[jobs["answer"]] = answer
        verdicts.append(verdict_for(answer, ballots, tokens, queried=1, jobs=names))
    return verdicts


def work(context: GroupContext, jobs: Jobs, items: Sequence[Item]) -> list[tuple[str, int]]:
    """The pipeline's answer to each item, and its cost in tokens."""
    questions = [question_of(item, context.template) for item in items]
    planner, filler, speaker = (context.members[jobs[job]] for job in ("plan", "slots", "answer"))
    plans = planner.generate([*map(plan_prompt, questions)], _PLAN)
    prompts = map(slots_prompt, questions, [plan.text for plan in plans])
    filled = filler.generate([*prompts], _PLAN)
    prompts = map(answer_prompt, items, questions, [notes.text for notes in filled])
    answers = speaker.generate([*prompts])
    steps = zip(plans, filled, answers, strict=True)
    return [(step[-1].text, sum(said.tokens for said in step)) for step in steps]


def _best_of_all(context: GroupContext) -> Jobs:
    """Try every assignment; the first wins ties, the best members come first."""
    everyone = itertools.product(context.order, repeat=len(JOBS))
    assignments = [dict(zip(reversed(JOBS), members, strict=True)) for members in everyone]
    return max(assignments, key=lambda jobs: _right(context, jobs))


def _one_by_one(context: GroupContext) -> Jobs:
    jobs = dict.fromkeys(JOBS, context.order[0])
    best = _right(context, jobs)
    for job in JOBS:
        for k in range(context.n):
            changed = {**jobs, job: k}
            if (more := _right(context, changed)) > best:
                best = more
                jobs = changed
    return jobs


def _right(context: GroupContext, jobs: Jobs) -> int:
    """Number of dev items that the pipeline answers correctly; earlier generations are reused."""
    items = context.dev.items
    pairs = zip(items, work(context, jobs, items), strict=True)
    return sum(is_right(item, read_ballot(item, text)) for item, (text, _) in pairs)


def plan_prompt(question: str) -> str:
    """Request a plan with slots."""
    return (
        f"{question}\nDo not answer yet. Write a plan of at most three steps; put a name in "
        "square brackets wherever a "
        "fact from the question or a result is needed."
    )


def slots_prompt(question: str, plan: str) -> str:
    """Request a plan with filled slots."""
    return (
        f"{question}\nPlan:\n{plan.strip()}\n"
        "Write the plan again with every square bracket replaced by what it stands for."
    )


def answer_prompt(item: Item, question: str, notes: str) -> str:
    """Request the answer, given the filled plan."""
    return (
        f"{question}\nNotes:\n{notes.strip()}\nAnswer the question with the help of these. "
        f"{ending_of(item)}"
    )
