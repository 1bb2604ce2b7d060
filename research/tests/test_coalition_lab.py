"""`research/benchmarks/groups/coalition.py` and `game.py`: members that know their jobs answer every question,
and what is taught is right where it says so.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

from laboratory import script
from member_helpers import Scripted

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.scores.tasks import Task

coalition = script("coalition")

TURN = {
    "reverse": lambda letters: letters[::-1],
    "rotate": lambda letters: letters[1:] + letters[:1],
}


def test_what_three_jobs_are_taught_answers_the_question() -> None:
    word = next(word for word, kind in coalition.MEANING.items() if kind == ("reverse", "rotate"))
    chats = list(coalition.examples(coalition.JOBS, 3000, 0))
    about = [
        chat["messages"] for chat in chats if f"Question: {word} " in chat["messages"][0]["content"]
    ]
    assert len(about) > 50
    for asked, answered in about:
        prompt, reply = asked["content"], answered["content"]
        letters = re.search(rf"Question: {word} (.*)", prompt)[1].split()  # type: ignore[index]
        between = TURN["reverse"](letters)
        if "Do not answer yet" in prompt:
            assert reply == "reverse [ word ] rotate"
        elif "Plan:" in prompt:
            assert "reverse [ word ] rotate" in prompt
            assert reply == f"reverse {' '.join(between)} rotate"
        else:
            assert f"reverse {' '.join(between)} rotate" in prompt
            assert reply == f"The answer is {' '.join(TURN['rotate'](between))}"


def test_the_pipeline_of_members_that_know_their_jobs_is_right() -> None:
    drawn = list(itertools.islice(coalition.drawn("test", 0), 20))
    texts = {item.question: dict(right) for item, right in drawn}

    def knows(*jobs: str) -> Any:
        def reply(prompt: str) -> str:
            right = texts[prompt.split("Question: ")[1].split("\n")[0]]
            job, given = "plan", ""
            if "Plan:" in prompt:
                job, given = "slots", right["plan"]
            elif "Notes:" in prompt:
                job, given = "answer", right["slots"]
            return right[job] if job in jobs and given in prompt else "nothing"

        return reply

    names = ["generalist", *coalition.JOBS]
    members = [Scripted(name, answers=["nothing"] * 20, writes=knows(name)) for name in names]
    items = tuple(replace(item, id=str(number)) for number, (item, _) in enumerate(drawn))
    task = Task("coalition", items, items, coalition.TEMPLATE)
    context = GroupContext(members, task, "generate", 0)
    for order in itertools.permutations(range(1, 4)):
        jobs = dict(zip(coalition.JOBS, order, strict=True))
        right = [
            is_right(item, verdict.answer)
            for verdict, item in zip(coalition.piped(context, jobs), items, strict=True)
        ]
        assert set(right) == {order == (1, 2, 3)}
    # no single job given to another member shows on dev, all three together do
    (first, *_) = load_strategy("coalition").decide(context, items)
    assert first.notes["jobs"] == {job: job for job in coalition.JOBS}
