"""A coalition: planning, filling slots and answering are separate jobs, each given to the member that does it best.

Mangal et al. 2024, arXiv 2408.01380, divide the use of tools so. Here the jobs are those of a question: a plan with
slots, the slots filled from the question, the answer from the filled plan. A plan has no right answer to compare it
with, so a member's worth in a job is what the whole pipeline gets right on dev.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.negotiation.turns import question_of, wanted
from pyswarmopt_llm.groups.responses import is_right, read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.tasks import Item

JOBS = ("answer", "slots", "plan")  # in the order in which they are given out: what comes last matters most

_PLAN_TOKENS = 96


def coalition(room: Room) -> Decide:
    """Gives out the jobs on dev, one after the other, and begins with all of them at the best single member.

    The last job of the pipeline is given out first. Of equally good members the one that has the job keeps it, else the
    first-listed gets it. That takes at most 3 (n - 1) + 1 passes over dev; `Remembered` members repeat none.
    """
    jobs = dict.fromkeys(JOBS, room.order[0])
    dev = room.dev.items
    best = _right(room, jobs, dev)
    for job in JOBS:
        for k in range(room.n):
            if (found := _right(room, {**jobs, job: k}, dev)) > best:
                best, jobs = found, {**jobs, job: k}
    names = {job: room.members[k].name for job, k in jobs.items()}

    def decide(items: Sequence[Item]) -> list[Verdict]:
        verdicts = []
        for item, (text, tokens) in zip(items, work(room, jobs, items), strict=True):
            answer = read_ballot(item, text)
            ballots = tuple(answer if k == jobs["answer"] else None for k in range(room.n))
            verdicts.append(Verdict(answer, ballots, float(answer is not None), tokens, notes={"jobs": names}))
        return verdicts

    return decide


def work(room: Room, jobs: dict[str, int], items: Sequence[Item]) -> list[tuple[str, int]]:
    """Per item what the pipeline answers, and what it cost.

    Args:
        room: whose members work.
        jobs: job of `JOBS` -> number of the member that does it.
        items: what is asked.
    """
    questions = [question_of(item, room.template) for item in items]
    planner, filler, speaker = (room.members[jobs[job]] for job in ("plan", "slots", "answer"))
    plans = planner.generate([_planning(question) for question in questions], max_new_tokens=_PLAN_TOKENS)
    filled = filler.generate(
        [_filling(question, plan.texts[0]) for question, plan in zip(questions, plans, strict=True)],
        max_new_tokens=_PLAN_TOKENS,
    )
    answers = speaker.generate(
        [
            f"{question}\nNotes:\n{notes.texts[0].strip()}\nAnswer the question with the help of these. {wanted(item)}"
            for item, question, notes in zip(items, questions, filled, strict=True)
        ]
    )
    return [
        (answer.texts[0], plan.tokens + notes.tokens + answer.tokens)
        for plan, notes, answer in zip(plans, filled, answers, strict=True)
    ]


def _right(room: Room, jobs: dict[str, int], items: Sequence[Item]) -> int:
    found = work(room, jobs, items)
    return sum(is_right(item, read_ballot(item, text)) for item, (text, _) in zip(items, found, strict=True))


def _planning(question: str) -> str:
    return (
        f"{question}\nDo not answer yet. Write a plan of at most three steps; put a name in square brackets wherever a "
        "fact from the question or a result is needed."
    )


def _filling(question: str, plan: str) -> str:
    return (
        f"{question}\nPlan:\n{plan.strip()}\n"
        "Write the plan again with every square bracket replaced by what it stands for."
    )


__all__ = ["JOBS", "coalition", "work"]
