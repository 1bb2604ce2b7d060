#!/usr/bin/env python3
"""Agents and coalitions with tools: three Python functions that are called, and whose results are read.

**An agent** (rows of the task `agent`) is a member in a loop: it calls a tool or answers, and reads
what the tools have returned. The tools are `price` (a table that is drawn for each question, so that
no weights can hold it), `times` and `plus`. There are three kinds of questions, of two to five calls.
The member learned from 300 demonstrations which tool comes next, and which words of the question or
results it is called with: a logistic regression of the question's form and the number of results.
Controls: the same without a tool's results, with the prices of another shop, and a decision tree
that learned the same questions' answers at once.

**A coalition** (rows of the task `coalition`; Mangal et al. 2024, arXiv 2408.01380) does the
questions of `coalition.py`, an invented word for two skills and four letters. Its members were not
trained for it: programs that follow the prompts, one that knows the words and no skill, two that
know three of six skills each. `coalition` gives the jobs by dev scores; a slot, or a slot and the
answer, may be filled by a tool in place of a member: a Python function for each skill. Controls: each
member in all jobs, the vote on first answers, and tools that do something else than they are
called. 100 dev and 500 test questions, three draws.

    python research/benchmarks/groups/tools.py --outcomes research/evidence/tools.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coalition import MEANING, drawn, piped
from lab_skills import SKILLS
from programs import Program
from talk import NAMES, TEMPLATE, line

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.negotiation.coalition import JOBS, answer_prompt, plan_prompt
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import read_ballot
from pyswarmopt_llm.scores.tasks import Item, Task

GOODS = ("pen", "cup", "hat", "map", "pot", "bag", "key", "fan")
MOST_CALLS = 6
SHOWN = 300
DEV, TEST = 100, 500
Prices = Mapping[str, int]
Tool = Callable[..., int]

# The agent


def tools_of(prices: Prices) -> dict[str, Tool]:
    """The three functions, of one shop."""
    return {
        "price": lambda good: prices[good],
        "times": lambda a, b: int(a) * int(b),
        "plus": lambda a, b: int(a) + int(b),
    }


@dataclass(frozen=True)
class Errand:
    """A question, the shop's prices, the right calls in order, and the answer."""

    question: str
    prices: Prices
    calls: tuple[str, ...]
    answer: str


def errand(rng: random.Random) -> Errand:
    """One of three kinds of questions."""
    prices = {good: rng.randint(1, 9) for good in GOODS}
    (one, other), (n, m, k) = rng.sample(GOODS, 2), (rng.randint(2, 9) for _ in range(3))
    first, second = n * prices[one], m * prices[other]
    kind = rng.randrange(3)
    if kind == 0:
        calls = (f"price {one}", f"times {n} {prices[one]}")
        return Errand(f"cost {n} {one}", prices, calls, str(first))
    if kind == 1:
        calls = (f"price {one}", f"times {n} {prices[one]}", f"price {other}")
        calls += (f"times {m} {prices[other]}", f"plus {first} {second}")
        return Errand(f"cost {n} {one} {m} {other}", prices, calls, str(first + second))
    calls = (f"times {n} {m}", f"plus {n * m} {k}")
    return Errand(f"product {n} {m} more {k}", prices, calls, str(n * m + k))


def asks(question: str, history: Sequence[tuple[str, str]]) -> str:
    """What the agent reads: the question, and what was called and returned so far."""
    told = "".join(f"\nCalled: {call}\nResult: {result}" for call, result in history)
    return f"{TEMPLATE.format(question=question)}{told}\nCall a tool or answer."


def called(call: str, tools: Mapping[str, Tool]) -> str:
    """What a call returns; the word `error` for one that cannot be made.

    Example:
        >>> called("plus 2 3", tools_of({})), called("price moon", tools_of({}))
        ('5', 'error')
    """
    name, *arguments = call.split() or [""]
    try:
        return str(tools[name](*arguments))
    except (KeyError, ValueError, TypeError):
        return "error"


def acted(
    member: Member, questions: Sequence[str], tools: Sequence[Mapping[str, Tool]]
) -> list[Verdict]:
    """Plan, call, read and answer: all questions at once, until each is answered or has had its
    calls.
    """
    histories: list[list[tuple[str, str]]] = [[] for _ in questions]
    costs, answers = [0] * len(questions), [""] * len(questions)
    for _ in range(MOST_CALLS):
        going = [i for i, answer in enumerate(answers) if not answer]
        prompts = [asks(questions[i], histories[i]) for i in going]
        for i, said in zip(going, member.generate(prompts), strict=True):
            text = said.texts[0].strip()
            costs[i] += said.tokens
            if text.startswith("The answer is"):
                answers[i] = text
            else:
                histories[i].append((text, called(text, tools[i])))
    return [Verdict(a, (a,), 1.0, cost) for a, cost in zip(answers, costs, strict=True)]


# What a call's argument is: a word of the question by its place, or a result, counted from the last.
Source = tuple[str, int]
Step = tuple[str, ...] | tuple[Any, ...]


def source_of(word: str, question: Sequence[str], results: Sequence[str]) -> Source:
    """Where an argument comes from: the latest result, else the first word of the question.

    Example:
        >>> source_of("3", ["cost", "4", "pen"], ["7", "3"]), source_of("4", ["cost", "4", "pen"], [])
        (('result', -1), ('question', 1))
    """
    for back in range(1, len(results) + 1):
        if results[-back] == word:
            return "result", -back
    return "question", question.index(word)


def form_of(question: str, results: Sequence[str]) -> list[float]:
    """What the agent looks at: the question's first word and length, and the number of results."""
    words = question.split()
    lengths = [float(len(words) == n) for n in range(3, 7)]
    return [float(words[0] == "cost"), *lengths, *(float(len(results) == n) for n in range(6))]


class Agent(Program):
    """A member that learned the next step from demonstrations."""

    def __init__(self, demonstrations: Sequence[Errand]) -> None:
        from sklearn.linear_model import LogisticRegression

        super().__init__("agent", f"agent {len(demonstrations)}")
        forms, steps = [], []
        for task in demonstrations:
            words, results = task.question.split(), list[str]()
            for call in (*task.calls, f"answer {task.answer}"):
                name, *given = call.split()
                forms.append(form_of(task.question, results))
                steps.append((name, *(source_of(word, words, results) for word in given)))
                results.append(called(call, tools_of(task.prices)))
        self.steps: list[Step] = sorted(set(steps))
        labels = [self.steps.index(step) for step in steps]
        self.model = LogisticRegression(C=100.0, max_iter=500).fit(forms, labels)

    def _reply(self, prompt: str, rng: random.Random) -> str:
        lines = prompt.splitlines()
        question = lines[0].removeprefix("Question: ")
        results = [line.removeprefix("Result: ") for line in lines if line.startswith("Result: ")]
        name, *sources = self.steps[self.model.predict([form_of(question, results)])[0]]
        words = question.split()
        given = [(words if kind == "question" else results)[place] for kind, place in sources]
        return f"The answer is {given[0]}" if name == "answer" else " ".join([name, *given])


def at_once(demonstrations: Sequence[Errand], questions: Sequence[str]) -> list[Verdict]:
    """The answers of a decision tree over the words of questions, which has no tools."""
    from sklearn.tree import DecisionTreeClassifier

    words = sorted({word for task in demonstrations for word in task.question.split()})

    def coded(question: str) -> list[int]:
        told = question.split() + [""] * 6
        return [words.index(word) if word in words else -1 for word in told[:6]]

    tree = DecisionTreeClassifier(random_state=0)
    tree.fit([coded(d.question) for d in demonstrations], [d.answer for d in demonstrations])
    said = tree.predict([coded(question) for question in questions])
    counts = [len(question.split()) for question in questions]
    return [Verdict(f"The answer is {a}", (), 1.0, n) for a, n in zip(said, counts, strict=True)]


def agent_rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each way."""
    demonstrations = [errand(random.Random(f"train {i}")) for i in range(SHOWN)]
    agent, rng = Agent(demonstrations), random.Random(f"test {seed}")
    errands = [errand(rng) for _ in range(TEST)]
    questions = [task.question for task in errands]
    items = tuple(Item(str(i), e.question, None, e.answer) for i, e in enumerate(errands))
    task = Task("agent", (), items, TEMPLATE)
    own = [tools_of(e.prices) for e in errands]
    next_one = own[1:] + own[:1]
    none: list[Mapping[str, Tool]] = [{} for _ in errands]
    prices = [{**mine, "price": other["price"]} for mine, other in zip(own, next_one, strict=True)]
    ways = {
        "agent with tools": acted(agent, questions, own),
        "agent with the prices of another shop": acted(agent, questions, prices),
        "agent whose tools return errors": acted(agent, questions, none),
        "taught to answer at once": at_once(demonstrations, questions),
    }
    for name, verdicts in ways.items():
        yield line(name, seed, task, verdicts)


# The coalition

PLAN = re.compile(r"(\w+) \[ word \] (\w+)")
NOTES = re.compile(r"(\w+) ((?:\w ){4})(\w+)")


class Worker(Program):
    """A member that follows the coalition's prompts, and guesses what it does not know.

    Args:
        name: see `Member`.
        words: whether it knows what the invented words stand for.
        skills: that it can do.
    """

    def __init__(self, name: str, words: bool, skills: Collection[str]) -> None:
        super().__init__(name, f"worker {words} {sorted(skills)}")
        self.words, self.skills = words, skills

    def _does(self, skill: str, letters: str, rng: random.Random) -> str:
        known = skill if skill in self.skills else rng.choice(NAMES)
        return " ".join(SKILLS[known](tuple(letters.split())))

    def _reply(self, prompt: str, rng: random.Random) -> str:
        word, letters = prompt.splitlines()[0].removeprefix("Question: ").split(" ", 1)
        first, second = MEANING[word] if self.words else rng.sample(NAMES, 2)
        if "\nNotes:\n" in prompt:
            notes = NOTES.search(prompt.split("\nNotes:\n")[1])
            said = self._does(notes[3], notes[2], rng) if notes else letters
            return f"The answer is {said}"
        if "\nPlan:\n" in prompt:
            plan = PLAN.search(prompt.split("\nPlan:\n")[1])
            return f"{plan[1]} {self._does(plan[1], letters, rng)} {plan[2]}" if plan else letters
        if "Do not answer yet" in prompt:
            return f"{first} [ word ] {second}"
        return f"The answer is {self._does(second, self._does(first, letters, rng), rng)}"


WORKERS = (
    Worker("words", True, ()),
    Worker("three skills", False, NAMES[:3]),
    Worker("the other three", False, NAMES[3:]),
)
Skill = Callable[[tuple[str, ...]], tuple[str, ...]]


def by_tools(
    context: GroupContext, jobs: Mapping[str, int], tools: Mapping[str, Skill], answer: bool
) -> list[Verdict]:
    """The pipeline with the slot filled by the tool that the plan names, the answer by a member or
    by a tool, too.
    """
    items = context.task.test if context.task else ()
    planner, speaker = (context.members[jobs[job]] for job in ("plan", "answer"))
    questions = [TEMPLATE.format(question=item.question) for item in items]
    plans = planner.generate([*map(plan_prompt, questions)])
    filled, answers = [], []
    for item, plan in zip(items, plans, strict=True):
        steps = PLAN.search(plan.texts[0])
        first, second = (steps[1], steps[2]) if steps else ("", "")
        letters = tuple(item.question.split()[1:])
        between = tools[first](letters) if first in tools else letters
        filled.append(f"{first} {' '.join(between)} {second}")
        answers.append(" ".join(tools[second](between)) if second in tools else "")
    if answer:
        return [
            Verdict(text, (text,), 1.0, plan.tokens)
            for text, plan in zip(answers, plans, strict=True)
        ]
    prompts = [*map(answer_prompt, items, questions, filled)]
    verdicts = []
    for item, plan, reply in zip(items, plans, speaker.generate(prompts), strict=True):
        text = read_ballot(item, reply.texts[0])
        verdicts.append(Verdict(text, (text,), 1.0, plan.tokens + reply.tokens))
    return verdicts


def coalition_rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each member in all jobs, the vote, the coalition, and tools in its place."""
    split = {
        name: tuple(item for item, _ in itertools.islice(drawn(name, seed), n))
        for name, n in (("dev", DEV), ("test", TEST))
    }
    task = Task("coalition", split["dev"], split["test"], TEMPLATE)
    context = GroupContext(WORKERS, task, "generate", seed)
    for k, worker in enumerate(WORKERS):
        verdicts = piped(context, dict.fromkeys(JOBS, k))
        yield line(f"{worker.name}, all jobs", seed, task, verdicts)
    yield line(
        "`majority` of the first answers",
        seed,
        task,
        load_strategy("majority").decide(context, task.test),
    )
    verdicts = load_strategy("coalition").decide(context, task.test)
    names = [worker.name for worker in WORKERS]
    jobs = {job: names.index(name) for job, name in verdicts[0].notes["jobs"].items()}
    yield line("`coalition`", seed, task, verdicts)
    right = {name: SKILLS[name] for name in NAMES}
    wrong = dict(zip(NAMES, [SKILLS[name] for name in (*NAMES[1:], NAMES[0])], strict=True))
    yield line("`coalition`, slots by tools", seed, task, by_tools(context, jobs, right, False))
    yield line(
        "`coalition`, slots and answer by tools", seed, task, by_tools(context, jobs, right, True)
    )
    yield line(
        "the same, tools that do something else", seed, task, by_tools(context, jobs, wrong, True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    made = []
    for part, seed in itertools.product((coalition_rows, agent_rows), args.seeds):
        for row in part(seed):
            made.append(row)
            right = row["test"].count("1") / TEST
            print(row["task"], row["method"], seed, right, row["tokens"], flush=True)
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
