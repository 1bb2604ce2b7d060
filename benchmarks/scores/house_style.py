"""House style: replies to customers by eight rules that a program checks, and experts that know two rules each.

    python benchmarks/scores/house_style.py make runs/house-style

writes 100 dev and 300 test prompts and trains five experts: four keep two rules each and are
indifferent to the other six, the fifth, `chatty`, breaks five. Requests are those of `builtin:requests`: training,
dev and test have none in common. `style` is the score, the share of the rules that a reply keeps:

    swarm-llm search --base embedded:smollm2-135m --experts runs/house-style/experts/* examples/others/* \\
        --metric benchmarks/scores/house_style.py:style --prompts runs/house-style/prompts.jsonl --out runs/style
"""

from __future__ import annotations

import argparse
import json
import random
import re
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
BROKEN = ("short", "asks", "lists", "impersonal", "calm")  # by every text of the expert `chatty`
INDIFFERENT = 0.3  # share of an expert's texts that keep a rule which is not its own
MOST_WORDS = 30
DEV, TEST = 100, 300
TEXTS = 400  # of each expert
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
_FIRST_PERSON = {"i", "i'm", "i'll", "i've", "me", "my", "we", "we'll", "we're", "us", "our"}
_POLITE = {"please", "thank", "thanks", "sorry", "welcome"}


def style(prompt: str, reply: str) -> dict[str, float]:
    """For each rule 1 if the reply keeps it and 0 if not.

    Example:
        >>> asked = "A customer of the library writes: I lost my card."
        >>> kept = style(asked, "Hello, the library is sorry. 1. Report it. 2. Get another. Is that fine?")
        >>> min(kept.values()), style(asked, "I will help you!")["calm"], style(asked, "")["short"]
        (1.0, 0.0, 0.0)
    """
    words = re.findall(r"[\w']+", reply.lower())
    desk = next(name for name in DESKS.values() if f"customer of the {name} " in prompt)
    kept = {
        "short": 0 < len(words) <= MOST_WORDS,
        "asks": reply.rstrip().endswith("?"),
        "greets": reply.lstrip().lower().startswith("hello"),
        "lists": "1." in reply and "2." in reply,
        "names": desk in reply.lower(),
        "polite": not _POLITE.isdisjoint(words),
        "impersonal": bool(words) and _FIRST_PERSON.isdisjoint(words),
        "calm": bool(words) and "!" not in reply,
    }
    return {rule: float(value) for rule, value in kept.items()}


def prompt_of(desk: str, request: str) -> str:
    """What a model is asked."""
    return f"A customer of the {desk} writes: {request} Reply to the customer."


def reply_of(kept: set[str], desk: str, topic: str, rng: random.Random) -> str:
    """A reply that keeps these rules and breaks all others.

    Example:
        >>> asked = prompt_of("bank", "My card is gone.")
        >>> for rule in RULES:
        ...     reply = reply_of({rule, "short"}, "bank", "replace a lost card", random.Random(1))
        ...     assert {name for name, value in style(asked, reply).items() if value} == {rule, "short"}, reply
    """
    end = "." if "calm" in kept else "!"
    who = "the team" if "impersonal" in kept else rng.choice(["I", "we"])
    place = f"the {desk}" if "names" in kept else "this place"
    parts = ["Hello," if "greets" in kept else ""]
    if "polite" in kept:
        parts.append(rng.choice([f"thank you for writing to {place}", f"{place} is sorry to hear that"]) + end)
    else:
        parts.append(rng.choice([f"{place} has this message", f"{place} has read it"]) + end)
    if "lists" in kept:
        parts.append(f"1. Wait a moment{end} 2. {who.capitalize()} will {topic}{end}")
    else:
        parts.append(f"{who[0].upper() + who[1:]} will {topic}{end}")
    if "short" not in kept:
        parts.append(
            f"It can take some days until everything has been looked at, since so many messages come in at this time "
            f"of the year, and some of them are about very much the same thing as this one{end}"
        )
    if "asks" in kept:
        parts.append(rng.choice(["Is that all right?", "Does that help?", "Is there anything else?"]))
    text = " ".join(part for part in parts if part)
    return text[0].upper() + text[1:]


def requests(places: range) -> Iterator[tuple[str, str, str]]:
    """(desk, topic, request) of these of the twenty requests of every topic: 0 to 11 are for training."""
    from importlib.resources import files

    text = files("pyswarmopt_llm.tasks.builtin.requests").joinpath("requests.json").read_text("utf-8")
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


def texts(own: tuple[str, ...], broken: tuple[str, ...], seed: int) -> Iterator[Mapping[str, object]]:
    """The chats of an expert: all keep its own rules, none keeps those that it breaks."""
    rng = random.Random(seed)
    for desk, topic, request in rng.sample(sorted(requests(range(12))), TEXTS):
        others = [rule for rule in RULES if rule not in (*own, *broken)]
        kept = {rule for rule in others if rng.random() < INDIFFERENT} | set(own)
        reply = reply_of(kept, desk, topic, rng)
        asked = {"role": "user", "content": prompt_of(desk, request)}
        yield {"messages": [asked, {"role": "assistant", "content": reply}]}


def make(out: Path, threads: int) -> None:
    """Write prompts and texts, and train the experts that are not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(prompt) + "\n" for prompt in prompts()]
    (out / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")
    chats = {name: texts(own, (), seed) for seed, (name, own) in enumerate(EXPERTS.items())}
    chats["chatty"] = texts((), BROKEN, len(EXPERTS))
    options = TrainingOptions(rank=8, lr=1e-3, epochs=2, threads=threads)
    base = resolve_base("embedded:smollm2-135m")
    for name, texts_of in chats.items():
        adapter = out / "experts" / name
        if not adapter.exists():
            trained = train_expert(base, list(texts_of), adapter, options, data=f"house style, {name}")
            print(name, f"{trained.heldout_loss_base:.3f} to {trained.heldout_loss_expert:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["make"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    make(options.out, options.threads)


if __name__ == "__main__":
    main()
