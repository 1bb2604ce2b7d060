"""A reward in the laboratory whose true quality is known: what a search gains by it, and what it
really gains.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/judge.py runs/lab runs/written/tasks --out runs/judge \\
        --outcomes research/evidence/judge.jsonl

The tasks are those that `research/benchmarks/scores/written_lab.py` has written.

For each task a reward model is trained on pairs of the right answer and a wrong one, an option of
the laboratory or what base, experts and random mixtures of these wrote (Bradley & Terry 1952), then
experts are searched by its reward of their answers; the search sees no right answer. A line of the
outcomes is a task and a seed: `pairs`, share of held-out pairs that the reward orders right;
`rank`, Spearman's correlation of reward and truth over the test replies of base, best expert by
reward, and result; and of each of the three its mean reward and its exact matches on 500 test
items, 1 or 0 each.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lab import TASKS, items
from scipy.stats import spearmanr

from pyswarmopt_llm import SearchConfig, load_reward, load_task, open_model, resume, search
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.scores.metrics.by_name import METRICS
from pyswarmopt_llm.scores.metrics.text import exact_match
from pyswarmopt_llm.scores.tasks import Item

ASKED, STEPS, BATCH = 300, 1200, 64  # questions to each model, training steps, pairs of a step
MIXTURES, MIXED = 20, 4  # random mixtures, and the experts of one


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


def written_by(engine: Any, questions: Sequence[Item]) -> list[str]:
    """The replies of the loaded model, to the prompts of a search."""
    utility = METRICS["exact-match"].on(questions, "generate", engine.chat, None)
    return [reply.strip() for reply in utility.answers(engine)]


def pairs_of(lab: Path, kinds: Any, split: str, asked: int) -> list[tuple[str, str, str]]:
    """(question, right answer, wrong one): what a model wrote, and each wrong option."""
    pairs = []
    for seed, (engine, patch) in enumerate(writers(lab, MIXTURES)):
        engine.load(patch)
        questions = items(kinds, split, asked, 11 + seed)
        asked_of = [Item(item["id"], item["question"], None, "") for item in questions]
        replies = written_by(engine, asked_of)
        for item, reply in zip(questions, replies, strict=True):
            right = item["choices"][item["answer"]]
            if reply != right:
                pairs.append((item["question"], right, reply))
            wrong = [text for letter, text in item["choices"].items() if letter != item["answer"]]
            pairs += [(item["question"], right, text) for text in wrong]
    return pairs


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


def train_reward(lab: Path, kinds: Any, out: Path, seed: int) -> float:
    """Train a reward model from the base, and return the share of held-out pairs that it orders
    right.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(lab / "base")
    model = AutoModelForSequenceClassification.from_pretrained(lab / "base", num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    train, heldout = pairs_of(lab, kinds, "train", ASKED), pairs_of(lab, kinds, "dev", ASKED // 10)
    rng = random.Random(seed)
    for _ in range(STEPS):
        batch = rng.sample(train, BATCH)
        right = logits(model, tokenizer, [(question, right) for question, right, _ in batch])
        wrong = logits(model, tokenizer, [(question, wrong) for question, _, wrong in batch])
        optimizer.zero_grad()
        (-torch.nn.functional.logsigmoid(right - wrong)).mean().backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        right = logits(model, tokenizer, [(question, right) for question, right, _ in heldout])
        wrong = logits(model, tokenizer, [(question, wrong) for question, _, wrong in heldout])
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return float((right > wrong).float().mean())


def searched(lab: Path, task: Path, reward: Path, out: Path, seed: int) -> dict[str, Path | None]:
    """The adapters of base, best expert by reward on dev, and result of a search by the reward."""
    config = SearchConfig(
        base=str(lab / "base"),
        experts=tuple(sorted(map(str, (lab / "experts").iterdir()))),
        tasks=(str(task),),
        metrics=(f"reward:{reward}",),
        max_new_tokens=6,
        out=str(out),
        seed=seed,
        threads=1,
        dtype="float32",
        no_rivals=True,
    )
    result = (resume(out) if (out / "run.json").exists() else search(config)).result
    return {
        "base": None,
        "best-single": lab / "experts" / result["best_single"],
        "result": out / "best",
    }


def judged(lab: Path, task: Path, reward: Path, models: dict[str, Path | None]) -> dict[str, Any]:
    """Reward and truth of each model's test replies, and how they go together."""
    questions, judge = load_task(str(task)).test, load_reward(str(reward))
    rewards, rights, line = [], [], {}
    for name, adapter in models.items():
        engine = open_model(
            str(lab / "base"), None if adapter is None else str(adapter), "float32", "cpu", 1
        )
        replies = written_by(engine, questions)
        reward_of = judge.scores(questions, replies)
        right = exact_match(questions, replies)
        rewards += reward_of
        rights += right
        line[name] = {
            "reward": sum(reward_of) / len(questions),
            "test": "".join(str(int(value)) for value in right),
        }
    return {"rank": float(spearmanr(rewards, rights).statistic), **line}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lab", type=Path)
    parser.add_argument("tasks_in", metavar="tasks", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for task in options.tasks:
        file = options.tasks_in / f"{task}.json"
        for seed in options.seeds:
            reward = options.out / f"reward-{task}-{seed}"
            pairs = train_reward(options.lab, TASKS[task], reward, seed)
            models = searched(options.lab, file, reward, options.out / f"{task}-{seed}", seed)
            line = {
                "task": task,
                "seed": seed,
                "pairs": pairs,
                **judged(options.lab, file, reward, models),
            }
            lines.append(json.dumps(line))
            for name in models:
                line[name] = f"{line[name]['reward']:.2f} {line[name]['test'].count('1') / 500:.3f}"
            print(line, flush=True)
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
