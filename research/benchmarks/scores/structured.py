"""Structured answers: a text becomes a JSON object with six fields; a program scores it.

    python research/benchmarks/scores/structured.py --out runs/structured \\
        --outcomes research/evidence/structured.jsonl
    python research/benchmarks/scores/structured.py --domain loans --one-each --out runs/loans \\
        --outcomes research/evidence/structured-fields.jsonl

Texts are made of templates with a seed. Each of three experts was trained (`train-expert`) on
prompts for two fields of texts that tell no others, with `--one-each` each of six on prompts for one
field of texts that tell all; dev and test ask for all six. The score of a reply is the mean of two
numbers: whether it is a JSON object, and the F1 of its fields. With `--one-each` orders and trips are
to choose on, visits and loans to claim on; this was written before the first run. A line of the
outcomes is a method and a seed, with the score of the reply to each test text. A run that has
finished is read, another one resumed; experts that are there are not made again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs import adapters, compared, methods_parser, write_lines

from pyswarmopt_llm import TrainingOptions, resolve_base, train_expert
from pyswarmopt_llm.scores.tasks import Item

BASE = "embedded:smollm2-135m"
NEW_TOKENS = 72
CITIES = "Oslo Lima Accra Kyoto Porto Riga Quito Turin Cairo Leeds Bergen Graz".split()
PEOPLE = "Maria Ali Chen Ingrid Kofi Lucia Omar Petra Ravi Sven Tara Yuki".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NUMBERS = "two three four five six seven eight nine".split()


@dataclass(frozen=True)
class Domain:
    """What is written about: field -> its values, and what is said of it, in any order."""

    noun: str
    values: Mapping[str, Sequence[str]]
    phrases: Mapping[str, Sequence[str]]


DOMAINS: Mapping[str, Domain] = {
    "orders": Domain(
        "order",
        {
            "name": PEOPLE,
            "city": CITIES,
            "item": "lamp chair kettle bicycle mirror blanket camera ladder basket clock".split(),
            "colour": "blue red green black white yellow grey brown".split(),
            "count": NUMBERS,
            "day": DAYS,
        },
        {
            "name": ("it is for {}", "the customer is called {}", "{} wants it"),
            "city": ("send it to {}", "the address is in {}", "it goes to {}"),
            "item": ("please order a {}", "the article is a {}", "we need a {}"),
            "colour": ("it should be {}", "the {} one", "make it {}"),
            "count": ("{} of them", "the quantity is {}", "{} pieces"),
            "day": ("by {}", "not later than {}", "it has to be there on {}"),
        },
    ),
    "trips": Domain(
        "trip",
        {
            "traveller": PEOPLE,
            "from": CITIES,
            "to": "Dublin Geneva Hanoi Izmir Malaga Nice Osaka Perth Seoul Tunis".split(),
            "by": "train ferry bus plane bicycle tram".split(),
            "day": DAYS,
            "seats": NUMBERS,
        },
        {
            "traveller": ("{} is going", "book it for {}", "the ticket is for {}"),
            "from": ("it starts in {}", "leaving {}", "the first stop is {}"),
            "to": ("it ends in {}", "the way leads to {}", "arriving in {}"),
            "by": ("the {} is best", "go by {}", "a {} will do"),
            "day": ("on {}", "{} would suit", "it has to be {}"),
            "seats": ("{} seats", "room for {}", "there are {} of us"),
        },
    ),
    "visits": Domain(
        "visit",
        {
            "patient": PEOPLE,
            "doctor": "Abel Brandt Costa Dubois Eriksen Fuchs Garcia Hansen Ito Jansen".split(),
            "for": "fever cough headache rash backache toothache earache cramp".split(),
            "hour": NUMBERS,
            "day": DAYS,
            "room": "Amber Birch Cedar Daisy Elm Fern Ginger Hazel".split(),
        },
        {
            "patient": ("{} has called", "it is for {}", "{} will come"),
            "doctor": ("with Dr {}", "ask for Dr {}", "Dr {} has time"),
            "for": ("because of a {}", "it is about a {}", "the trouble is a {}"),
            "hour": ("at {} o'clock", "{} o'clock is free", "not before {}"),
            "day": ("on {}", "{} is fine", "it was moved to {}"),
            "room": ("room {}", "wait in {}", "the door says {}"),
        },
    ),
    "loans": Domain(
        "loan",
        {
            "reader": PEOPLE,
            "topic": "chess birds trains opera bread stars rivers maps coins knots".split(),
            "kind": "book film map game record magazine".split(),
            "weeks": NUMBERS,
            "branch": CITIES,
            "shelf": "amber blue copper dark emerald fawn green hazel".split(),
        },
        {
            "reader": ("{} takes it", "the card belongs to {}", "lent to {}"),
            "topic": ("it is about {}", "the subject is {}", "all on {}"),
            "kind": ("this is a {}", "a {} again", "one {}"),
            "weeks": ("for {} weeks", "{} weeks at most", "due after {} weeks"),
            "branch": ("from the {} branch", "our house in {}", "back to {}"),
            "shelf": ("the {} shelf", "from the {} rack", "shelved under {}"),
        },
    ),
}
PAIRS = {"who": ("name", "city"), "what": ("item", "colour"), "when": ("count", "day")}
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


def written(
    domain: Domain, fields: Sequence[str], told: Sequence[str], rng: random.Random
) -> tuple[str, str]:
    """A prompt that asks for these fields of a text that tells those, and their JSON object."""
    values = {name: rng.choice(domain.values[name]) for name in told}
    parts = [rng.choice(domain.phrases[name]).format(value) for name, value in values.items()]
    rng.shuffle(parts)
    text = ", ".join(parts)
    request = f"{domain.noun.capitalize()}: {text[0].upper()}{text[1:]}."
    prompt = f"Write this {domain.noun} as a JSON object with {', '.join(fields)}. {request}"
    return prompt, json.dumps({name: values[name] for name in fields})


def distinct(
    domain: Domain, fields: Sequence[str], told: Sequence[str], seed: int, count: int
) -> Iterator[tuple[str, str]]:
    """So many prompts and objects, none twice."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        prompt, answer = written(domain, fields, told, rng)
        if prompt not in seen:
            seen.add(prompt)
            yield prompt, answer


def write_task(file: Path, domain: Domain, dev: int, test: int) -> None:
    """Texts of which all fields are asked for."""
    fields = tuple(domain.values)
    items = [
        {"id": str(number), "question": question, "answer": answer}
        for number, (question, answer) in enumerate(distinct(domain, fields, fields, 0, dev + test))
    ]
    file.write_text(json.dumps({"dev": items[:dev], "test": items[dev:]}), encoding="utf-8")


def make_experts(
    folder: Path, domain: Domain, experts: Mapping[str, Sequence[str]], texts: int, threads: int
) -> None:
    """Train the experts that are not there yet, each on so many prompts for its fields.

    An expert of one field reads texts that tell all of them, an expert of two texts with these.
    """
    base = resolve_base(BASE)
    for seed, (name, fields) in enumerate(experts.items(), start=1):
        if (folder / name).exists():
            continue
        told = fields if len(fields) > 1 else tuple(domain.values)
        chats = [
            {
                "messages": [
                    {"role": "user", "content": prompt},
                    {"role": "assistant", "content": answer},
                ]
            }
            for prompt, answer in distinct(domain, fields, told, seed, texts)
        ]
        result = train_expert(
            base,
            chats,
            folder / name,
            TrainingOptions(**TRAINING, threads=threads),
            data=f"{domain.noun}s with {' and '.join(fields)}",
        )
        print(
            name, f"{result.heldout_loss_base:.3f} to {result.heldout_loss_expert:.3f}", flush=True
        )


def main() -> None:
    arguments = methods_parser(__doc__)
    arguments.add_argument("--domain", default="orders", choices=DOMAINS)
    arguments.add_argument("--one-each", action="store_true", help="an expert for each field")
    arguments.add_argument("--texts", type=int, default=120, help="that an expert is trained on")
    arguments.add_argument("--dev", type=int, default=50)
    arguments.add_argument("--test", type=int, default=150)
    arguments.add_argument(
        "--proposals", type=int, default=34, help="of the default; six candidates come first"
    )
    options = arguments.parse_args()
    domain = DOMAINS[options.domain]
    if not options.one_each and options.domain != "orders":
        arguments.error("--domain goes with --one-each: pairs of fields are of orders")
    experts = {name: (name,) for name in domain.values} if options.one_each else PAIRS
    options.out.mkdir(parents=True, exist_ok=True)
    task = options.out / f"{options.domain}.json"
    write_task(task, domain, options.dev, options.test)
    make_experts(options.out / "experts", domain, experts, options.texts, options.threads)
    lines = compared(
        options,
        options.domain if options.one_each else "structured",
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
