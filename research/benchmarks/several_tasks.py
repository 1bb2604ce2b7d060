"""Tasks that need several experts, built from the project's tasks and training chats.

The parts of dev items are dev items of their sources, those of test items test items, and no expert
was trained on any of them. Labels come from the sources; see `pairs`, `chain` and `desk`.
`several_experts.py` is the command.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

SIZES = {"dev": 200, "test": 500}
SLIPPED = 400  # chats per field of the harmful expert
SLIPPED_FIELDS = ("banking", "intent", "graph")
HARMFUL = "slipped"
IRRELEVANT = ("law", "medicine", "math", "code", "sentiment", "commonsense")

# The first department with a word that begins a word of the topic; the last one has the rest.
BANKING_WORDS = {
    "top-ups": ("top ", "topping"),
    "cash": ("cash", "exchange", "atm", "fiat", "currenc", "charged", "charge"),
    "transfers": ("transfer", "beneficiary", "receiving", "debit", "refund", "balance"),
    "cards": ("card", "pin", "contactless", "pay", "visa"),
    "accounts": ("",),
}
# data/domains.json of clinc/oos-eval (CC BY 3.0), two domains a department.
INTENT_TOPICS = {
    "money": (
        "freeze account, routing, pin change, bill due, pay bill, account blocked, interest rate, "
        "min payment, bill balance, transfer, order checks, balance, spending history, "
        "transactions, report fraud, replacement card duration, expiration date, damaged card, "
        "improve credit score, report lost card, card declined, credit limit change, apr, "
        "redeem rewards, credit limit, rewards balance, application status, credit score, "
        "new card, international fees"
    ),
    "house": (
        "food last, confirm reservation, how busy, ingredients list, calories, nutrition info, "
        "recipe, restaurant reviews, restaurant reservation, meal suggestion, "
        "restaurant suggestion, cancel reservation, ingredient substitution, cook time, "
        "accept reservations, what song, play music, todo list update, reminder, reminder update, "
        "calendar update, order status, update playlist, shopping list, calendar, next song, "
        "order, todo list, shopping list update, smart home"
    ),
    "road": (
        "current location, oil change when, oil change how, uber, traffic, tire pressure, "
        "schedule maintenance, gas, mpg, distance, directions, last maintenance, gas type, "
        "tire change, jump start, plug type, travel notification, translate, flight status, "
        "international visa, timezone, exchange rate, travel suggestion, travel alert, vaccines, "
        "lost luggage, book flight, book hotel, carry on, car rental"
    ),
    "office": (
        "weather, alarm, date, find phone, share location, timer, make call, calculator, "
        "definition, measurement conversion, flip coin, spelling, time, roll dice, text, "
        "pto request status, next holiday, insurance change, insurance, meeting schedule, payday, "
        "taxes, income, rollover 401k, pto balance, pto request, w2, schedule meeting, "
        "direct deposit, pto used"
    ),
    "talk": (
        "who made you, meaning of life, who do you work for, do you have pets, "
        "what are your hobbies, fun fact, what is your name, where are you from, goodbye, "
        "thank you, greeting, tell joke, are you a bot, how old are you, what can i ask you, "
        "change speed, user name, whisper mode, yes, change volume, no, change language, repeat, "
        "change accent, cancel, sync device, change user name, change ai name, reset settings, "
        "maybe"
    ),
}

Items = list[dict[str, Any]]
Build = Callable[[Mapping[str, Items], random.Random], Iterable[dict[str, Any]]]


def banking_department(topic: str) -> str:
    """The department of one of the 77 topics of banking messages.

    Example:
        >>> banking_department("card payment wrong exchange rate"), banking_department("age limit")
        ('cash', 'accounts')
    """
    for department, beginnings in BANKING_WORDS.items():
        if any(f" {beginning}" in f" {topic} " for beginning in beginnings):
            return department
    raise ValueError(f"no department of {topic}")


_DEPARTMENT_OF = {
    topic: department
    for department, topics in INTENT_TOPICS.items()
    for topic in topics.split(", ")
}


def intent_department(topic: str) -> str | None:
    """The department of one of the 150 topics of requests; None for `none of these`.

    Example:
        >>> intent_department("carry on"), intent_department("none of these")
        ('road', None)
    """
    return _DEPARTMENT_OF.get(topic)


DEPARTMENTS: Mapping[str, Callable[[str], str | None]] = {
    "banking": banking_department,
    "intent": intent_department,
}


def right_option(item: Mapping[str, Any]) -> str:
    """The text of the right option."""
    return str(item["choices"][item["answer"]])


def wrong_options(item: Mapping[str, Any]) -> list[str]:
    """The texts of the others, in their order."""
    return [text for letter, text in item["choices"].items() if letter != item["answer"]]


def shuffled(question: str, right: str, wrong: Sequence[str], rng: random.Random) -> dict[str, Any]:
    """An item with its options in random order."""
    options = rng.sample([right, *wrong], 1 + len(wrong))
    choices = dict(zip("ABCDEFGH", options, strict=False))
    answer = next(letter for letter, text in choices.items() if text == right)
    return {"question": question, "choices": choices, "answer": answer}


def pairs(first: str, second: str) -> Build:
    """Two questions in one: the options are right or wrong in each part."""

    def build(fields: Mapping[str, Items], rng: random.Random) -> Iterable[dict[str, Any]]:
        partners = rng.sample(fields[second], len(fields[second]))
        for a, b in zip(fields[first], partners, strict=True):
            first_options = [right_option(a), rng.choice(wrong_options(a))]
            second_options = [right_option(b), rng.choice(wrong_options(b))]
            texts = [f"{x}; {y}" for x in first_options for y in second_options]
            question = f"Answer both.\n1. {a['question']}\n2. {b['question']}"
            item = shuffled(question, texts[0], texts[1:], rng)
            yield {**item, "parts": [a["id"], b["id"]]}

    return build


def chain(condition: str, field: str) -> Build:
    """Yes or no decides which of two messages is asked about; either has two options."""

    def build(fields: Mapping[str, Items], rng: random.Random) -> Iterable[dict[str, Any]]:
        messages = fields[field]
        partners = rng.sample(messages, len(messages))
        for rule, a, b in zip(fields[condition], messages, partners, strict=True):
            texts = [right_option(a), right_option(b)]
            for message in (a, b):
                texts.append(rng.choice([x for x in wrong_options(message) if x not in texts]))
            if len(set(texts)) < len(texts):  # both messages are about the same
                continue
            yes = right_option(rule) == "Yes"
            right = texts[0] if yes else texts[1]
            question = (
                f"{rule['question']}\nIf there is, answer the first question, else the second.\n"
                f"1. {a['question']}\n2. {b['question']}"
            )
            item = shuffled(question, right, [text for text in texts if text != right], rng)
            yield {**item, "parts": [rule["id"], a["id"], b["id"]]}

    return build


def desk(field: str) -> Build:
    """Messages to all departments; two wrong options are of the same, two of other departments."""

    def build(fields: Mapping[str, Items], rng: random.Random) -> Iterable[dict[str, Any]]:
        department = DEPARTMENTS[field]
        topics = sorted({text for item in fields[field] for text in item["choices"].values()})
        places = {topic: department(topic) for topic in topics}
        for item in fields[field]:
            right = right_option(item)
            here = places[right]
            if here is None:
                continue
            near = [topic for topic, place in places.items() if place == here and topic != right]
            far = [topic for topic, place in places.items() if place not in (here, None)]
            wrong = rng.sample(near, 2) + rng.sample(far, 2)
            built = shuffled(item["question"], right, wrong, rng)
            yield {**built, "parts": [item["id"]], "department": here}

    return build


def alone(field: str) -> Build:
    """The field's own items."""

    def build(fields: Mapping[str, Items], rng: random.Random) -> Iterable[dict[str, Any]]:
        yield from fields[field]

    return build


@dataclass(frozen=True)
class Several:
    """A task that needs several experts.

    Attributes:
        files: file name -> how its items are built; several files count by their harmonic mean.
        fields: sources of the items.
        relevant: experts that it needs.
        claim: whether it is one to claim on; else one to choose on.
    """

    files: Mapping[str, Build]
    fields: tuple[str, ...]
    relevant: tuple[str, ...]
    claim: bool

    @property
    def experts(self) -> list[str]:
        """The pool: the relevant ones, about as many irrelevant ones, and a harmful one."""
        return [*self.relevant, *IRRELEVANT[: len(self.relevant) + 1], HARMFUL]


TASKS = {
    "intent-banking": Several(
        {"intent-banking": pairs("intent", "banking")},
        ("intent", "banking"),
        ("intent", "banking"),
        False,
    ),
    "desk-banking": Several(
        {"desk-banking": desk("banking")},
        ("banking",),
        tuple(f"banking-{name}" for name in BANKING_WORDS),
        False,
    ),
    "path-then-banking": Several(
        {"path-then-banking": chain("graph", "banking")},
        ("graph", "banking"),
        ("graph", "banking"),
        False,
    ),
    "path-intent": Several(
        {"path-intent": pairs("graph", "intent")},
        ("graph", "intent"),
        ("graph", "intent"),
        True,
    ),
    "desk-intent": Several(
        {"desk-intent": desk("intent")},
        ("intent",),
        tuple(f"intent-{name}" for name in INTENT_TOPICS),
        True,
    ),
    "banking-and-graph": Several(
        {"banking": alone("banking"), "graph": alone("graph")},
        ("banking", "graph"),
        ("banking", "graph"),
        True,
    ),
}


def built_files(name: str, sources: Path) -> dict[str, dict[str, Items]]:
    """File name -> split -> items, the same in every process.

    Args:
        name: one of `TASKS`.
        sources: folder of FIELD.json, whose items have an id.
    """
    task = TASKS[name]
    read = {field: json.loads((sources / f"{field}.json").read_text()) for field in task.fields}
    files: dict[str, dict[str, Items]] = {file: {} for file in task.files}
    for file, build in task.files.items():
        for split, size in SIZES.items():
            rng = random.Random(f"{name}:{file}:{split}")
            fields = {field: data[split] for field, data in read.items()}
            items = islice(build(fields, rng), size)
            files[file][split] = [
                {**item, "id": f"{file}-{split}-{number}"} for number, item in enumerate(items)
            ]
    return files


def expert_chats(chats: Path) -> dict[str, Items]:
    """Name -> training chats of the experts that have to be made: one per department, of the
    field's chats about its topics, and one whose answers have slipped by a row.

    Args:
        chats: folder of FIELD.jsonl.
    """
    made: dict[str, Items] = {}
    for field, department in DEPARTMENTS.items():
        for chat in read_chats(chats / f"{field}.jsonl"):
            place = department(chat["messages"][-1]["content"])
            if place is not None:
                made.setdefault(f"{field}-{place}", []).append(chat)
    slipped: Items = []
    for field in SLIPPED_FIELDS:
        rows = read_chats(chats / f"{field}.jsonl")[:SLIPPED]
        for row, other in zip(rows, rows[1:] + rows[:1], strict=True):
            messages = [*row["messages"][:-1], other["messages"][-1]]
            slipped.append({"messages": messages})
    return {**made, HARMFUL: random.Random(0).sample(slipped, len(slipped))}


def read_chats(path: Path) -> Items:
    """The chats of a JSONL file."""
    with path.open(
        encoding="utf-8"
    ) as lines:  # str.splitlines would split at other characters, too
        return [json.loads(line) for line in lines]
