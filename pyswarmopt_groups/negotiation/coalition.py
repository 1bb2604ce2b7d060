"""A coalition: planning, filling slots and answering are separate jobs, each given to the member
that does it best.

Mangal et al. 2024, arXiv 2408.01380, divide tool use this way. Here the jobs are those of a
question: a plan with slots, the filled slots, the answer. A member's quality at a job is the
accuracy of the whole pipeline on dev.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from pyswarmopt_groups.context import GroupContext, Verdict, verdict_for
from pyswarmopt_groups.members.protocol import Sampling
from pyswarmopt_groups.negotiation.debate import ending_of, question_of
from pyswarmopt_groups.responses import is_right, read_ballot
from pyswarmopt_llm.scores.tasks import Item

JOBS = ("answer", "slots", "plan")  # in the order of assignment: the most important first
MOST_PIPELINES = 64  # up to which all are tried: four members

_PLAN = Sampling(max_new_tokens=96)
Jobs = Mapping[str, int]
"""Job -> number of the member that does it."""


def coalition(context: GroupContext, items: Sequence[Item]) -> list[Verdict]:
    """Assigns the jobs on dev, by the share that the whole pipeline gets right.

    Of up to four members every assignment is tried; a job that is done badly hides how well another
    is done. Of more, the best single member has all jobs at first, and from the last of the
    pipeline on a job goes to the first member that does it better.
    """
    jobs = _best_of_all(context) if context.n**3 <= MOST_PIPELINES else _one_by_one(context)
    names = {job: context.members[k].name for job, k in jobs.items()}
    verdicts = []
    for item, (text, tokens) in zip(items, work(context, jobs, items), strict=True):
        answer = read_ballot(item, text)
        ballots = [answer if k == jobs["answer"] else None for k in range(context.n)]
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
    """Every assignment is tried; of ties the first counts, the best members first."""
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
    """Dev items that the pipeline answers right; what was generated before is not generated again."""
    items = context.dev.items
    pairs = zip(items, work(context, jobs, items), strict=True)
    return sum(is_right(item, read_ballot(item, text)) for item, (text, _) in pairs)


def plan_prompt(question: str) -> str:
    """Asks for a plan with slots."""
    return (
        f"{question}\nDo not answer yet. Write a plan of at most three steps; put a name in "
        "square brackets wherever a "
        "fact from the question or a result is needed."
    )


def slots_prompt(question: str, plan: str) -> str:
    """Asks for a plan's slots to be filled."""
    return (
        f"{question}\nPlan:\n{plan.strip()}\n"
        "Write the plan again with every square bracket replaced by what it stands for."
    )


def answer_prompt(item: Item, question: str, notes: str) -> str:
    """Asks for the answer, by the filled plan."""
    return (
        f"{question}\nNotes:\n{notes.strip()}\nAnswer the question with the help of these. "
        f"{ending_of(item)}"
    )
