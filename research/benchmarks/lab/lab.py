#!/usr/bin/env python3
"""The laboratory: a language model of a million parameters, its experts, six tasks, and all methods
on them.

Everything is made here, in minutes on one core: a Llama-like base that has seen ten skills a
little, ten LoRA experts of two skills each, three full fine-tunes, and six tasks whose items need
the skills of several experts, alone and one after the other. A candidate costs a tenth of a second.
Then `pyswarmopt_rivals.comparison` runs on it.

Defaults are chosen on t1 to t3 and claims tested on t4 to t6: look at the first half only while you
decide.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/lab.py compare --out runs/lab --name choose --tasks t1 t2 t3
    python research/benchmarks/lab/lab.py compare --out runs/lab --name claim --tasks t4 t5 t6

`make --clusters` also trains ten experts as cBTM does (Gururangan et al. 2023): the experts' own
examples are pooled and clustered by tf-idf, and each cluster has its expert. `compare --experts
clusters --methods cbtm` is cBTM with them. `make --made` also trains an expert of each task, who
has all of its skills: beside it nobody needs a search.

Whoever changes the base's steps, the experts or the tasks looks at t1 to t3 only, too. What makes
it a laboratory: the base is stopped before it can do the skills, an expert learns its own two and
rehearses what the base makes of the others, and all experts begin at the same random A, as those of
one recipe do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lab_skills import LETTERS, NAMES, chats, items

BASE_STEPS, BASE_BATCH, EXPERT_EXAMPLES = 160, 64, 3200
EXPERT_EPOCHS, EXPERT_RATE = 2.0, 3e-3
REHEARSED = 0.4  # of an expert's examples: other skills, answered as the base answers them
DEV, TEST = 100, 500

SINGLES = [(name,) for name in NAMES]
PAIRS = [
    ("reverse", "next"),
    ("sort", "reverse"),
    ("rotate", "back"),
    ("swap", "mirror"),
    ("next", "rotate"),
    ("halves", "next"),
]
# Expert i has skill i and the one three further on: every skill has two experts, and no expert has
# two of a task's.
EXPERTS = {
    f"{NAMES[i]}-{NAMES[(i + 3) % 10]}": [(NAMES[i],), (NAMES[(i + 3) % 10],)] for i in range(10)
}
FULL = {"letters": SINGLES[3:5] + SINGLES[6:7], "places": SINGLES[:3], "rest": SINGLES[7:10]}
TASKS: dict[str, list[tuple[str, ...]]] = {
    "t1": [("reverse",), ("sort",), ("swap",), ("halves",)],
    "t2": [("rotate",), ("next",), ("fall",), ("pairs",)],
    "t3": [("sort", "reverse"), ("sort",), ("reverse",), ("swap",)],
    "t4": [("reverse",), ("pairs",), ("halves",)],
    "t5": [("sort",), ("next",), ("swap",), ("fall",)],
    "t6": [("rotate", "back"), ("rotate",), ("reverse",), ("sort",)],
}
_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}<user> {{ message['content'] "
    "}} <bot>"
    "{% else %} {{ message['content'] }} <end>{% endif %}{% endfor %}"
)


def save_tokenizer(path: Path, vocabulary: Sequence[str] = (*LETTERS, *NAMES)) -> Any:
    """One token per word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<user>", "<bot>", "<end>", "<unk>", "Question:", *vocabulary]
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        eos_token="<end>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<bot>"],
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(path)
    return tokenizer


def train(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Any],
    steps: int,
    lr: float,
    seed: int,
    longest: int = 64,
    batch: int = BASE_BATCH,
) -> float:
    """Train all weights on the answers of chats of at most `longest` tokens, `batch` of them a step;
    the mean loss of the last 20 steps.
    """
    from chats import encode_chat, left_padded

    encoded = encode_chat(tokenizer, examples, longest)
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 50)
        sample = rng.sample(encoded, min(batch, len(encoded)))
        inputs, answers = left_padded(sample, tokenizer.pad_token_id)
        answers = answers[:, 1:]
        logits = model(**inputs).logits[:, :-1][answers]
        loss = torch.nn.functional.cross_entropy(logits, inputs["input_ids"][:, 1:][answers])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-20:]) / 20


def new_model(tokenizer: Any, seed: int = 0) -> Any:
    """A Llama of 0.9 million parameters with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def make_base(
    path: Path, steps: int, new_model: Callable[[Any], Any] = new_model, seed: int = 0
) -> None:
    """A model that has seen all skills and pairs, but not for long.

    Args:
        path: its folder.
        steps: of its training.
        new_model: tokenizer -> a model with random weights.
        seed: of its examples and their order.
    """
    tokenizer = save_tokenizer(path)
    model = new_model(tokenizer)
    start = time.perf_counter()
    loss = train(model, tokenizer, chats(SINGLES + PAIRS, 12_000, seed), steps, 2e-3, seed)
    model.save_pretrained(path)
    n = sum(p.numel() for p in model.parameters())
    print(
        f"base: {n:,} parameters, loss {loss:.3f}, {time.perf_counter() - start:.0f} s", flush=True
    )


def expert_chats(base: Path, kinds: Sequence[tuple[str, ...]], seed: int) -> list[dict[str, Any]]:
    """An expert's examples: its skills, and all others as the base answers them, right or wrong.

    The rehearsal keeps an expert from forgetting without teaching it what is not its own (Li &
    Hoiem 2016, arXiv 1606.09282, with answers in the place of distributions).
    """
    from pyswarmopt_llm.engine.transformers import load_engine
    from pyswarmopt_llm.experts.base import resolve_base

    engine = load_engine(resolve_base(str(base)), "float32", "cpu", torch.get_num_threads())
    rehearsed = chats(SINGLES + PAIRS, round(REHEARSED * EXPERT_EXAMPLES), 1000 + seed)
    said = engine.generate(
        [engine.chat(chat["messages"][0]["content"]) for chat in rehearsed], max_new_tokens=6
    )
    for chat, text in zip(rehearsed, said, strict=True):
        chat["messages"][1]["content"] = text.strip() or LETTERS[0]
    own = chats(kinds, EXPERT_EXAMPLES - len(rehearsed), seed)
    return random.Random(seed).sample(own + rehearsed, EXPERT_EXAMPLES)


def make_expert(base: Path, out: Path, examples: Sequence[Any], seed: int = 0) -> None:
    """A LoRA expert."""
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.training.examples import TrainingOptions
    from pyswarmopt_llm.training.expert import train_expert

    done = train_expert(
        resolve_base(str(base)),
        examples,
        out,
        TrainingOptions(
            targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
            lr=EXPERT_RATE,
            max_tokens=10**9,
            epochs=EXPERT_EPOCHS,
            # all start from the same A, as experts of one recipe do; else their factors have
            # nothing in common
            seed=seed,
        ),
        dtype="float32",
    )
    before, after = done.heldout_loss_base, done.heldout_loss_expert
    print(
        f"{out.name}: held-out loss {before:.3f} -> {after:.3f}, {done.seconds:.0f} s", flush=True
    )


def cluster_chats() -> list[list[dict[str, Any]]]:
    """The experts' own examples, thrown together and clustered: as many clusters as experts."""
    from pyswarmopt_rivals.methods.ensembles.cbtm import Clusters

    each = EXPERT_EXAMPLES - round(REHEARSED * EXPERT_EXAMPLES)
    pool = [
        chat
        for seed, kinds in enumerate(EXPERTS.values(), start=1)
        for chat in chats(kinds, each, seed)
    ]
    labels = Clusters([chat["messages"][0]["content"] for chat in pool], len(EXPERTS), 0).labels
    clusters: list[list[dict[str, Any]]] = [[] for _ in EXPERTS]
    for chat, label in zip(pool, labels, strict=True):
        clusters[label].append(chat)
    return clusters


def make_full(base: Path, out: Path, kinds: Sequence[tuple[str, ...]], seed: int) -> None:
    """A fine-tune of all weights."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    loss = train(model, tokenizer, chats(kinds, EXPERT_EXAMPLES, seed), 60, 5e-4, seed)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    print(f"{out.name}: loss {loss:.3f}", flush=True)


def make(out: Path, steps: int, clusters: bool, made: bool, build: int = 0) -> None:
    """Whatever is not there yet. Another `build` has other examples, orders and starts of training."""
    base = out / "base"
    first = 10_000 * build
    if not (base / "config.json").exists():
        make_base(base, steps, partial(new_model, seed=first), seed=first)
    for seed, (name, kinds) in enumerate(EXPERTS.items(), start=first + 1):
        data = out / "data" / f"{name}.jsonl"
        if not (out / "experts" / name).exists():
            examples = expert_chats(base, kinds, seed)
            data.parent.mkdir(exist_ok=True)
            data.write_text("".join(json.dumps(chat) + "\n" for chat in examples))
            make_expert(base, out / "experts" / name, examples, seed=first)
    for seed, (name, kinds) in enumerate(FULL.items(), start=first + 101):
        if not (out / "full" / name).exists():
            make_full(base, out / "full" / name, kinds, seed)
    for k, examples in enumerate(cluster_chats() if clusters else ()):
        if not (out / "clusters" / f"{k}").exists():
            make_expert(base, out / "clusters" / f"{k}", examples)
    for seed, (name, kinds) in enumerate(TASKS.items() if made else (), start=first + 201):
        if not (out / "made" / name).exists():
            make_expert(base, out / "made" / name, expert_chats(base, kinds, seed))
    (out / "tasks").mkdir(exist_ok=True)
    for name, kinds in TASKS.items():
        task = {"dev": items(kinds, "dev", DEV, 7), "test": items(kinds, "test", TEST, 7)}
        (out / "tasks" / f"{name}.json").write_text(json.dumps(task))


def run_compare(args: argparse.Namespace) -> None:
    from pyswarmopt_llm.cli.app import main as swarm_llm

    experts = sorted(map(str, (args.out / args.experts).iterdir()))
    words = [
        "compare",
        "--base",
        str(args.out / "base"),
        "--experts",
        *experts,
        "--out",
        str(args.out / args.name),
    ]
    for name in args.tasks:
        words += ["--task", str(args.out / "tasks" / f"{name}.json")]
    for expert in experts:
        name = os.path.basename(expert)
        if (data := args.out / "data" / f"{name}.jsonl").exists():
            words += ["--data", f"{name}={data}"]
    words += [
        "--methods",
        args.methods,
        "--seeds",
        str(args.seeds),
        "--budget-items",
        str(args.budget_items),
    ]
    words += [
        "--dtype",
        "float32",
        "--scoring",
        "likelihood",
        "--space",
        args.space,
        "--threads",
        str(args.threads),
    ]
    swarm_llm(words)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "compare"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="compare", help="folder of the comparison below --out")
    parser.add_argument(
        "--clusters", action="store_true", help="make: also an expert for each cluster"
    )
    parser.add_argument(
        "--build", type=int, default=0, help="make: which of the independent builds of all of it"
    )
    parser.add_argument("--made", action="store_true", help="make: also an expert for each task")
    parser.add_argument(
        "--experts",
        default="experts",
        choices=("experts", "clusters"),
        help="compare: which experts",
    )
    parser.add_argument("--steps", type=int, default=BASE_STEPS, help="training steps of the base")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--methods", default="all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget-items", type=int, default=10_000)
    parser.add_argument("--space", default="delta")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "make":
        make(args.out, args.steps, args.clusters, args.made, args.build)
    else:
        run_compare(args)


if __name__ == "__main__":
    main()
