#!/usr/bin/env python3
"""Members of different training objectives, one of them a sequence classifier, against members of one.

A text of eight words has one of six intents: three words are of its intent, the others of any. Four
hundred texts, the same for all, train three kinds of members: a classifier (a BERT of one layer,
cross-entropy of the label, a member as `--members DIR` opens it), a model of texts (naive Bayes:
likelihood of the words of each intent), and a ranker (a linear model of words by the hinge of right
and wrong intents, Crammer and Singer 2001). Rows: each kind alone, `majority`, `weighted` and
`confidence` of the three kinds, and, the control, of three members of each kind, which differ by seed
alone; and all of these with members that were each trained on a bootstrap draw of the texts. 100 dev
and 500 test texts, three draws.

    python research/benchmarks/groups/objectives.py --work runs/objectives \\
        --outcomes research/evidence/objectives.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from talk import line

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.members.protocol import Answer, Member
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import save_tokenizer

INTENTS = ("bill", "card", "loan", "rate", "safe", "loss")
WORDS = [
    f"{a}{b}" for a in "bcdfgklm" for b in ("ab", "em", "ir", "ot", "un", "ax", "el", "ik", "os")
]
OWN = {intent: WORDS[12 * k : 12 * k + 12] for k, intent in enumerate(INTENTS)}
TRAIN, DEV, TEST, TOLD, LENGTH, EPOCHS = 400, 100, 500, 3, 8, 30
KINDS = ("classifier", "model of texts", "ranker")
STRATEGIES = ("majority", "weighted", "confidence")
Pairs = Sequence[tuple[str, str]]
Array = NDArray[np.float64]


def texts(n: int, seed: str) -> list[tuple[str, str]]:
    """Texts and their intents."""
    rng = random.Random(seed)
    drawn = []
    for _ in range(n):
        intent = rng.choice(INTENTS)
        words = rng.choices(OWN[intent], k=TOLD) + rng.choices(WORDS, k=LENGTH - TOLD)
        drawn.append((" ".join(rng.sample(words, LENGTH)), intent))
    return drawn


def items(n: int, seed: str) -> tuple[Item, ...]:
    """Texts with the six intents as options."""
    choices = dict(zip("ABCDEF", INTENTS, strict=True))
    return tuple(
        Item(f"{seed}-{i}", text, choices, "ABCDEF"[INTENTS.index(intent)])
        for i, (text, intent) in enumerate(texts(n, seed))
    )


def counted(some: Sequence[str]) -> Array:
    """How often each word stands in each text."""
    return np.array([[text.split().count(word) for word in WORDS] for text in some], dtype=float)


class Linear(Member):
    """A member whose scores of intents are linear in the words' counts.

    Args:
        name: see `Member`.
        weights: (words, intents).
        bias: (intents,).
    """

    def __init__(self, name: str, weights: Array, bias: Array) -> None:
        super().__init__(name, f"{name} {weights.sum()}")
        self.weights, self.bias = weights, bias

    def answer(
        self, items: Sequence[Item], scoring: Scoring, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        answers = []
        for row in counted([item.question for item in items]) @ self.weights + self.bias:
            scores = dict(zip("ABCDEF", row.tolist(), strict=True))
            answers.append(Answer(max(scores, key=lambda k: scores[k]), LENGTH, scores))
        return answers


def model_of_texts(name: str, pairs: Pairs) -> Linear:
    """Naive Bayes: the logarithm of each word's share in the texts of an intent, one added."""
    counts = counted([text for text, _ in pairs])
    labels = np.array([INTENTS.index(intent) for _, intent in pairs])
    sums = np.array([counts[labels == k].sum(axis=0) + 1 for k in range(len(INTENTS))])
    priors = np.log(np.bincount(labels, minlength=len(INTENTS)) + 1)
    return Linear(name, np.log(sums / sums.sum(axis=1, keepdims=True)).T, priors)


def ranker(name: str, pairs: Pairs, seed: int) -> Linear:
    """The right intent above the best wrong one by 1, by subgradient steps on the hinge."""
    rng = np.random.default_rng(seed)
    counts = counted([text for text, _ in pairs])
    labels = np.array([INTENTS.index(intent) for _, intent in pairs])
    weights = np.zeros((len(WORDS), len(INTENTS)))
    for _ in range(EPOCHS):
        for i in rng.permutation(len(pairs)):
            scores = counts[i] @ weights + 1.0
            scores[labels[i]] -= 1.0
            rival = int(np.argmax(np.where(np.arange(len(INTENTS)) == labels[i], -np.inf, scores)))
            weights *= 1 - 1e-3
            if scores[rival] > scores[labels[i]]:
                weights[:, labels[i]] += 0.05 * counts[i]
                weights[:, rival] -= 0.05 * counts[i]
    return Linear(name, weights, np.zeros(len(INTENTS)))


def make_classifier(folder: Path, pairs: Pairs, seed: int) -> None:
    """A BERT of one layer, trained on the labels."""
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = save_tokenizer(folder, WORDS)
    names = dict(enumerate(INTENTS))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=len(INTENTS),
        id2label=names,
        label2id={name: index for index, name in names.items()},
        max_position_embeddings=32,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
        ids = torch.tensor(tokenizer([text for text, _ in pairs])["input_ids"])
        labels = torch.tensor([INTENTS.index(intent) for _, intent in pairs])
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(pairs)).split(50):
                loss = model(input_ids=ids[batch], labels=labels[batch]).loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    model.save_pretrained(folder)


def group(kinds: Sequence[str], work: Path, seed: int, resampled: bool) -> list[Member]:
    """Members of these kinds; `resampled`: each on a bootstrap draw of the texts."""
    pairs, members = texts(TRAIN, f"train {seed}"), list[Member]()
    for k, kind in enumerate(kinds):
        mine = random.Random(f"{seed} {k}").choices(pairs, k=TRAIN) if resampled else pairs
        name = f"{kind} {k + 1}"
        if kind == "classifier":
            folder = work / f"{seed}-{'resampled' if resampled else 'all'}-{k}"
            make_classifier(folder, mine, k)
            members += open_members([str(folder)], None, dtype="float32", threads=1)
        else:
            made = ranker(name, mine, k) if kind == "ranker" else model_of_texts(name, mine)
            members.append(made)
    return members


def rows(work: Path, seed: int) -> Iterator[dict[str, Any]]:
    """A line for each member alone and each vote of each group."""
    task = Task("intents", items(DEV, f"dev {seed}"), items(TEST, f"test {seed}"), None)
    groups = {"three objectives": group(KINDS, work, seed, False)}
    groups |= {f"three of: {kind}": group([kind] * 3, work, seed, False) for kind in KINDS}
    groups |= {"three objectives, a draw each": group(KINDS, work, seed, True)}
    groups |= {
        f"three of: {kind}, a draw each": group([kind] * 3, work, seed, True) for kind in KINDS
    }
    for name, members in groups.items():
        context = GroupContext(members, task, "likelihood", seed)
        if name == "three objectives":
            for kind, member in zip(KINDS, members, strict=True):
                said = [
                    Verdict(a.text, (), 1.0, a.tokens)
                    for a in member.answer(task.test, "likelihood")
                ]
                yield line(kind, seed, task, said) | {"group": "alone"}
        for strategy in STRATEGIES:
            verdicts = load_strategy(strategy).decide(context, task.test)
            yield line(f"`{strategy}`", seed, task, verdicts) | {"group": name}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of the classifiers")
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = []
    for seed in args.seeds:
        for row in rows(args.work, seed):
            made.append(row)
            print(row["group"], row["method"], seed, row["test"].count("1") / TEST, flush=True)
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
