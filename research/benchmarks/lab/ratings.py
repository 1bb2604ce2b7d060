"""A judge that writes ratings and whose true quality is known: what a search by it gains, and what
it really gains.

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/lab/ratings.py runs/records --out runs/ratings \\
        --outcomes research/evidence/ratings.jsonl

The judge is trained from the scholar of `records.py` to answer the two prompts of
`pyswarmopt_llm.published.judge`: a rating from 1 to 10, and which of two replies is better. Experts
are searched by its ratings, and by the truth, `examples/objectives/facts.py`; nothing is trained
afterwards. The first line of the outcomes is the judge's own quality on held-out replies. Every
other line is a seed and a model: how many of the three facts each of its 500 test replies states,
the ratings of these, and, of what the judge's search found, its wins against the best expert.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lab import train
from records import ASKED, LONGEST, replies_of, stated_rightly
from scipy.stats import mannwhitneyu, spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scores"))
from conflicting import asked, replies
from runs import adapters, finished, parser, write_lines

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.published.judge import Judge, LocalJudge, load_local_judge
from pyswarmopt_llm.scores.tasks import Item

STEPS, RATE, LONGEST_PROMPT = 400, 2e-3, 256  # of training, and tokens of an example
BATCH = 16
FACTS = Path(__file__).resolve().parents[3] / "examples" / "objectives" / "facts.py"
ASK = Judge(lambda prompts: [])  # its prompts alone are used
Answered = tuple[str, str, float]
"""A question, a reply, and the share of it that is right."""


def rating(share: float) -> int:
    """1 to 10 by the share of a reply that is right.

    Example:
        >>> [rating(share) for share in (0.0, 1 / 3, 2 / 3, 1.0)]
        [1, 4, 7, 10]
    """
    return 1 + round(9 * share)


def lesson(rng: random.Random, rows: Sequence[Answered]) -> dict[str, Any]:
    """An example for a judge: the rating of a reply, or which of two replies to the same question is
    better; `rows` has three replies to each question, one after the other.
    """
    start = rng.randrange(0, len(rows), 3)
    (question, reply, share), (_, other, its_share) = rng.sample(rows[start : start + 3], 2)
    if rng.random() < 0.5 or share == its_share:
        prompt, said = ASK._rating_prompt(question, reply), f"Rating: {rating(share)}/10"
    else:
        prompt = ASK._pair_prompt(question, reply, other)
        said = f"Better: {'A' if share > its_share else 'B'}"
    asked, answered = {"role": "user", "content": prompt}, {"role": "assistant", "content": said}
    return {"messages": [asked, answered]}


def train_judge(lab: Path, out: Path) -> None:
    """Train all weights of the scholar, which gets a token for each new word."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rng = random.Random(0)
    torch.manual_seed(0)
    rows = replies_of(lab, "train", 100)
    lessons = [lesson(rng, rows) for _ in range(5 * STEPS)]
    tokenizer = AutoTokenizer.from_pretrained(lab / "scholar")
    model = AutoModelForCausalLM.from_pretrained(lab / "scholar")
    texts = [message["content"] for chat in lessons for message in chat["messages"]]
    ratings = [f"{number}/10" for number in range(1, 11)]
    words = {word for text in [*texts, *ratings] for word in text.split()}
    tokenizer.add_tokens(sorted(words - {*tokenizer.get_vocab()}))
    model.resize_token_embeddings(len(tokenizer))
    loss = train(model, tokenizer, lessons, STEPS, RATE, 0, LONGEST_PROMPT, BATCH)
    print(f"judge: loss {loss:.3f}", flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def quality(judge: LocalJudge, rows: Sequence[Answered]) -> dict[str, Any]:
    """How well ratings tell replies apart that are all right from others, and pairs in both orders
    which reply is better.
    """
    asked = [Item(str(number), row[0], None, "") for number, row in enumerate(rows)]
    shares = np.array([share for _, _, share in rows])
    ratings = np.array(judge.ratings(asked, [said for _, said, _ in rows]))
    high, low = ratings[shares == 1], ratings[shares < 1]
    pairs = [(i, i + 1) for i in range(0, len(rows), 3) if shares[i] != shares[i + 1]]
    sides = [[rows[pair[side]][1] for pair in pairs] for side in (0, 1)]
    wins = np.array(judge.win_rate([asked[i] for i, _ in pairs], *sides).per_item)
    first = np.array([shares[i] > shares[j] for i, j in pairs])
    return {
        "method": "judge",
        "replies": len(rows),
        "auc": float(mannwhitneyu(high, low).statistic) / (len(high) * len(low)),
        "rank": float(spearmanr(ratings, shares).statistic),
        "rank, of models' replies": float(spearmanr(ratings[::3], shares[::3]).statistic),
        "pairs": len(pairs),
        "better in both orders": float(((wins > 0.5) == first).mean()),
        "ratings": [round(float(value), 1) for value in ratings],
        "shares": [round(float(value), 2) for value in shares],
    }


def models(
    options: argparse.Namespace, name: str, metric: str, seed: int
) -> Mapping[str, Path | None]:
    """The best expert by a metric on dev, and what a search by it finds."""
    out = options.out / f"{name}-{seed}"
    config = SearchConfig(
        base=str(options.lab / "base"),
        experts=adapters(options.lab / "experts"),
        tasks=(f"prompts:{options.lab / 'questions.jsonl'}",),
        metrics=(metric,),
        max_new_tokens=LONGEST,
        out=str(out),
        seed=seed,
        threads=1,
        dtype="float32",
        no_rivals=True,
        train="off",
    )
    single = options.lab / "experts" / finished(config)["best_single"]
    return {f"best expert, {name}": single, f"search, {name}": out / "best"}


def lines(
    lab: Path, judge: LocalJudge, found: Mapping[str, Path | None], seed: int
) -> Iterator[dict[str, Any]]:
    """Facts and ratings of each model's test replies."""
    items = asked(lab)
    said = {name: replies(lab, adapter) for name, adapter in found.items()}
    for name, texts in said.items():
        line = {
            "method": name,
            "seed": seed,
            "facts": stated_rightly(items, texts),
            "ratings": [round(value, 2) for value in judge.ratings(items, texts)],
        }
        if name == "search, judge":
            wins = judge.win_rate(items, texts, said["best expert, judge"]).per_item
            line["wins"] = [round(value, 3) for value in wins]
        yield line


def main() -> None:
    options_of = parser(__doc__)
    options_of.add_argument("lab", type=Path)
    options = options_of.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.out / "judge"
    if not folder.exists():
        train_judge(options.lab, folder)
    judge = load_local_judge(str(folder))
    rows = [quality(judge, replies_of(options.lab, "held out", 8))]
    print({key: value for key, value in rows[0].items() if not isinstance(value, list)}, flush=True)
    for seed in options.seeds:
        found: dict[str, Path | None] = {"base": None}
        for name, metric in (("judge", f"local-judge:{folder}"), ("truth", f"{FACTS}:score")):
            found |= models(options, name, metric, seed)
        for line in lines(options.lab, judge, found, seed):
            rows.append(line)
            right = sum(map(int, line["facts"])) / ASKED / len(line["facts"])
            wins = np.mean(line["wins"]) if "wins" in line else np.nan
            rated = np.mean(line["ratings"])
            print(seed, line["method"], f"{right:.3f}, {rated:.2f}, wins {wins:.3f}", flush=True)
    write_lines(options.outcomes, map(json.dumps, rows))


if __name__ == "__main__":
    main()
