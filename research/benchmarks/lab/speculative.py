"""Speculative decoding in a laboratory of statements: a small draft guesses tokens, a target ten times as large
checks them in one pass.

    python research/benchmarks/lab/speculative.py --out runs/speculative \\
        --outcomes research/evidence/speculative.jsonl

Leviathan, Kalman & Matias 2023 (arXiv 2211.17192), algorithm 1: the draft writes gamma guesses, the
target gives its probabilities p after each of them; a guess with probability q of the draft is kept
with min(1, p / q), the first that is not is replaced by a draw from max(0, p - q), normalised, and if
all are kept the target adds a token. What is written has the target's distribution.

Models are of `records.py`: the target is a Llama of 0.9 million weights that was taught the table,
the drafts are one of 0.09 million that knows a quarter of it, counts of three words in a row, and a
draw of any word. Lines of the task `written` are a draft, a number of guesses and a seed, with tokens and
passes of the target for each of 100 prompts and the statements that are right; at seed -1 all is greedy.
`same` tells which texts are those of plain decoding. Lines of the task `exact` are a prompt,
with the chi-square statistic of the first three tokens of 1,000 texts at temperature 2 against the target's
probabilities. The control draws from p in place of max(0, p - q).
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import records
import torch
from chats import ChatTokens, encode_chat, left_padded
from lab import new_model, save_tokenizer, train

from pyswarmopt_llm.common.files.append_log import AppendLog

PROMPTS, STEPS, LONGEST = 100, 400, 64
REPEATED = (("none", 0), ("model", 4), ("three words", 4))  # with each seed
ONCE = (("model", 2), ("model", 8), ("any word", 4))  # with the first one
CHECKED, DRAWS, FIRST, WARM = (
    5,
    1000,
    3,
    2.0,
)  # prompts of the test, texts of each, tokens, temperature
GREEDY = -1
Floats = npt.NDArray[np.float64]
Rows = Sequence[Sequence[int]]
Says = Callable[[Rows, int], Floats]
"""Token ids of texts, and a number of places -> probabilities of the token after each of the last so many
prefixes of each text, the whole one last, (texts, places, words)."""
Done = Collection[tuple[str, str, int, int]]
"""Lines that are there: task, method, guesses (of `exact`: the prompt's number), seed."""


def drawn(said: Floats, draws: np.random.Generator) -> int:
    """A token by its probability, (words,)."""
    return int(np.searchsorted(said.cumsum(), draws.random() * said.sum(), side="right"))


def residual(p: Floats, q: Floats) -> Floats:
    """max(0, p - q), of sum 1; p itself where they are the same but for rounding.

    Example:
        >>> residual(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])).round(2).tolist()
        [0.75, 0.25, 0.0]
    """
    left = np.maximum(0.0, p - q)
    return left / left.sum() if left.any() else p


def verified(
    guesses: Sequence[int],
    said: Sequence[Floats],
    wanted: Floats,
    draws: np.random.Generator,
    instead: Callable[[Floats, Floats], Floats] = residual,
) -> list[int]:
    """The guesses that are kept and one token of the target.

    Args:
        guesses: tokens of the draft.
        said: the draft's probabilities of each, (words,).
        wanted: the target's probabilities in these places and in the next one, (guesses + 1, words).
        draws: random numbers.
        instead: what a guess that is not kept is replaced from, of p and q.
    """
    for place, (guess, q) in enumerate(zip(guesses, said, strict=True)):
        p = wanted[place]
        if draws.random() >= p[guess] / q[guess]:
            return [*guesses[:place], drawn(instead(p, q), draws)]
    return [*guesses, drawn(wanted[len(guesses)], draws)]


@dataclass
class Reply:
    """A text of the target: its tokens, passes of the target, guesses that were looked at and kept."""

    tokens: list[int] = field(default_factory=list)
    passes: int = 0
    tried: int = 0
    kept: int = 0


def written(
    target: Says,
    draft: Says,
    prompts: Rows,
    guesses: int,
    draws: np.random.Generator,
    end: int,
    longest: int = LONGEST,
    instead: Callable[[Floats, Floats], Floats] = residual,
) -> list[Reply]:
    """Texts after prompts, all at once; without guesses it is plain decoding."""
    replies = [Reply() for _ in prompts]
    going = list(range(len(prompts)))
    while going:
        rows = [[*prompts[i], *replies[i].tokens] for i in going]
        guessed: list[list[int]] = [[] for _ in going]
        said = []
        for _ in range(guesses):
            q = draft([row + more for row, more in zip(rows, guessed, strict=True)], 1)[:, 0]
            said.append(q)
            for more, of_row in zip(guessed, q, strict=True):
                more.append(drawn(of_row, draws))
        wanted = target([row + more for row, more in zip(rows, guessed, strict=True)], guesses + 1)
        for k, i in enumerate(going):
            of_row = [q[k] for q in said]
            _add(replies[i], verified(guessed[k], of_row, wanted[k], draws, instead), guesses)
        going = [i for i in going if _goes_on(replies[i], end, longest)]
    return replies


def _add(reply: Reply, tokens: list[int], guesses: int) -> None:
    reply.tokens += tokens
    reply.passes += 1
    reply.kept += len(tokens) - 1
    reply.tried += min(len(tokens), guesses)


def _goes_on(reply: Reply, end: int, longest: int) -> bool:
    """Whether a text has neither ended nor is as long as may be; it is cut behind its end."""
    if end in reply.tokens:
        del reply.tokens[reply.tokens.index(end) + 1 :]
        return False
    del reply.tokens[longest:]
    return len(reply.tokens) < longest


class Model:
    """Probabilities of a model of transformers.

    Args:
        model: of transformers.
        pad: token of padding.
        temperature: logits are divided by it.
    """

    def __init__(self, model: Any, pad: int, temperature: float = 1.0) -> None:
        self._model, self._pad, self._temperature = model.eval(), pad, temperature

    @torch.no_grad()
    def __call__(self, rows: Rows, places: int) -> Floats:
        """See `Says`."""
        chats = [ChatTokens(list(row), places) for row in rows]
        inputs, _ = left_padded(chats, self._pad)
        logits = self._model(**inputs, logits_to_keep=places).logits
        said: Floats = (logits.double() / self._temperature).softmax(-1).numpy()
        return said


class Trigrams:
    """How often a token followed two others, and a little of every other one.

    Args:
        texts: token ids.
        words: size of the vocabulary.
        extra: what is added to each count.
    """

    def __init__(self, texts: Rows, words: int, extra: float = 0.01) -> None:
        self._words, self._extra = words, extra
        self._counts: dict[tuple[int, ...], Counter[int]] = {}
        for text in texts:
            for before, token in zip(itertools.pairwise(text), text[2:], strict=False):
                self._counts.setdefault(before, Counter())[token] += 1

    def __call__(self, rows: Rows, places: int) -> Floats:
        """See `Says`."""
        return np.array([[self._after(row, k) for k in range(places)][::-1] for row in rows])

    def _after(self, row: Sequence[int], cut: int) -> Floats:
        counts = np.full(self._words, self._extra)
        before = tuple(row[len(row) - cut - 2 : len(row) - cut])
        for token, count in self._counts.get(before, Counter()).items():
            counts[token] += count
        said: Floats = counts / counts.sum()
        return said


def key_of(row: Mapping[str, Any]) -> tuple[str, str, int, int]:
    """What a line is of."""
    return row["task"], row["method"], row["guesses"], row["seed"]


def any_word(words: int) -> Says:
    """The same probability for each token."""
    return lambda rows, places: np.full((len(rows), places, words), 1 / words)


def greedy(says: Says) -> Says:
    """All probability for the likeliest token, the first of equal ones."""

    def likeliest(rows: Rows, places: int) -> Floats:
        said = says(rows, places)
        found: Floats = np.eye(said.shape[-1])[said.argmax(-1)]
        return found

    return likeliest


def sequences(target: Says, prompt: Sequence[int], length: int) -> dict[tuple[int, ...], float]:
    """Probabilities of the first tokens after a prompt, but of those below 1 in 100,000."""
    found: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(length):
        said = target([[*prompt, *row] for row in found], 1)[:, 0]
        found = {
            (*row, token): before * p
            for (row, before), of_row in zip(found.items(), said, strict=True)
            for token, p in enumerate(of_row.tolist())
            if before * p > 1e-5
        }
    return found


def chi_square(
    texts: Sequence[tuple[int, ...]], expected: Mapping[tuple[int, ...], float]
) -> tuple[float, int]:
    """Statistic and degrees of freedom of counts against probabilities; sequences that are expected
    less than five times are one.

    Example:
        >>> chi_square([(1,)] * 30 + [(2,)] * 10, {(1,): 0.5, (2,): 0.5})
        (10.0, 1)
    """
    likely = {row: p for row, p in expected.items() if p * len(texts) >= 5}
    counts = Counter(text if text in likely else () for text in texts)
    seen, wanted = [counts[row] for row in likely], [p * len(texts) for p in likely.values()]
    if (rest := len(texts) - sum(wanted)) >= 1:
        seen, wanted = [*seen, counts[()]], [*wanted, rest]
    found = sum((a - b) ** 2 / b for a, b in zip(seen, wanted, strict=True))
    return float(found), len(seen) - 1


def exact(
    target: Says, draft: Says, prompts: Rows, end: int, done: Done
) -> Iterator[dict[str, Any]]:
    """Lines of the test of distributions."""
    rules = {"max(0, p - q)": (4, residual), "p": (4, lambda p, q: p), "plain": (0, residual)}
    for number, prompt in enumerate(prompts[:CHECKED]):
        expected = sequences(target, prompt, FIRST)
        for name, (guesses, instead) in rules.items():
            if ("exact", name, number, 0) in done:
                continue
            draws = np.random.default_rng(number)
            many = [prompt] * DRAWS
            replies = written(target, draft, many, guesses, draws, end, FIRST, instead)
            found, degrees = chi_square([tuple(reply.tokens) for reply in replies], expected)
            row = {"task": "exact", "method": name, "guesses": number, "seed": 0}
            yield {**row, "chi": found, "degrees": degrees}


def made(out: Path) -> tuple[Any, Any, Any]:
    """Tokenizer, target and draft, which are trained where they are not there."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (out / "draft" / "config.json").exists():
        records.make_base(out / "draft")
    if not (out / "target" / "config.json").exists():
        tokenizer = save_tokenizer(out / "target", list(dict.fromkeys(records.WORDS)))
        model = new_model(tokenizer)
        chats = records.replies_to_learn(False, 4_000, 2)
        print(train(model, tokenizer, chats, STEPS, 2e-3, 0, 128, records.BATCH), flush=True)
        model.save_pretrained(out / "target")
    target, draft = (AutoModelForCausalLM.from_pretrained(out / k) for k in ("target", "draft"))
    return AutoTokenizer.from_pretrained(out / "target"), target, draft


def line(
    name: str, guesses: int, seed: int, replies: Sequence[Reply], texts: Sequence[str], facts: Any
) -> dict[str, Any]:
    """A line of texts."""
    shares = [records.share_right(text, told) for text, told in zip(texts, facts, strict=True)]
    return {
        "task": "written",
        "method": name,
        "guesses": guesses,
        "seed": seed,
        "tokens": [len(reply.tokens) for reply in replies],
        "passes": [reply.passes for reply in replies],
        "tried": sum(reply.tried for reply in replies),
        "kept": sum(reply.kept for reply in replies),
        "test": "".join(str(round(records.ASKED * share)) for share in shares),
    }


def rows(out: Path, seeds: Sequence[int], done: Done) -> Iterator[dict[str, Any]]:
    """All lines that are not done."""
    tokenizer, of_target, of_draft = made(out)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    rng = random.Random("speculative")
    asked = [records.question(rng) for _ in range(PROMPTS)]
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=True
        )["input_ids"]
        for text, _ in asked
    ]
    facts = [told for _, told in asked]
    taught = encode_chat(tokenizer, records.replies_to_learn(True, 4_000, 1), 128)
    target, size = Model(of_target, pad), len(tokenizer)
    drafts: dict[str, Says] = {
        "model": Model(of_draft, pad),
        "three words": Trigrams([chat.ids for chat in taught], size),
        "any word": any_word(size),
    }
    warm = Model(of_target, pad, WARM), Model(of_draft, pad, WARM)
    yield from exact(*warm, prompts, end, done)
    for seed in (*seeds, GREEDY):
        how = greedy if seed == GREEDY else lambda says: says
        alone: list[list[int]] = []
        for name, guesses in (*REPEATED, *(ONCE if seed == 0 else ())):
            if ("written", name, guesses, seed) in done and (alone or seed != GREEDY):
                continue
            draws = np.random.default_rng([max(seed, 0), guesses])
            draft = how(drafts.get(name, target))
            replies = written(how(target), draft, prompts, guesses, draws, end)
            texts = [tokenizer.decode(reply.tokens, skip_special_tokens=True) for reply in replies]
            alone = alone or [reply.tokens for reply in replies]
            same = [reply.tokens == text for reply, text in zip(replies, alone, strict=True)]
            yield {
                **line(name, guesses, seed, replies, texts, facts),
                "same": "".join(str(int(it)) for it in same),
            }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(options.outcomes)
    done = {key_of(row) for row in log.repaired()}
    for row in rows(options.out, options.seeds, done):
        if key_of(row) not in done:
            log.append(row)
            print(
                key_of(row),
                row.get("chi"),
                row.get("degrees"),
                row.get("kept"),
                row.get("tried"),
                flush=True,
            )


if __name__ == "__main__":
    main()
