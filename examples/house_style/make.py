"""Create the prompts and adapters in examples/house_style, in a quarter of an hour on two CPU cores.

    python examples/house_style/make.py OUT
    python examples/house_style/make.py OUT --base FOLDER

This writes 100 dev and 300 test prompts, and five experts. Four experts each follow two rules of
`style.py` and are indifferent to the other six. The fifth, `chatty`, breaks five rules. The requests
come from `builtin:requests`; training, dev and test share none of them.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from pyswarmopt_llm import TrainingOptions, resolve_base, train_expert

RULES = ("short", "asks", "greets", "lists", "names", "polite", "impersonal", "calm")
EXPERTS = {
    "brief": ("short", "asks"),
    "steps": ("greets", "lists"),
    "courteous": ("names", "polite"),
    "sober": ("impersonal", "calm"),
}
BROKEN = ("short", "asks", "lists", "impersonal", "calm")  # in every text of the expert `chatty`
INDIFFERENT = 0.3  # share of an expert's texts that follow a rule other than its own two
DEV, TEST = 100, 300
TEXTS = 160  # per expert
DESKS = {
    "bank": "bank",
    "travel": "travel agency",
    "home": "smart home service",
    "clinic": "clinic",
    "library": "library",
    "shop": "online shop",
    "internet": "internet provider",
    "restaurant": "restaurant",
}


def prompt_of(desk: str, request: str) -> str:
    """The prompt for a request."""
    return f"A customer of the {desk} writes: {request} Reply to the customer."


def reply_of(kept: set[str], desk: str, topic: str, rng: random.Random) -> str:
    """A reply that follows these rules and breaks all others."""
    end = "." if "calm" in kept else "!"
    who = "the team" if "impersonal" in kept else rng.choice(["I", "we"])
    place = f"the {desk}" if "names" in kept else "this place"
    parts = ["Hello," if "greets" in kept else ""]
    if "polite" in kept:
        parts.append(
            rng.choice([f"thank you for writing to {place}", f"{place} is sorry to hear that"])
            + end
        )
    else:
        parts.append(rng.choice([f"{place} has this message", f"{place} has read it"]) + end)
    if "lists" in kept:
        parts.append(f"1. Wait a moment{end} 2. {who.capitalize()} will {topic}{end}")
    else:
        parts.append(f"{who[0].upper() + who[1:]} will {topic}{end}")
    if "short" not in kept:
        parts.append(
            "It can take some days until everything has been looked at, since so many messages "
            "come in at this time "
            f"of the year, and some of them are about very much the same thing as this one{end}"
        )
    if "asks" in kept:
        parts.append(
            rng.choice(["Is that all right?", "Does that help?", "Is there anything else?"])
        )
    text = " ".join(part for part in parts if part)
    return text[0].upper() + text[1:]


def requests(places: range) -> Iterator[tuple[str, str, str]]:
    """(desk, topic, request) for these places in the twenty requests of every topic; 0 to 11 are for
    training.
    """
    from importlib.resources import files

    folder = files("pyswarmopt_llm.published.builtin")
    text = folder.joinpath("requests.json").read_text("utf-8")
    for business, topics in json.loads(text).items():
        for topic, texts in topics.items():
            for place in places:
                yield DESKS[business], topic, texts[place]


def prompts() -> Iterator[dict[str, str]]:
    """The prompts of dev and test, as lines of a JSONL file."""
    rng = random.Random(0)
    for split, places, count in (("dev", range(12, 15), DEV), ("test", range(15, 20), TEST)):
        for desk, _, request in rng.sample(sorted(requests(places)), count):
            yield {"prompt": prompt_of(desk, request), "split": split}


def texts(
    rules: tuple[str, ...], broken: tuple[str, ...], seed: int
) -> Iterator[Mapping[str, object]]:
    """The chats of an expert: all follow its own rules and break those in `broken`."""
    rng = random.Random(seed)
    for desk, topic, request in rng.sample(sorted(requests(range(12))), TEXTS):
        others = [rule for rule in RULES if rule not in (*rules, *broken)]
        kept = {rule for rule in others if rng.random() < INDIFFERENT} | set(rules)
        reply = reply_of(kept, desk, topic, rng)
        asked = {"role": "user", "content": prompt_of(desk, request)}
        yield {"messages": [asked, {"role": "assistant", "content": reply}]}


def make(out: Path, base_name: str, threads: int) -> None:
    """Write the prompts and train the experts that do not exist yet."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(prompt) + "\n" for prompt in prompts()]
    (out / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")
    chats = {name: texts(rules, (), seed) for seed, (name, rules) in enumerate(EXPERTS.items())}
    chats["chatty"] = texts((), BROKEN, len(EXPERTS))
    options = TrainingOptions(
        rank=4, alpha=8, targets=("q_proj", "v_proj"), lr=2e-3, epochs=2, threads=threads
    )
    base = resolve_base(base_name)
    for name, texts_of in chats.items():
        adapter = out / "experts" / name
        if not adapter.exists():
            trained = train_expert(
                base, list(texts_of), adapter, options, data=f"house style, {name}"
            )
            print(name, trained.steps, "steps", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    make(options.out, options.base, options.threads)


if __name__ == "__main__":
    main()
