"""A coalition: planning, filling slots and answering are separate jobs, each given to the member
that does it best.

Mangal et al. 2024, arXiv 2408.01380, divide tool use this way. Here the jobs are those of a
question: a plan with slots, the filled slots, the answer. A member's quality at a job is the
accuracy of the whole pipeline on dev.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyswarmopt_groups.context import Decide, GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Sampling, Texts
from pyswarmopt_groups.negotiation.debate import ending_of, question_of
from pyswarmopt_groups.responses import is_right, read_ballot
from pyswarmopt_llm.scores.tasks import Item

JOBS = ("answer", "slots", "plan")  # in the order of assignment: the most important first
MOST_PIPELINES = 64  # up to which all are tried: four members

_PLAN = Sampling(max_new_tokens=96)
Jobs = Mapping[str, int]
"""Job -> number of the member that does it."""


def coalition(context: GroupContext) -> Decide:
    """Assigns the jobs on dev, by the share that the whole pipeline gets right.

    Of up to four members every assignment is tried; a job that is done badly hides how well another
    is done. Of more, the best single member has all jobs at first, and from the last of the
    pipeline on a job goes to the first member that does it better.
    """
    jobs = _best_of_all(context) if context.n**3 <= MOST_PIPELINES else _one_by_one(context)
    names = {job: context.members[k].name for job, k in jobs.items()}

    def decide(items: Sequence[Item]) -> list[Verdict]:
        verdicts = []
        for item, (text, tokens) in zip(items, work(context, jobs, items), strict=True):
            answer = read_ballot(item, text)
            ballots = tuple(answer if k == jobs["answer"] else None for k in range(context.n))
            verdicts.append(
                Verdict(answer, ballots, float(answer is not None), tokens, notes={"jobs": names})
            )
        return verdicts

    return decide


def work(context: GroupContext, jobs: Jobs, items: Sequence[Item]) -> list[tuple[str, int]]:
    """The pipeline's answer to each item, and its cost in tokens."""
    plans = _planned(context, jobs["plan"], items)
    notes = _filled(context, jobs["slots"], items, plans)
    answers = _answered(context, jobs["answer"], items, notes)
    return [
        (answer.texts[0], plan.tokens + note.tokens + answer.tokens)
        for plan, note, answer in zip(plans, notes, answers, strict=True)
    ]


def _best_of_all(context: GroupContext) -> dict[str, int]:
    """Every assignment is tried; of ties the first counts, the best members first."""
    dev = context.dev.items
    best, jobs = -1, dict[str, int]()
    for planner in context.order:
        plans = _planned(context, planner, dev)
        for filler in context.order:
            notes = _filled(context, filler, dev, plans)
            for speaker in context.order:
                answers = _answered(context, speaker, dev, notes)
                right = _right(dev, [answer.texts[0] for answer in answers])
                if right > best:
                    best = right
                    jobs = {"answer": speaker, "slots": filler, "plan": planner}
    return jobs


def _one_by_one(context: GroupContext) -> dict[str, int]:
    dev = context.dev.items

    def right(jobs: Jobs) -> int:
        return _right(dev, [text for text, _ in work(context, jobs, dev)])

    jobs = dict.fromkeys(JOBS, context.order[0])
    best = right(jobs)
    for job in JOBS:
        for k in range(context.n):
            changed = {**jobs, job: k}
            if (more := right(changed)) > best:
                best, jobs = more, changed
    return jobs


def _right(items: Sequence[Item], texts: Sequence[str]) -> int:
    pairs = zip(items, texts, strict=True)
    return sum(is_right(item, read_ballot(item, text)) for item, text in pairs)


def _planned(context: GroupContext, member: int, items: Sequence[Item]) -> list[Texts]:
    questions = _questions(context, items)
    return context.members[member].generate([plan_prompt(text) for text in questions], _PLAN)


def _filled(
    context: GroupContext, member: int, items: Sequence[Item], plans: Sequence[Texts]
) -> list[Texts]:
    pairs = zip(_questions(context, items), plans, strict=True)
    prompts = [slots_prompt(text, plan.texts[0]) for text, plan in pairs]
    return context.members[member].generate(prompts, _PLAN)


def _answered(
    context: GroupContext, member: int, items: Sequence[Item], notes: Sequence[Texts]
) -> list[Texts]:
    triples = zip(items, _questions(context, items), notes, strict=True)
    prompts = [answer_prompt(item, text, note.texts[0]) for item, text, note in triples]
    return context.members[member].generate(prompts)


def _questions(context: GroupContext, items: Sequence[Item]) -> list[str]:
    return [question_of(item, context.template) for item in items]


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
