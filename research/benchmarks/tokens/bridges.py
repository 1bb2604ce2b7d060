#!/usr/bin/env python3
"""Bridges between vocabularies: three ways to add up the next-token distributions of unlike models.

    python research/benchmarks/tokens/unlike_models.py --work runs/unlike-models --pools 1 2 3
    python research/benchmarks/tokens/bridges.py runs/unlike-models \\
        --outcomes research/evidence/bridges.jsonl

`eva`: Xu et al. 2024 (arXiv 2404.09492). Tokens that two vocabularies share are a dictionary by which one
model's embeddings are mapped among another's (Artetxe et al. 2018: both centred and of unit length, an
orthogonal map of each, dimensions weighted by the roots of the singular values). A shared token stays
itself. Another becomes the ten tokens that are most alike, in proportion; those less alike than a threshold
are left out, and so is a row whose kept ones are nearly equal. Each member's distribution goes through its
matrix into the vocabulary of the member that is best on dev. A member whose likeliest token is not among
the ten likeliest of another sits the step out. The numbers are ours.

`unite`: Yao et al. 2025 (arXiv 2410.03777). The union of the members' ten likeliest tokens. A member's
probability of a token that it lacks is that of the first token into which it cuts it; probabilities are
scaled to sum to 1 over the union.

`edit-distance`: Wan et al. 2024 (arXiv 2401.10491). A token becomes the nearest one of the main vocabulary
by edit distance, the shortest of equals.

Members are those of `unlike_models.py`, weights are equal, 250 questions of each pool are answered in
writing. Beside the three are the package's `bytes`, `union` and `relative`, the best member on dev, a vote,
and `eva` with the embeddings of the other members dealt to their tokens by lot and no shared token kept,
which leaves the dictionary worthless. A line is a method and a pool, with 1 for each right answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import unlike_models as unlike
from nltk import edit_distance

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Task, load_task
from pyswarmopt_llm.tokens.byte_beam import byte_pieces
from pyswarmopt_llm.tokens.fusion import TOKEN_FUSIONS, Choose, token_pieces
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.tokens.reading import Text, TextModel

TOP, LIKELIEST = 10, 10
THRESHOLD, LEAST_SPREAD = 0.2, 1e-3
Floats = npt.NDArray[np.float64]
Write = Callable[[str, int], Iterator[bytes]]


def unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def centred(rows: Floats) -> Floats:
    """Rows of length 1, their mean taken off, of length 1 again."""
    rows = unit(rows)
    return unit(rows - rows.mean(axis=0))


def similarities(ours: Floats, theirs: Floats, pairs: Sequence[tuple[int, int]]) -> Floats:
    """Cosines of embeddings of two models, (M, N), in the space in which the pairs are most alike.

    Args:
        ours: (M, D) embeddings.
        theirs: (N, E) embeddings.
        pairs: rows of both that mean the same.

    Example:
        >>> turned = np.eye(3)[:, [1, 2, 0]]
        >>> cosines = similarities(np.eye(3), turned, [(0, 0), (1, 1), (2, 2)])
        >>> cosines.argmax(axis=1).tolist()
        [0, 1, 2]
    """
    ours, theirs = centred(ours), centred(theirs)
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    u, singular, vt = np.linalg.svd(ours[left].T @ theirs[right], full_matrices=False)
    root = np.sqrt(singular)
    return unit((ours @ u) * root) @ unit((theirs @ vt.T) * root).T


def projection(cosines: Floats, same: dict[int, int]) -> Floats:
    """A matrix, (M, N), from one vocabulary to another: rows sum to 1, or are 0 where nothing is alike.

    Args:
        cosines: of all pairs of tokens, (M, N).
        same: token of the first -> the same token of the second.

    Example:
        >>> projection(np.array([[0.9, 0.3], [0.1, 0.0], [0.2, 0.6]]), {0: 0}).round(2).tolist()
        [[1.0, 0.0], [0.0, 0.0], [0.25, 0.75]]
    """
    kept = np.where(cosines >= THRESHOLD, cosines, 0.0)
    if kept.shape[1] > TOP:
        least = np.sort(kept, axis=1)[:, -TOP, None]
        kept = np.where(kept >= least, kept, 0.0)
    for row in kept:
        alike = row[row > 0]
        if alike.size > 1 and alike.std() < LEAST_SPREAD:
            row[:] = 0.0
    for token, twin in same.items():
        kept[token] = np.eye(1, kept.shape[1], twin)
    totals = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, totals, out=np.zeros_like(kept), where=totals > 0)


class Eva:
    """Adds distributions up in the vocabulary of the first member.

    Args:
        text_models: the members, the main one first.
        weights: of each.
        lot: deals the embeddings of the other members to their tokens; None: they stay where they are.
    """

    def __init__(
        self,
        text_models: Sequence[TextModel],
        weights: Sequence[float],
        lot: np.random.Generator | None = None,
    ) -> None:
        main, self._weights = text_models[0], weights
        self._texts = main.vocabulary.texts
        self._matrices = [np.eye(len(self._texts))]
        row = {text: number for number, text in enumerate(self._texts)}
        for other in text_models[1:]:
            texts = other.vocabulary.texts
            same = {number: row[text] for number, text in enumerate(texts) if text in row}
            embeddings = _embeddings(other)
            if lot is not None:
                embeddings = embeddings[lot.permutation(len(embeddings))]
            cosines = similarities(embeddings, _embeddings(main), list(same.items()))
            self._matrices.append(projection(cosines, same if lot is None else {}))

    def __call__(self, reads: Sequence[Text]) -> bytes | None:
        """The most probable token of the main vocabulary; None for the end."""
        rows = [
            np.append(read.texts @ matrix, read.end)
            for read, matrix in zip(reads, self._matrices, strict=True)
        ]
        weights = np.array(self._weights) * faithful(rows)
        best = int((weights @ np.array(rows)).argmax())
        return None if best == len(self._texts) else self._texts[best]


def faithful(rows: Sequence[Floats]) -> npt.NDArray[np.bool_]:
    """Which members' likeliest token is among the `LIKELIEST` of another; all, where none's is.

    Example:
        >>> faithful([np.eye(30)[0], np.eye(30)[0], np.arange(30.0)]).tolist()
        [True, True, False]
    """
    top = [set(np.argsort(-row, kind="stable")[:LIKELIEST].tolist()) for row in rows]
    agreed = [
        any(int(row.argmax()) in other for other in (*top[:number], *top[number + 1 :]))
        for number, row in enumerate(rows)
    ]
    return np.array(agreed) if any(agreed) else np.ones(len(rows), dtype=bool)


def _embeddings(text_model: TextModel) -> Floats:
    """Of the tokens in the order of the vocabulary, (M, D)."""
    weight = text_model.engine.model.get_input_embeddings().weight.detach()
    return weight[torch.from_numpy(text_model.vocabulary.ids)].double().numpy()


class Unite:
    """Adds the probabilities of the likeliest tokens up.

    Args:
        text_models: the members.
        weights: of each.
    """

    def __init__(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> None:
        self._weights = weights
        self._row = [
            {text: number for number, text in enumerate(one.vocabulary.texts)}
            for one in text_models
        ]

    def __call__(self, reads: Sequence[Text]) -> bytes | None:
        """The most probable token of the union; None for the end."""
        union = sorted({text for read in reads for text in likeliest(read)})
        total = np.zeros(len(union) + 1)
        for weight, read, row in zip(self._weights, reads, self._row, strict=True):
            values = np.array([*(self._value(read, row, text) for text in union), read.end])
            total += weight * values / max(values.sum(), 1e-300)
        best = int(total.argmax())
        return None if best == len(union) else union[best]

    def _value(self, read: Text, row: dict[bytes, int], text: bytes) -> float:
        """A member's probability of a token, or of the first token into which it cuts it."""
        if text in row:
            return float(read.texts[row[text]])
        vocabulary = read.text_model.vocabulary
        first = (vocabulary.cut(text) or [None])[0]
        at = np.flatnonzero(vocabulary.ids == first)
        return float(read.texts[at[0]]) if at.size else 0.0


def likeliest(read: Text) -> list[bytes]:
    """The texts of the `LIKELIEST` tokens."""
    order = np.argsort(-read.texts, kind="stable")[:LIKELIEST]
    return [read.text_model.vocabulary.texts[number] for number in order]


class EditDistance:
    """Adds distributions up in the vocabulary of the first member, token for the nearest token.

    Args:
        text_models: the members, the main one first.
        weights: of each.
    """

    def __init__(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> None:
        self._weights, self._texts = weights, text_models[0].vocabulary.texts
        self._rows = [
            np.array([nearest(text, self._texts) for text in one.vocabulary.texts])
            for one in text_models
        ]

    def __call__(self, reads: Sequence[Text]) -> bytes | None:
        """The most probable token of the main vocabulary; None for the end."""
        total, end = np.zeros(len(self._texts)), 0.0
        for weight, read, rows in zip(self._weights, reads, self._rows, strict=True):
            np.add.at(total, rows, weight * read.texts)
            end += weight * read.end
        best = int(total.argmax())
        return self._texts[best] if total[best] > end else None


def nearest(text: bytes, texts: Sequence[bytes]) -> int:
    """The number of the text that is nearest by edit distance, the shortest of equals.

    Example:
        >>> nearest(b"sun", [b"s", b"sum", b"suns"])
        1
    """
    return min(range(len(texts)), key=lambda k: (edit_distance(text, texts[k]), len(texts[k])))


BRIDGES = ("eva", "eva, embeddings by lot", "unite", "edit-distance", "bytes", "union", "relative")


def writer(name: str, text_models: Sequence[TextModel], pool: int) -> Write:
    """Writes an answer to a question by a bridge, the main member first."""
    weights = [1 / len(text_models)] * len(text_models)
    if name == "bytes":
        return lambda user, most: byte_pieces(text_models, weights, user, most)
    choose: Choose
    if name.startswith("eva"):
        lot = np.random.default_rng(pool) if "lot" in name else None
        choose = Eva(text_models, weights, lot)
    else:
        make = {"unite": Unite, "edit-distance": EditDistance, **TOKEN_FUSIONS}[name]
        choose = make(text_models, weights)
    return lambda user, most: token_pieces(text_models, choose, user, most)


def rows(folder: Path, pool: int) -> Iterator[tuple[str, Task, unlike.Answers]]:
    """Method, task and answers of a pool."""
    folders = [str(folder / kind) for kind in unlike.ARCHITECTURES]
    choosing = load_task(str(folder / "task.json"), dev=unlike.DEV, test=unlike.TEST)
    task = unlike.without_options(choosing)
    members = open_members(folders, None, dtype="float32", threads=1)
    context = GroupContext(members, task, "generate", pool)
    ballots = list(zip(*context.collect(task.test).ballots, strict=True))
    order = context.order
    yield "best member on dev", task, ballots[order[0]]
    verdicts = load_strategy("weighted").decide(context, task.test)
    yield "weighted vote", task, [verdict.answer for verdict in verdicts]
    engines = load_members(find_members([folders[number] for number in order]), "float32")
    text_models = [TextModel.of(engine) for engine in engines.values()]
    for name in BRIDGES:
        write = writer(name, text_models, pool)
        texts = [
            b"".join(write(f"Question: {item.question}", unlike.NEW_TOKENS)) for item in task.test
        ]
        yield name, task, [text.decode("utf-8", errors="replace") for text in texts]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder of `unlike_models.py`")
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--pools", type=int, nargs="+", default=[1, 2, 3])
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(args.outcomes)
    done = {row["seed"] for row in log.repaired()}
    for pool in args.pools:
        if pool in done:
            continue
        lines = []
        for name, task, answers in rows(args.work / f"pool-{pool}", pool):
            test = "".join(str(int(it)) for it in map(is_right, task.test, answers))
            print(pool, name, test.count("1") / len(test), flush=True)
            lines.append({"method": name, "seed": pool, "test": test})
        for line in lines:
            log.append(line)


if __name__ == "__main__":
    main()
