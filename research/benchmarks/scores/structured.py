"""Structured answers: an order in words becomes a JSON object with six fields; a program scores it.

    python research/benchmarks/scores/structured.py --out runs/structured \\
        --outcomes research/evidence/structured.jsonl

Orders are made of templates with a seed. Each of three experts was trained (`train-expert`) on
orders with two of the fields and the objects of these; dev and test have all six. The score of a
reply is the mean of two numbers: whether it is a JSON object, and the F1 of its fields. A line of
the outcomes is a method and a seed, with the score of the reply to each test order. A run that has
finished is read, another one resumed; experts that are there are not made again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runs import adapters, compared, methods_parser, write_lines

from pyswarmopt_llm import TrainingOptions, resolve_base, train_expert
from pyswarmopt_llm.scores.tasks import Item

BASE = "embedded:smollm2-135m"
NEW_TOKENS = 72
VALUES: Mapping[str, Sequence[str]] = {
    "name": "Maria Ali Chen Ingrid Kofi Lucia Omar Petra Ravi Sven Tara Yuki".split(),
    "city": "Oslo Lima Accra Kyoto Porto Riga Quito Turin Cairo Leeds Bergen Graz".split(),
    "item": "lamp chair kettle bicycle mirror blanket camera ladder basket clock".split(),
    "colour": "blue red green black white yellow grey brown".split(),
    "count": "two three four five six seven eight nine".split(),
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
}
EXPERTS = {"who": ("name", "city"), "what": ("item", "colour"), "when": ("count", "day")}
# What is said of each field; an order says it of some fields, in any order.
PHRASES: Mapping[str, Sequence[str]] = {
    "name": ("it is for {}", "the customer is called {}", "{} wants it"),
    "city": ("send it to {}", "the address is in {}", "it goes to {}"),
    "item": ("please order a {}", "the article is a {}", "we need a {}"),
    "colour": ("it should be {}", "the {} one", "make it {}"),
    "count": ("{} of them", "the quantity is {}", "{} pieces"),
    "day": ("by {}", "not later than {}", "it has to be there on {}"),
}
TRAINING: Mapping[str, Any] = {
    "rank": 4,
    "alpha": 8,
    "targets": ("q_proj", "v_proj"),
    "lr": 2e-3,
    "epochs": 2,
}


def structured(reply: str, item: Item) -> dict[str, float]:
    """Whether a reply is a JSON object, and the F1 of its fields and values.

    Example:
        >>> item = Item("1", "", None, '{"name": "Ali", "city": "Oslo"}')
        >>> structured('{"name": "Ali", "city": "Lima"}', item), structured("Ali in Oslo", item)
        ({'valid': 1.0, 'fields': 0.5}, {'valid': 0.0, 'fields': 0.0})
    """
    expected = json.loads(str(item.answer))
    try:
        fields = json.loads(reply)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return {"valid": 0.0, "fields": 0.0}
    right = sum(fields.get(name) == value for name, value in expected.items())
    return {"valid": 1.0, "fields": 2 * right / (len(fields) + len(expected))}


def order(fields: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """A prompt with an order that has these fields, and its JSON object."""
    values = {name: rng.choice(VALUES[name]) for name in fields}
    parts = [rng.choice(PHRASES[name]).format(value) for name, value in values.items()]
    rng.shuffle(parts)
    text = ", ".join(parts)
    request = f"Order: {text[0].upper()}{text[1:]}."
    return f"Write this order as a JSON object with {', '.join(fields)}. {request}", json.dumps(
        values
    )


def write_task(file: Path, dev: int, test: int) -> None:
    """Orders with all fields."""
    rng = random.Random(0)
    numbers = range(dev + test)
    items = []
    for number, (question, answer) in zip(numbers, distinct(tuple(VALUES), rng), strict=False):
        items.append({"id": str(number), "question": question, "answer": answer})
    file.write_text(json.dumps({"dev": items[:dev], "test": items[dev:]}), encoding="utf-8")


def distinct(fields: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    """Orders, none twice."""
    seen: set[str] = set()
    while True:
        prompt, answer = order(fields, rng)
        if prompt not in seen:
            seen.add(prompt)
            yield prompt, answer


def make_experts(folder: Path, texts: int, threads: int) -> None:
    """Train the experts that are not there yet, each on so many orders with its two fields."""
    base = resolve_base(BASE)
    for seed, (name, fields) in enumerate(EXPERTS.items(), start=1):
        if (folder / name).exists():
            continue
        chats = []
        for _, (prompt, answer) in zip(
            range(texts), distinct(fields, random.Random(seed)), strict=False
        ):
            asked = {"role": "user", "content": prompt}
            chats.append({"messages": [asked, {"role": "assistant", "content": answer}]})
        data = f"orders with {' and '.join(fields)}"
        result = train_expert(
            base, chats, folder / name, TrainingOptions(**TRAINING, threads=threads), data=data
        )
        print(
            name, f"{result.heldout_loss_base:.3f} to {result.heldout_loss_expert:.3f}", flush=True
        )


def main() -> None:
    arguments = methods_parser(__doc__)
    arguments.add_argument(
        "--texts", type=int, default=120, help="orders that an expert is trained on"
    )
    arguments.add_argument("--dev", type=int, default=50)
    arguments.add_argument("--test", type=int, default=150)
    arguments.add_argument(
        "--proposals", type=int, default=34, help="of the default; six candidates come first"
    )
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    task = options.out / "orders.json"
    write_task(task, options.dev, options.test)
    make_experts(options.out / "experts", options.texts, options.threads)
    lines = compared(
        options,
        "structured",
        {"proposals": options.proposals, "train": "on"},
        base=BASE,
        experts=adapters(options.out / "experts"),
        tasks=(str(task),),
        metrics=(f"{Path(__file__).resolve()}:structured",),
        max_new_tokens=NEW_TOKENS,
    )
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
