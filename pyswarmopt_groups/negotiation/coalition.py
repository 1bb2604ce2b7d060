"""A coalition: planning, filling slots and answering are separate jobs, each given to the member
that does it best.

Mangal et al. 2024, arXiv 2408.01380, divide tool use this way. Here the jobs are those of a
question: a plan with slots, the filled slots, the answer. A member's quality at a job is the
accuracy of the whole pipeline on dev.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_groups.context import Decide, GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Sampling
from pyswarmopt_groups.negotiation.debate import ending_of, question_of
from pyswarmopt_groups.responses import is_right, read_ballot
from pyswarmopt_llm.tasks import Item

JOBS = ("answer", "slots", "plan")  # in the order of assignment: the most important first

_PLAN = Sampling(max_new_tokens=96)


def coalition(context: GroupContext) -> Decide:
    """Assigns the jobs on dev, one after the other and the last of the pipeline first.

    At first the best single member has all of them; a job goes to the first member that does it
    better.
    """
    jobs = dict.fromkeys(JOBS, context.order[0])
    dev = context.dev.items
    best = _right(context, jobs, dev)
    for job in JOBS:
        for k in range(context.n):
            changed = {**jobs, job: k}
            if (right := _right(context, changed, dev)) > best:
                best, jobs = right, changed
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


def work(
    context: GroupContext, jobs: dict[str, int], items: Sequence[Item]
) -> list[tuple[str, int]]:
    """The pipeline's answer to each item, and its cost in tokens; `jobs`: job -> number of the
    member that does it.
    """
    questions = [question_of(item, context.template) for item in items]
    planner, filler, speaker = (context.members[jobs[job]] for job in ("plan", "slots", "answer"))
    plans = planner.generate([plan_prompt(question) for question in questions], _PLAN)
    pairs = zip(questions, plans, strict=True)
    filled = filler.generate([slots_prompt(q, plan.texts[0]) for q, plan in pairs], _PLAN)
    triples = zip(items, questions, filled, strict=True)
    answers = speaker.generate(
        [answer_prompt(item, q, notes.texts[0]) for item, q, notes in triples]
    )
    return [
        (answer.texts[0], plan.tokens + notes.tokens + answer.tokens)
        for plan, notes, answer in zip(plans, filled, answers, strict=True)
    ]


def _right(context: GroupContext, jobs: dict[str, int], items: Sequence[Item]) -> int:
    answers = zip(items, work(context, jobs, items), strict=True)
    return sum(is_right(item, read_ballot(item, text)) for item, (text, _) in answers)


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
