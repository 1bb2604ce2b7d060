"""A retriever beside a language model: BM25 finds examples that are like a question.

    python research/benchmarks/tokens/retrieval.py --data DATA --out runs/compression \\
        --outcomes research/evidence/retrieval.jsonl

BM25 as in Robertson & Zaragoza 2009 (Foundations and Trends in Information Retrieval 3(4),
doi 10.1561/1500000019), equation 3.15, with the weights of equation 3.2 for words of which nothing is known to be
relevant. Lines of the task `abstracts` are rankings: for each claim of SciFact the rank of its
abstract among all abstracts of the file. Controls: without the weights of words, without the length of
texts, the number of words in common, and a ranking by lot.

Lines of the task `banking`: a small reader of messages (`compression.py`), and a retriever that has the 2,000
messages on which it was trained. Khandelwal et al. 2020 (arXiv 1911.00172, kNN-LM), equations 2 and 3: the
neighbours' answers, weighted by exp(score) and normalised, are mixed half and half with the model's
probabilities, here of the four options. BM25's score stands for minus the distance. Controls: each of both alone, and
neighbours by lot.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from compression import MARK, made, messages
from scipy.special import softmax

from pyswarmopt_llm import load_task
from pyswarmopt_llm.common.files.append_log import AppendLog

K1, B = 1.2, 0.75
NEIGHBOURS, SHARE = 8, 0.5
Floats = npt.NDArray[np.float64]


def words_of(text: str) -> list[str]:
    """Letters and digits in a row, in small letters.

    Example:
        >>> words_of("My card's PIN: 12")
        ['my', 'card', 's', 'pin', '12']
    """
    return re.findall(r"[a-z0-9]+", text.lower())


class BM25:
    """Documents that are ranked for a question.

    Args:
        documents: words of each.
        k1: how slowly repetitions of a word stop to count; at 0 they do not count.
        b: how much the length of a document counts, from 0 to 1.
        weights: whether rare words count more.
    """

    def __init__(
        self,
        documents: Sequence[Sequence[str]],
        k1: float = K1,
        b: float = B,
        weights: bool = True,
    ) -> None:
        lengths = [len(words) for words in documents]
        mean = sum(lengths) / len(lengths)
        self._counts = [Counter(words) for words in documents]
        self._norms = [k1 * ((1 - b) + b * length / mean) for length in lengths]
        self._holders = Counter(word for counts in self._counts for word in counts)
        self._weights = weights

    def weight(self, word: str) -> float:
        """log((N - n + 0.5) / (n + 0.5)), of the n of N documents that have the word."""
        if not self._weights:
            return 1.0
        n = self._holders[word]
        return math.log((len(self._counts) - n + 0.5) / (n + 0.5))

    def scores(self, question: Sequence[str]) -> Floats:
        """(documents,): the sum over the question's words of weight tf / (norm + tf)."""
        weights = {word: self.weight(word) for word in question}
        return np.array(
            [
                sum(
                    weights[word] * counts[word] / (norm + counts[word])
                    for word in question
                    if word in counts
                )
                for counts, norm in zip(self._counts, self._norms, strict=True)
            ]
        )


def order(scores: Floats, draws: np.random.Generator) -> list[int]:
    """Documents, best first; equal ones by lot."""
    places: list[int] = np.lexsort((draws.random(len(scores)), -scores)).tolist()
    return places


def abstracts(data: Path, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Lines of rankings."""
    splits = json.loads((data / "eval" / "scifact.json").read_text(encoding="utf-8"))
    pairs = [pair_of(item["question"]) for item in (*splits["dev"], *splits["test"])]
    texts = list(dict.fromkeys(text for text, _ in pairs))
    wanted: dict[str, set[int]] = {}
    for text, claim in pairs:
        wanted.setdefault(claim, set()).add(texts.index(text))
    documents = list(map(words_of, texts))
    rankings = {
        "BM25": BM25(documents).scores,
        "without weights of words": BM25(documents, weights=False).scores,
        "without length": BM25(documents, b=0.0).scores,
        "words in common": BM25(documents, k1=0.0, weights=False).scores,
        "by lot": lambda question: np.zeros(len(documents)),
    }
    for name, scores in rankings.items():
        of_claims = {claim: scores(words_of(claim)) for claim in wanted}
        for seed in seeds:
            draws, found = np.random.default_rng(seed), []
            for claim, right in wanted.items():
                places = order(of_claims[claim], draws)
                found.append(1 + min(places.index(document) for document in right))
            yield {"task": "abstracts", "method": name, "seed": seed, "ranks": found}


def pair_of(question: str) -> tuple[str, str]:
    """Evidence and claim of an item of SciFact.

    Example:
        >>> pair_of("Judge.\\n\\nEvidence: A text.\\nClaim: It rains.\\n\\nDoes it?")
        ('A text.', 'It rains.')
    """
    found = re.search(r"Evidence: (.*)\nClaim: (.*?)\n", question, re.DOTALL)
    if found is None:
        raise ValueError(f"no evidence and claim in {question[:60]!r}")
    return found[1], found[2]


def of_neighbours(options: Sequence[str], labels: Sequence[str], scores: Sequence[float]) -> Floats:
    """Probabilities of options by the labels of neighbours, each of exp(score); the same for all
    where no neighbour has one.

    Example:
        >>> of_neighbours(["a", "b"], ["a", "b", "c"], [0.0, np.log(3), 5.0]).round(2).tolist()
        [0.25, 0.75]
    """
    votes = np.exp(np.array(scores) - max(scores))
    sums = [sum(v for v, label in zip(votes, labels, strict=True) if label == o) for o in options]
    if not any(sums):
        return np.full(len(options), 1 / len(options))
    return np.array(sums) / sum(sums)


def mixed(model: Floats, neighbours: Floats, share: float = SHARE) -> Floats:
    """share p_kNN + (1 - share) p_model."""
    return share * neighbours + (1 - share) * model


def by_model(engine: Any, items: Sequence[Any]) -> list[Floats]:
    """Probabilities of each item's options, of sum 1, by their likelihoods."""
    pairs = [
        (engine.chat(f"Question: {item.question}"), text)
        for item in items
        for text in item.choices.values()
    ]
    values = iter(engine.loglikelihood(pairs))
    return [softmax([next(values) for _ in item.choices]) for item in items]


def banking(data: Path, out: Path, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Lines of answers."""
    chats = messages(data)
    shown = [chat["messages"][0]["content"].split(MARK)[1] for chat in chats]
    labels = [chat["messages"][1]["content"] for chat in chats]
    items = load_task(str(data / "tasks" / "banking.json")).test
    said = by_model(made(out / "reader", chats), items)
    index, draws = BM25(list(map(words_of, shown))), np.random.default_rng(0)
    found = [index.scores(words_of(item.question.split(MARK)[1])) for item in items]
    nearest = [order(scores, draws)[:NEIGHBOURS] for scores in found]

    def voted(places: Sequence[Sequence[int]]) -> list[Floats]:
        return [
            of_neighbours(
                list(item.choices.values()),
                [labels[k] for k in read],
                [scores[k] for k in best],
            )
            for item, scores, read, best in zip(items, found, places, nearest, strict=True)
        ]

    def line(name: str, seed: int, told: Sequence[Floats]) -> dict[str, Any]:
        letters = [
            list(item.choices)[int(of.argmax())] for item, of in zip(items, told, strict=True)
        ]
        test = "".join(str(int(a == b.answer)) for a, b in zip(letters, items, strict=True))
        return {"task": "banking", "method": name, "seed": seed, "test": test}

    def both(places: Sequence[Sequence[int]]) -> list[Floats]:
        return [mixed(a, b) for a, b in zip(said, voted(places), strict=True)]

    yield line("reader", 0, said)
    yield line("retriever", 0, voted(nearest))
    yield line("both", 0, both(nearest))
    for seed in seeds:
        draws = np.random.default_rng(seed)
        lot = draws.integers(len(shown), size=(len(items), NEIGHBOURS)).tolist()
        yield line("both, neighbours by lot", seed, both(lot))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of eval/, tasks/ and sft/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the readers")
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(options.outcomes)
    done = {row["task"] for row in log.repaired()}
    if "abstracts" not in done:
        for row in list(abstracts(options.data, options.seeds)):
            log.append(row)
            print(row["method"], row["seed"], np.mean(np.array(row["ranks"]) == 1), flush=True)
    if "banking" not in done:
        for row in list(banking(options.data, options.out, options.seeds)):
            log.append(row)
            print(row["method"], row["seed"], row["test"].count("1") / len(row["test"]), flush=True)


if __name__ == "__main__":
    main()
