"""`research/benchmarks/several_tasks.py`: labels by another way, on sources made up here and on the shared
ones.
"""

from __future__ import annotations

import json
import random
import re
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from laboratory import script
from llm_fixtures import SHARED

several = script("several_tasks")

HEADING = "Determine if there is a path between two nodes in the graph."


def reachable(question: str) -> bool:
    """Whether the graph of a question has the path that it asks for, by breadth-first search."""
    edges = {
        int(node): [int(other) for other in others.split(", ")]
        for node, others in re.findall(r"Node (\d+) is connected to ([\d, ]+)\.", question)
    }
    ends = re.search(r"path between node (\d+) and node (\d+)\?", question)
    assert ends is not None
    start, goal = int(ends[1]), int(ends[2])
    seen, waiting = {start}, deque([start])
    while waiting:
        for other in edges.get(waiting.popleft(), []):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return goal in seen


def graph_item(rng: random.Random) -> dict[str, Any]:
    """A path of six nodes with one edge missing or none, and its answer."""
    gap = rng.choice([None, 0, 1, 2, 3, 4])
    nodes = rng.sample(range(20), 6)
    edges = [(nodes[k], nodes[k + 1]) for k in range(5) if k != gap]
    lines = [HEADING]
    for node in nodes:
        others = [b if a == node else a for a, b in edges if node in (a, b)]
        if others:
            lines.append(f"Node {node} is connected to {', '.join(map(str, others))}.")
    lines.append(f"Q: Is there a path between node {nodes[0]} and node {nodes[5]}?")
    choices = {"A": "Yes", "B": "No"}
    return {
        "question": "\n".join(lines),
        "choices": choices,
        "answer": "B" if gap in range(5) else "A",
    }


def made_up(folder: Path) -> Path:
    """Sources as SOURCES.md describes them, with 20 dev and 30 test items a field."""
    rng = random.Random(0)
    intents = [x for topics in several.INTENT_TOPICS.values() for x in topics.split(", ")]
    topics = {
        "banking": ["top up failed", "topping up by card", "verify top up", "exchange rate",
                    "atm support", "exchange charge", "pending transfer", "failed transfer",
                    "cancel transfer", "card arrival", "change pin", "card linking", "age limit",
                    "country support", "verify my identity"],
        "intent": [*intents, "none of these"],
    }  # fmt: skip
    for name in ("tasks", "sft"):
        (folder / name).mkdir()
    for field, labels in topics.items():
        items = []
        for number in range(50):
            options = rng.sample(labels, 4)
            items.append(
                {
                    "question": f"{field} message {number}",
                    "choices": dict(zip("ABCD", options, strict=True)),
                    "answer": rng.choice("ABCD"),
                }
            )
        write_field(folder, field, items)
        chats = [chat(f"{field} chat {n}", rng.choice(labels)) for n in range(60)]
        (folder / "sft" / f"{field}.jsonl").write_text("\n".join(chats))
    graphs: dict[str, Any] = {}
    while len(graphs) < 50:
        item = graph_item(rng)
        graphs[item["question"]] = item
    write_field(folder, "graph", list(graphs.values()))
    chats = [chat(f"graph\u2028chat {n}", rng.choice(["Yes", "No"])) for n in range(60)]
    (folder / "sft" / "graph.jsonl").write_text("\n".join(chats))
    return folder


def write_field(folder: Path, field: str, items: list[dict[str, Any]]) -> None:
    for number, item in enumerate(items):
        item["id"] = f"{field}-{number}"
    (folder / "tasks" / f"{field}.json").write_text(
        json.dumps({"dev": items[:20], "test": items[20:]})
    )


def chat(question: str, answer: str) -> str:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}, ensure_ascii=False)


@pytest.fixture(scope="module", params=["made up", "shared"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "made up":
        return made_up(tmp_path_factory.mktemp("data"))
    if not (SHARED / "data" / "tasks").exists():
        pytest.skip("needs the shared data beside the checkout")
    return SHARED / "data"


def answers(data: Path, field: str, split: str) -> dict[str, str]:
    """Question of a source -> text of its right option."""
    items = json.loads((data / "tasks" / f"{field}.json").read_text())[split]
    return {item["question"]: item["choices"][item["answer"]] for item in items}


def numbered(question: str) -> tuple[str, str, str]:
    """What stands before the two numbered parts of a question, and these."""
    match = re.fullmatch(r"(.*)\n1\. (.*)\n2\. (.*)", question, flags=re.DOTALL)
    assert match is not None
    return match[1], match[2], match[3]


def right(item: Mapping[str, Any]) -> str:
    return item["choices"][item["answer"]]


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize(
    ("task", "first", "second"),
    [("intent-banking", "intent", "banking"), ("path-intent", "graph", "intent")],
)
def test_a_pair_is_right_where_both_parts_are(
    data: Path, task: str, first: str, second: str, split: str
) -> None:
    sources = answers(data, first, split), answers(data, second, split)
    items = several.built_files(task, data / "tasks")[task][split]
    assert len(items) == min(several.SIZES[split], len(sources[1]))
    for item in items:
        _, *parts = numbered(item["question"])
        texts = [source[part] for source, part in zip(sources, parts, strict=True)]
        assert right(item) == "; ".join(texts)
        halves = [
            set(column)
            for column in zip(*(x.split("; ") for x in item["choices"].values()), strict=True)
        ]
        assert [len(half) for half in halves] == [2, 2]  # each part alone is a choice of two
        assert len(set(item["choices"].values())) == 4
        if first == "graph":
            assert right(item).startswith("Yes" if reachable(parts[0]) else "No")


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_graph_decides_which_message_counts(data: Path, split: str) -> None:
    source = answers(data, "banking", split)
    items = several.built_files("path-then-banking", data / "tasks")["path-then-banking"][split]
    assert len(items) > 0.8 * len(source)
    chosen = set()
    for item in items:
        rule, *messages = numbered(item["question"])
        place = 0 if reachable(rule) else 1
        chosen.add(place)
        assert right(item) == source[messages[place]]
        assert source[messages[1 - place]] in item["choices"].values()
        assert len(set(item["choices"].values())) == 4
    assert chosen == {0, 1}


@pytest.mark.parametrize("field", ["banking", "intent"])
def test_a_desk_has_options_of_the_same_and_of_other_departments(data: Path, field: str) -> None:
    department = several.DEPARTMENTS[field]
    task = f"desk-{field}"
    departments = set()
    for split in ("dev", "test"):
        source = answers(data, field, split)
        items = several.built_files(task, data / "tasks")[task][split]
        kept = [question for question, text in source.items() if text != "none of these"]
        assert [item["question"] for item in items] == kept[: several.SIZES[split]]
        for item in items:
            places = [department(text) for text in item["choices"].values()]
            assert right(item) == source[item["question"]]
            assert places.count(department(right(item))) == 3 and len(places) == 5
            departments.add(department(right(item)))
    assert {f"{field}-{name}" for name in departments} == set(several.TASKS[task].relevant)


def test_dev_and_test_have_no_part_in_common(data: Path) -> None:
    for name, task in several.TASKS.items():
        for file, splits in several.built_files(name, data / "tasks").items():
            parts = {
                split: {part for item in items for part in item.get("parts", [item["question"]])}
                for split, items in splits.items()
            }
            assert not parts["dev"] & parts["test"], file
            questions = [item["question"] for items in splits.values() for item in items]
            assert len(set(questions)) >= len(questions) - 1  # one graph is there twice
        irrelevant = set(several.IRRELEVANT) & set(task.experts)
        assert len(irrelevant) * 2 >= len(task.experts) - 1 and "slipped" in task.experts


def test_every_chat_of_a_department_has_one_expert(data: Path) -> None:
    made = several.expert_chats(data / "sft")
    for field in ("banking", "intent"):
        chats = several.read_chats(data / "sft" / f"{field}.jsonl")
        spread = [chat for name, part in made.items() if name.startswith(field) for chat in part]
        asked = [chat for chat in chats if chat["messages"][-1]["content"] != "none of these"]
        assert sorted(map(json.dumps, spread)) == sorted(map(json.dumps, asked))
    needed = {name for task in several.TASKS.values() for name in task.relevant}
    assert needed - set(made) == {"banking", "intent", "graph"}


def test_the_harmful_expert_learns_the_next_rows_answers(data: Path) -> None:
    slipped = several.expert_chats(data / "sft")["slipped"]
    after = {}
    for field in ("banking", "intent", "graph"):
        rows = several.read_chats(data / "sft" / f"{field}.jsonl")[:400]
        for row, following in zip(rows, [*rows[1:], rows[0]], strict=True):
            after[row["messages"][0]["content"]] = following["messages"][-1]["content"]
    assert {
        chat["messages"][0]["content"]: chat["messages"][-1]["content"] for chat in slipped
    } == after
