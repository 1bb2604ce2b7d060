"""Federated averaging: clients train one adapter together and keep their texts.

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/lab/federated.py runs/records --out runs/federated \\
        --outcomes research/evidence/federated.jsonl

McMahan et al. 2017 (arXiv 1602.05629), algorithm 1: in each round every chosen client starts from the
server's weights, goes through its own texts E times in batches of B, and the server takes the mean of
their weights, each client's by the number of its texts. The weights are here the two factors of a LoRA
adapter of the laboratory of statements, averaged one by one (as Zhang et al. 2024, arXiv 2305.05644, do), and a
client steps by Adam in place of plain descent. Each of five clients knows one attribute of the table and says of
the others what the base might say, anything; they have 60 to 360 texts. Four rounds of two passes. Beside it: the
mean of all clients alike; one round of eight passes; each client's adapter alone; all texts in one place, as
long; and a search by 100 labels among the clients' adapters (one seed), which trains nothing. A line is a
method and a seed, with 1 for each of 500 questions of which the right reply is the likeliest of four.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import records
import torch
from chats import ChatTokens, encode_chat
from frozen import LONGEST, correct, loss, share
from systems import searched
from torch import Tensor

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.common.files.append_log import AppendLog

CLIENTS: Mapping[str, int] = dict(zip(records.ATTRIBUTES, (60, 120, 180, 240, 360), strict=True))
ROUNDS, PASSES, BATCH, RATE, DEV, TEST = 4, 2, 30, 5e-3, 100, 500
QUESTION, SEARCH = "{question}", "search among the clients' adapters"
Weights = Mapping[str, Tensor]
Update = Callable[[Weights, int, int], Weights]
"""The server's weights, a client and a round -> the client's weights."""


def mean_of(clients: Sequence[Weights], counts: Sequence[float]) -> dict[str, Tensor]:
    """The mean of weights, each client's by its count.

    Example:
        >>> mean_of([{"w": torch.tensor(0.0)}, {"w": torch.tensor(4.0)}], [1, 3])
        {'w': tensor(3.)}
    """
    total = sum(counts)
    return {
        name: sum((n / total) * of[name] for n, of in zip(counts, clients, strict=True))
        for name in clients[0]
    }


def federated(
    start: Weights,
    update: Update,
    counts: Sequence[float],
    rounds: int,
    fraction: float = 1.0,
    seed: int = 0,
) -> Weights:
    """Algorithm 1 of McMahan et al.

    Args:
        start: the server's first weights.
        update: what a client does in a round.
        counts: examples of each client.
        rounds: of the server.
        fraction: of the clients that take part in a round, drawn anew in each.
        seed: of these draws.
    """
    draws, weights = random.Random(seed), start
    size = max(round(fraction * len(counts)), 1)
    for number in range(rounds):
        chosen = sorted(draws.sample(range(len(counts)), size))
        updated = [update(weights, client, number) for client in chosen]
        weights = mean_of(updated, [counts[client] for client in chosen])
    return weights


class Learner:
    """A base with a LoRA adapter whose factors are put in, trained and taken out.

    Args:
        base: folder of a model.
        seed: of the adapter's first factors, and the order of texts.
    """

    def __init__(self, base: Path, seed: int) -> None:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(base)
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        torch.manual_seed(seed)
        config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
        self.model, self.seed = get_peft_model(plain, config).eval(), seed
        self._factors = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self.start = self._taken()

    def _taken(self) -> Weights:
        return {name: value.detach().clone() for name, value in self._factors.items()}

    def put(self, weights: Weights) -> None:
        """The factors from now on."""
        with torch.no_grad():
            for name, value in self._factors.items():
                value.copy_(weights[name])

    def logits(self, inputs: Any) -> Tensor:
        """Of the model with its factors."""
        found: Tensor = self.model(**inputs).logits
        return found

    def trained(
        self, weights: Weights, texts: Sequence[ChatTokens], passes: int, seed: str
    ) -> Weights:
        """The factors after passes over texts, from given ones."""
        self.put(weights)
        rng, optimizer = random.Random(seed), torch.optim.Adam(self._factors.values(), lr=RATE)
        for batch in batches(texts, passes, rng):
            optimizer.zero_grad()
            loss(self.logits, batch, self.tokenizer.pad_token_id).backward()
            optimizer.step()
        return self._taken()

    def encoded(self, attribute: str, count: int) -> list[ChatTokens]:
        """Texts of a client."""
        return encode_chat(self.tokenizer, client_chats(attribute, count, self.seed), LONGEST)


def client_chats(attribute: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Brief replies to questions for an attribute and two others, of which anything is said."""
    rng, examples = random.Random(f"client {attribute} {seed}"), []
    for _ in range(count):
        asked, facts = records.question(rng, [attribute])
        entries = records.entries(asked)
        told = {
            slot: facts[slot] if entry[:-1] == attribute else rng.choice(records.VALUES)
            for slot, entry in entries.items()
        }
        examples.append(records.chat(asked, records.reply("brief", told)))
    return examples


def items(count: int) -> list[dict[str, Any]]:
    """Different questions, each with the right brief reply and three of which one value is another."""
    rng, found = random.Random("items"), {}
    while len(found) < count:
        asked, facts = records.question(rng)
        replies = {records.reply("brief", facts)}
        while len(replies) < 4:
            other = {**facts, rng.choice(records.SLOTS): rng.choice(records.VALUES)}
            replies.add(records.reply("brief", other))
        options = sorted(replies)
        rng.shuffle(options)
        letter = "ABCD"[options.index(records.reply("brief", facts))]
        choices = dict(zip("ABCD", options, strict=True))
        found[asked] = {"id": asked, "question": asked, "choices": choices, "answer": letter}
    return list(found.values())


def batches(
    texts: Sequence[ChatTokens], passes: int, rng: random.Random
) -> Iterable[Sequence[ChatTokens]]:
    """Each text once a pass, in an order by lot."""
    for _ in range(passes):
        order = rng.sample(list(texts), len(texts))
        for start in range(0, len(order), BATCH):
            yield order[start : start + BATCH]


def methods(lab: Path, out: Path, seed: int, done: set[str]) -> Iterator[tuple[str, str]]:
    """Method and answers."""
    learner = Learner(lab / "base", seed)
    counts, names = list(CLIENTS.values()), list(CLIENTS)
    texts = [learner.encoded(name, count) for name, count in CLIENTS.items()]
    test = items(TEST)

    def local(passes: int) -> Update:
        return lambda weights, client, number: learner.trained(
            weights, texts[client], passes, f"{seed} {client} {number}"
        )

    def asked(weights: Weights) -> str:
        learner.put(weights)
        return correct(learner.logits, learner.tokenizer, test, QUESTION)

    alone = [local(ROUNDS * PASSES)(learner.start, client, 0) for client in range(len(names))]
    together = [text for of_client in texts for text in of_client]
    rounds = partial(federated, learner.start, local(PASSES))
    plans: Mapping[str, Callable[[], Weights]] = {
        "base": lambda: learner.start,
        "federated averaging": lambda: rounds(counts, ROUNDS),
        "clients alike": lambda: rounds([1.0] * len(counts), ROUNDS),
        "one round": lambda: mean_of(alone, counts),
        "all texts in one place": lambda: learner.trained(
            learner.start, together, ROUNDS * PASSES, f"{seed} all"
        ),
    }
    for name, weights in zip(names, alone, strict=True):
        plans[f"client {name} alone"] = lambda weights=weights: weights  # type: ignore[misc]
        learner.put(weights)
        learner.model.save_pretrained(out / "experts" / name)
    for name, make in plans.items():
        if name not in done:
            yield name, asked(make())
    if SEARCH not in done and seed == 0:
        mixture = found(lab, out, test)
        logits = lambda inputs: mixture(**inputs).logits  # noqa: E731
        yield SEARCH, correct(logits, learner.tokenizer, test, QUESTION)


def found(lab: Path, out: Path, test: Sequence[Any]) -> Any:
    """The mixture that a search by labels finds, with its factors."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    file, dev = out / "clients.json", items(TEST + DEV)[TEST:]
    file.write_text(json.dumps({"dev": dev, "test": list(test)}), encoding="utf-8")
    config = SearchConfig(
        base=str(lab / "base"),
        experts=tuple(str(path) for path in sorted((out / "experts").iterdir())),
        tasks=(str(file),),
        out=str(out / "search"),
        template=(QUESTION,),
        scoring="likelihood",
        no_rivals=True,
        train="off",
        max_iter=5,
        dtype="float32",
        threads=1,
    )
    searched(config)
    base = AutoModelForCausalLM.from_pretrained(lab / "base", dtype=torch.float32)
    return PeftModel.from_pretrained(base, str(out / "search" / "best")).eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lab", type=Path, help="folder that records.py made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(options.outcomes)
    rows = log.repaired()
    for seed in options.seeds:
        done = {row["method"] for row in rows if row["seed"] == seed}
        if len(done) >= len(CLIENTS) + 5 + (seed == 0):
            continue
        for method, test in methods(options.lab, options.out / str(seed), seed, done):
            log.append({"method": method, "seed": seed, "test": test})
            print(seed, method, f"{share(test):.3f}", flush=True)


if __name__ == "__main__":
    main()
