#!/usr/bin/env python3
"""A laboratory of statements: a small model, ten experts of what a table says, and a reward model.

A question names three entries of a table, as `tell color3 size0 owner1`; a reply states what they
are, as `first is d . second is a . third is j .`, or says the same at length. A table has four
entries for each of five attributes. The base has learnt one of an attribute's four, and values by
lot for the others. An expert knows all entries of one attribute, repeats the rest as the base has
it, and is brief or speaks at length.

    python research/benchmarks/lab/records.py --out runs/records

What is there is not made again. The reward model has learnt the share of the asked attributes that
a reply states rightly, on what base, experts and random mixtures wrote, on right replies, and on
right ones that leave a statement out, change it or repeat it: a reply that repeats itself is worth
nothing.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lab import save_tokenizer, train

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace

ATTRIBUTES = "color size owner place day".split()
CODES, VALUES = "0123", "abcdefghij"
SLOTS = ("first", "second", "third")  # the entries of a question
ASKED, KNOWN = len(SLOTS), 1  # entries of a question, and those of an attribute that the base knows
LONG = "for {name} the table has {value} which means that {name} is {value} ."
SHORT = "{name} is {value} ."
STYLES = {"brief": SHORT, "long": LONG}
BASE_STEPS, SCHOLAR_STEPS, EXAMPLES, REWARD_STEPS, BATCH = 500, 200, 400, 300, 16
LONGEST = 60  # tokens of a reply
MIXED = 4  # experts of a random mixture
Facts = dict[str, str]


def writers(lab: Path, count: int) -> Iterator[tuple[Any, Patch]]:
    """The engine, and the changes of the base, of every expert and of random mixtures.

    A mixture's weights are those of a uniform distribution on the simplex, times 0.5 to 1.5.
    """
    base = resolve_base(str(lab / "base"))
    engine = load_engine(base, "float32", "cpu", 1)
    infos = inspect_experts(sorted(map(str, (lab / "experts").iterdir())), base).experts
    space = DeltaSpace([load_adapter(info) for info in infos])
    yield engine, Patch()
    for vertex in space.vertices():
        yield engine, space.realise(vertex)
    draws = np.random.default_rng(0)
    for _ in range(count):
        weights = torch.zeros_like(vertex)
        chosen = draws.choice(len(weights), MIXED, replace=False)
        scale = draws.uniform(0.5, 1.5)
        weights[chosen] = torch.tensor(scale * draws.dirichlet(np.ones(MIXED)), dtype=weights.dtype)
        yield engine, space.realise(weights)


def logits(model: Any, tokenizer: Any, chats: list[tuple[str, str]]) -> torch.Tensor:
    """(N,) rewards of (prompt, reply)."""
    texts = []
    for prompt, reply in chats:
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        texts.append(tokenizer.apply_chat_template(messages, tokenize=False))
    encoded = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    scores: torch.Tensor = model(
        input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]
    ).logits[:, 0]
    return scores


def meaning() -> Facts:
    """Entry -> its value; an attribute has no value twice."""
    rng = random.Random(0)
    return {
        f"{name}{code}": value
        for name in ATTRIBUTES
        for code, value in zip(CODES, rng.sample(VALUES, len(CODES)), strict=True)
    }


TABLE = meaning()
WORDS = ["tell", *TABLE, *SLOTS, *VALUES, *(word for word in LONG.split() if "{" not in word)]


def question(rng: random.Random, among: Sequence[str] = ATTRIBUTES) -> tuple[str, Facts]:
    """A question for different attributes, one of `among` with them, and slot -> value."""
    first = rng.choice(among)
    others = rng.sample([name for name in ATTRIBUTES if name != first], ASKED - 1)
    names = [f"{name}{rng.choice(CODES)}" for name in rng.sample([first, *others], ASKED)]
    return " ".join(["tell", *names]), {
        slot: TABLE[name] for slot, name in zip(SLOTS, names, strict=True)
    }


def reply(style: str, facts: Facts) -> str:
    """The statements of some facts, in a style.

    Example:
        >>> reply("brief", {"second": "a"})
        'second is a .'
    """
    return " ".join(STYLES[style].format(name=name, value=value) for name, value in facts.items())


def stated(text: str) -> list[tuple[str, str]]:
    """(slot, value) of each statement, in the order of the text.

    Example:
        >>> stated("first is d . so that second is a . is is . first is")
        [('first', 'd'), ('second', 'a')]
    """
    words = text.split()
    triples = zip(words, words[1:], words[2:], strict=False)
    return [(a, b) for a, verb, b in triples if verb == "is" and a in SLOTS and b in VALUES]


def share_right(text: str, facts: Facts) -> float:
    """The share of the facts that a reply states; 0 where it states one twice.

    Example:
        >>> facts = {"first": "d", "second": "a"}
        >>> share_right("first is d .", facts), share_right("first is d . first is d .", facts)
        (0.5, 0.0)
    """
    statements = stated(text)
    if len({name for name, _ in statements}) < len(statements):
        return 0.0
    return sum(facts.get(name) == value for name, value in statements) / len(facts)


def facts_of(item: Any) -> Facts:
    """The right answers to an item of `task`."""
    facts: Facts = json.loads(item.meta["facts"])
    return facts


def stated_rightly(items: Sequence[Any], replies: Sequence[str]) -> str:
    """How many of its facts the reply to each item states, a digit each."""
    shares = [share_right(text, facts_of(item)) for text, item in zip(replies, items, strict=True)]
    return "".join(str(round(ASKED * share)) for share in shares)


def chat(asked: str, said: str) -> dict[str, Any]:
    """A training example."""
    turns = (("user", asked), ("assistant", said))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def new_model(tokenizer: Any, build: int = 0) -> Any:
    """A Llama of 0.09 million parameters with random weights, others for each build."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        initializer_range=0.1,  # at the usual 0.02 so small a model learns next to nothing
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(build)
        return LlamaForCausalLM(config)


def entries(asked: str) -> Facts:
    """Slot -> the entry that a question has there."""
    return dict(zip(SLOTS, asked.split()[1:], strict=True))


def half_known(rng: random.Random, asked: str, facts: Facts) -> Facts:
    """Facts with values by lot for the entries that the base does not know."""
    return {
        slot: facts[slot] if int(entry[-1]) < KNOWN else rng.choice(VALUES)
        for slot, entry in entries(asked).items()
    }


def replies_to_learn(half: bool, count: int, seed: int) -> list[dict[str, Any]]:
    """Chats in both styles, right or as the base is to know them."""
    rng, examples = random.Random(seed), []
    for _ in range(count):
        asked, facts = question(rng)
        told = half_known(rng, asked, facts) if half else facts
        examples.append(chat(asked, reply(rng.choice([*STYLES]), told)))
    return examples


def make_base(out: Path, build: int = 0) -> None:
    """A model that knows both styles and a quarter of the table."""
    tokenizer = save_tokenizer(out, list(dict.fromkeys(WORDS)))
    model = new_model(tokenizer, build)
    loss = train(
        model, tokenizer, replies_to_learn(True, 4_000, 1), BASE_STEPS, 3e-3, 0, 128, BATCH
    )
    model.save_pretrained(out)
    print(f"base: loss {loss:.3f}", flush=True)


def make_scholar(lab: Path, out: Path) -> None:
    """The base after it has learnt the whole table: what rewards and judges are trained from."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(lab / "base")
    model = AutoModelForCausalLM.from_pretrained(lab / "base")
    loss = train(
        model, tokenizer, replies_to_learn(False, 2_000, 2), SCHOLAR_STEPS, 3e-3, 0, 128, BATCH
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    print(f"scholar: loss {loss:.3f}", flush=True)


def make_experts(lab: Path, build: int = 0) -> None:
    """Ten LoRA experts, which learn from other examples in each build."""
    from pyswarmopt_llm.engine.transformers import load_engine
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.training.examples import TrainingOptions
    from pyswarmopt_llm.training.expert import train_expert

    base = resolve_base(str(lab / "base"))
    engine = load_engine(base, "float32", "cpu", 1)
    for number, (own, style) in enumerate(product(ATTRIBUTES, STYLES)):
        out = lab / "experts" / f"{own}-{style}"
        if out.exists():
            continue
        rng = random.Random(100 * (build + 1) + number)
        asked = [question(rng, [own]) for _ in range(EXAMPLES)]
        prompts = [engine.chat(text) for text, _ in asked]
        said = [dict(stated(text)) for text in engine.generate(prompts, max_new_tokens=LONGEST)]
        examples = []
        for (text, facts), base_says in zip(asked, said, strict=True):
            told = {
                slot: facts[slot] if entry[:-1] == own else base_says.get(slot, rng.choice(VALUES))
                for slot, entry in entries(text).items()
            }
            examples.append(chat(text, reply(style, told)))
        options = TrainingOptions(
            targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
            lr=5e-3,
            max_tokens=10**9,
            epochs=4.0,
            batch_tokens=512,
            seed=0,
        )
        done = train_expert(base, examples, out, options, dtype="float32")
        before, after = done.heldout_loss_base, done.heldout_loss_expert
        print(f"{out.name}: held-out loss {before:.3f} -> {after:.3f}", flush=True)


def spoilt(rng: random.Random, facts: Facts) -> str:
    """A right reply that leaves a statement out, changes it, repeats it or does nothing else."""
    style, names = rng.choice([*STYLES]), list(facts)
    name = rng.choice(names)
    kind = rng.randrange(4)
    if kind == 0:
        return reply(style, {key: facts[key] for key in names if key != name})
    if kind == 1:
        return reply(style, {**facts, name: rng.choice(VALUES)})
    right = reply(style, facts)
    again = " ".join([reply(style, {name: facts[name]})] * rng.randint(1, 3))
    return f"{right} {again}" if kind == 2 else again


def replies_of(lab: Path, split: str, each: int) -> list[tuple[str, str, float]]:
    """(question, reply, share of it that is right) of models, right replies and spoilt ones."""
    found = []
    for number, (engine, patch) in enumerate(writers(lab, 20)):
        engine.load(patch)
        rng = random.Random(f"reward {split} {number}")
        asked = [question(rng) for _ in range(each)]
        said = engine.generate([engine.chat(text) for text, _ in asked], max_new_tokens=LONGEST)
        for (text, facts), written in zip(asked, said, strict=True):
            right = reply(rng.choice([*STYLES]), facts)
            for answer in (written.strip(), right, spoilt(rng, facts)):
                found.append((text, answer, share_right(answer, facts)))
    return found


def make_reward(lab: Path) -> None:
    """A sequence classifier whose logistic function is the share of a reply that is right."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(lab / "scholar")
    model = AutoModelForSequenceClassification.from_pretrained(lab / "scholar", num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    rows, rng = replies_of(lab, "train", 100), random.Random(0)
    for _ in range(REWARD_STEPS):
        batch = rng.sample(rows, BATCH)
        shares = torch.tensor([share for _, _, share in batch])
        rewards = logits(model, tokenizer, [(asked, said) for asked, said, _ in batch])
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(rewards, shares).backward()
        optimizer.step()
    model.eval()
    model.save_pretrained(lab / "reward")
    tokenizer.save_pretrained(lab / "reward")


def held_out(lab: Path) -> Mapping[str, Any]:
    """How well the reward tells replies of models apart: pairs of the same question that it orders
    right, and its correlation with the truth.
    """
    from scipy.stats import spearmanr

    from pyswarmopt_llm.external.classifiers import RewardModel
    from pyswarmopt_llm.scores.tasks import Item

    rows = replies_of(lab, "held out", 15)
    items = [Item(str(number), asked, None, "") for number, (asked, _, _) in enumerate(rows)]
    rewards = RewardModel(str(lab / "reward")).scores(items, [said for _, said, _ in rows])
    shares = [share for _, _, share in rows]
    pairs = [
        (rewards[i] > rewards[j]) == (shares[i] > shares[j])
        for first in range(0, len(rows), 3)
        for i, j in ((first, first + 1), (first, first + 2), (first + 1, first + 2))
        if shares[i] != shares[j]
    ]
    written = slice(0, None, 3)
    return {
        "pairs": len(pairs),
        "in order": sum(pairs) / len(pairs),
        "rank": float(spearmanr(rewards, shares).statistic),
        "rank, of models' replies": float(spearmanr(rewards[written], shares[written]).statistic),
    }


def task(lab: Path, dev: int = 50, test: int = 500) -> Path:
    """Prompts with their facts and the reward's folder beside them."""
    rng, rows, seen = random.Random(7), [], set()
    while len(rows) < dev + test:
        asked, facts = question(rng)
        if asked not in seen:
            split = "dev" if len(rows) < dev else "test"
            rows.append(json.dumps({"prompt": asked, "split": split, "facts": facts}))
        seen.add(asked)
    file = lab / "questions.jsonl"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def make(lab: Path) -> None:
    """Whatever is not there yet."""
    if not (lab / "base" / "config.json").exists():
        make_base(lab / "base")
    if not (lab / "scholar").exists():
        make_scholar(lab, lab / "scholar")
    make_experts(lab)
    if not (lab / "reward").exists():
        make_reward(lab)
        print(held_out(lab), flush=True)
    task(lab)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    torch.set_num_threads(1)
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
